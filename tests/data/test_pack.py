"""Packs: what a folder gives is given by its pack, bit for bit; and no file of a pack is believed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from support.commandline import TINY, CommandLine, equal_weights

from unseen.core import jsonl
from unseen.core.errors import UserError
from unseen.core.memory import Memory
from unseen.data import packing
from unseen.data.device_patches import DevicePatches
from unseen.data.loading import load_photos
from unseen.data.manifest import Credit, credits_of
from unseen.data.overlap import overlaps
from unseen.data.pack import INDEX, UNFINISHED, PackedPhoto, load_pack
from unseen.data.packing import Packing, PackSource
from unseen.data.patches import Patches
from unseen.data.photo import Photo, Pixels
from unseen.data.sources import PhotoSplit, load_test_set, recorded_pairs, training_photos
from unseen.models.checkpoint import read_card


def noise(seed: int, height: int = 30, width: int = 41) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, pixels: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def packed(source: object, out: Path, licence: str = "", stop: Event | None = None) -> Packing:
    out.mkdir(exist_ok=True)
    making = Packing(out)
    making.write(PackSource.of(str(source)), licence, stop or Event())
    return making


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve photographs, one smaller than a patch, one twice, one in a folder of its own; and a broken one."""
    for i in range(11):
        write(tmp_path / "photos" / f"{i:02}.png", noise(i, 30 + i, 50 - i) if i else noise(0, 12, 60))
    write(tmp_path / "photos" / "deep" / "copy.png", noise(3, 33, 47))
    (tmp_path / "photos" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "photos"


@pytest.fixture
def pack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack of the folder, in several shards."""
    monkeypatch.setattr(packing, "SHARD", 15_000)
    making = packed(folder, folder.parent / "photos.pack")
    assert [file.name for file in making.skipped] == ["broken.png"]
    return making.out


@pytest.fixture
def rain(tmp_path: Path) -> tuple[str, Path]:
    """Recorded pairs, two inputs a clean picture, which are cut to a multiple of their inputs; and their pack."""
    for i in range(5):
        write(tmp_path / "clean" / f"{i}.png", noise(i, 40 + i, 61))
        for k in range(2):
            write(tmp_path / "rain" / f"{i}_{k}.png", noise(100 + 10 * i + k, (40 + i) // 2, 30))
    source = f"{tmp_path / 'rain'}:{tmp_path / 'clean'}"
    return source, packed(source, tmp_path / "rain.pack").out


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def require_equal(photos: list[Photo], others: list[Photo]) -> None:
    assert [photo.name for photo in photos] == [photo.name for photo in others]
    for one, other in zip(photos, others, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert one.fingerprint.digest == other.fingerprint.digest
        assert np.array_equal(one.fingerprint.thumbnail, other.fingerprint.thumbnail)
        assert (one.recorded is None) == (other.recorded is None)
        if one.recorded is not None and other.recorded is not None:
            assert np.array_equal(one.recorded, other.recorded)


def require_equal_splits(one: PhotoSplit, other: PhotoSplit) -> None:
    require_equal(one.train, other.train)
    require_equal(one.validation, other.validation)
    assert one.digest() == other.digest()


# ---------------------------------------------------------------------------------------- packed against plain


def test_a_pack_gives_the_photographs_the_split_the_digest_and_the_patches_of_its_folder(
    folder: Path, pack: Path
) -> None:
    assert len(list(pack.glob("*.safetensors"))) > 1
    plain, mapped = training_photos([str(folder)]), training_photos([str(pack)])
    require_equal_splits(plain, mapped)
    mine, theirs = (Patches(split.train, 24) for split in (plain, mapped))
    assert mine.mirrored == theirs.mirrored == 1
    assert torch.equal(mine.draw(300, seed(1)), theirs.draw(300, seed(1)))
    gathered = DevicePatches(theirs, torch.device("cpu")).gather(theirs.picks(300, seed(1)))
    assert torch.equal(mine.draw(300, seed(1)), gathered)


@pytest.mark.parametrize(("scale", "enlarge"), [(2, 1), (1, 2)])
def test_a_pack_of_pairs_gives_the_pairs_of_its_folders(rain: tuple[str, Path], scale: int, enlarge: int) -> None:
    source, pack = rain
    plain, mapped = (
        recorded_pairs([f"rain={place}"], ["rain"], ["rain"], scale, enlarge)["rain"] for place in (source, pack)
    )
    require_equal_splits(plain, mapped)
    sides = [Patches(split.train, 16) for split in (plain, mapped)]
    pairs = [side.pairs_at(side.picks(100, seed(2))) for side in sides]
    assert all(map(torch.equal, *pairs))
    assert len([name for name in load_file(pack / "00000.safetensors") if name.startswith("clean/")]) == 5
    names = [load_test_set(f"q={place}", scale * enlarge, enlarge)[1] for place in (source, pack)]
    require_equal(*names)


def test_the_same_weights_are_trained_from_a_pack_and_it_is_known_what_was_trained_on(
    unseen: CommandLine, folder: Path, tmp_path: Path
) -> None:
    unseen("pack", folder, "-o", tmp_path / "all.pack", code=1)
    for name, data in (("plain", folder), ("packed", tmp_path / "all.pack")):
        unseen("train", *TINY, "--method", "erm", "--data", data, "--out", tmp_path / name)
    assert equal_weights(tmp_path / "plain", tmp_path / "packed")
    assert read_card(tmp_path / "packed").config["data"] == [str(tmp_path / "all.pack")]
    (tmp_path / "tests").mkdir()
    shutil.copy(folder / "05.png", tmp_path / "tests")
    for name in ("plain", "packed"):
        refusal = unseen.refusal(
            "evaluate", tmp_path / name, "--test", f"q={tmp_path / 'tests'}", "--out", tmp_path / "out"
        )
        assert "05.png is the training photograph 05.png" in refusal


def test_photographs_of_a_pack_are_views_that_overlap_and_serve_as_a_test_set(folder: Path, pack: Path) -> None:
    photos = load_pack(pack)
    assert not any(photo.pixels.flags.writeable or photo.pixels.flags.owndata for photo in photos)
    assert {pair.first.name for pair in overlaps(photos, load_photos(folder)[0])} == {photo.name for photo in photos}
    require_equal(load_test_set(f"q={pack}")[1], load_test_set(f"q={folder}")[1])


def test_a_pack_is_read_by_safetensors_and_names_author_and_licence(folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.tsv").write_text('file\tsource\tauthor\tlicence\n01.png\there\tAnn "A" Lee\tCC0\n')
    packed(folder, tmp_path / "one.pack")
    arrays = load_file(tmp_path / "one.pack" / "00000.safetensors")
    records = {line["name"]: line for line in map(json.loads, (tmp_path / "one.pack" / INDEX).read_text().splitlines())}
    assert np.array_equal(arrays[records["01.png"]["clean"]], noise(1, 31, 49))
    assert (records["01.png"]["author"], records["01.png"]["licence"]) == ('Ann "A" Lee', "CC0")
    assert records["02.png"]["licence"] == ""
    packed(folder, tmp_path / "two.pack", licence="CC-BY-4.0")
    assert '"licence": "CC-BY-4.0"' in (tmp_path / "two.pack" / INDEX).read_text()


def test_credits_are_those_of_the_line_of_the_file(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.tsv"
    odd = "Ann\u2028Lee\x85\x0b\x1c"
    manifest.write_bytes(f"file\tauthor\tlicence\r\na.png\t{odd}\tCC0\r\n\r\nb.png\t\tCC0\n".encode())
    assert credits_of(tmp_path) == {"a.png": Credit(odd, "CC0"), "b.png": Credit("", "CC0")}
    for line, message in (("a.png\tBo\tCC0", "file: 'a.png' has a line already"), ("c.png\tBo", "has 2 columns, and")):
        manifest.write_text(f"file\tauthor\tlicence\na.png\tAnn\tCC0\n{line}\n")
        with pytest.raises(UserError, match=rf"manifest\.tsv, line 3: {message}"):
            credits_of(tmp_path)


# ------------------------------------------------------------------------------------------------- memory


def test_a_folder_that_is_too_large_says_what_it_loses_and_names_pack(
    unseen: CommandLine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(3):
        write(tmp_path / "large" / f"{i}.png", noise(i, 100, 200))
    photos, _ = load_photos(tmp_path / "large", memory=100_000)
    (told,) = capsys.readouterr().err.splitlines()
    assert "take 175.8KiB, more than --memory 97.66KiB: one window of each, at most 111 pixels a side" in told
    assert "56% of all; `unseen pack`" in told
    assert {photo.pixels.shape for photo in photos} == {(100, 111, 3)}
    words = ["--data", tmp_path / "large", "--memory", "30KiB", "--out", tmp_path / "run"]
    assert "`unseen pack`" in unseen.refusal("train", *TINY, *words)
    assert "memory: 'much' is no amount" in unseen.refusal("train", "--memory", "much")


def test_pages_of_a_pack_are_no_memory_of_a_training(pack: Path) -> None:
    write(pack.parent / "large" / "a.png", noise(0, 2000, 3000))
    large = packed(pack.parent / "large", pack.parent / "large.pack").out
    memory = Memory(torch.device("cpu"))
    (photo,) = load_pack(large)
    assert int(photo.pixels.max()) == 255  # every page of 18 MB is looked at
    assert memory.peak() < 6


def test_enlarged_inputs_of_a_pack_are_bounded_by_memory(rain: tuple[str, Path]) -> None:
    with pytest.raises(UserError, match=r"enlarge: .*rain\.pack: enlarged inputs take .*, more than --memory 10KiB"):
        recorded_pairs([f"rain={rain[1]}"], ["rain"], ["rain"], 1, 2, 10 * 1024)


def test_photographs_that_do_not_fit_on_the_device_are_refused(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unseen.data.device_patches.machine_memory", lambda: 1000)
    with pytest.raises(UserError, match=r"draws: device holds all photographs on cpu: they take .*KiB, and 1000B are"):
        DevicePatches(Patches(load_pack(pack), 8), torch.device("cpu"))


def test_the_room_on_the_disk_is_checked_for_both_pictures_of_pairs(
    rain: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, inputs = (sum(3 * (40 + i) * 61 for i in range(5)), sum(2 * 3 * ((40 + i) // 2) * 30 for i in range(5)))
    free = SimpleNamespace(free=clean + inputs - 1)
    monkeypatch.setattr("unseen.data.packing.shutil.disk_usage", lambda path: free)
    with pytest.raises(UserError, match=r"out: .*two\.pack: its photographs take .*, and .* are free there"):
        packed(rain[0], tmp_path / "two.pack")
    free.free += 1
    packed(rain[0], tmp_path / "two.pack")


@pytest.mark.parametrize("limit", ["SHARD", "MOST_ARRAYS"])
def test_a_pack_has_no_more_shards_than_a_training_can_keep_open(
    folder: Path, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, limit, 1)
    monkeypatch.setattr(packing, "MOST_SHARDS", 8)
    making = packed(folder, folder.parent / "few.pack")
    assert 2 <= len({record.shard for record in making.records}) <= 8
    require_equal(load_pack(making.out), load_photos(folder)[0])


# --------------------------------------------------------------------------------------- stopped and gone on


def test_a_pack_that_was_stopped_goes_on_and_is_the_same(folder: Path, pack: Path, tmp_path: Path) -> None:
    class After(Event):
        """Set after the fifth photograph."""

        calls = 0

        def is_set(self) -> bool:
            self.calls += 1
            return self.calls > 5

    out = tmp_path / "stopped.pack"
    assert packed(folder, out, stop=After()).interrupted
    with pytest.raises(UserError, match=r"stopped\.pack: is not complete; the `unseen pack` command that began it"):
        training_photos([str(out)])
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("*.safetensors")}
    assert kept
    packed(folder, out)
    assert all((out / name).stat().st_mtime_ns == time for name, time in kept.items())
    require_equal_splits(training_photos([str(out)]), training_photos([str(pack)]))
    assert not (out / UNFINISHED).exists()


def test_a_pack_that_was_killed_keeps_its_finished_shards(
    folder: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "killed.pack"
    done: list[Path] = []

    class Killed(BaseException):
        pass

    def write_lines(path: Path, records: list[PackedPhoto]) -> None:
        if len(done) == 2:
            raise Killed  # the third shard has its name, and is in no index
        done.append(path)
        jsonl.write_lines(path, records)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "write_lines", write_lines)
        with pytest.raises(Killed):
            packed(folder, out)
    kept = (out / "00001.safetensors").stat().st_mtime_ns
    packed(folder, out)
    assert (out / "00001.safetensors").stat().st_mtime_ns == kept
    require_equal_splits(training_photos([str(out)]), training_photos([str(pack)]))


def test_a_photograph_that_was_replaced_since_a_pack_was_begun_is_named(rain: tuple[str, Path]) -> None:
    class AtOnce(Event):
        """Set after the first scene."""

        calls = 0

        def is_set(self) -> bool:
            self.calls += 1
            return self.calls > 1

    source, pack = rain
    out = pack.parent / "begun.pack"
    assert len(packed(source, out, stop=AtOnce()).records) == 2
    write(pack.parent / "rain" / "0_1.png", noise(7, 20, 30))
    with pytest.raises(UserError, match=r"out: '0_1\.png' has changed since .*begun\.pack was begun .* --overwrite"):
        packed(source, out)


def test_a_pack_that_was_begun_with_other_photographs_is_refused(folder: Path, pack: Path) -> None:
    (pack / INDEX).replace(pack / UNFINISHED)
    (folder / "05.png").unlink()
    with pytest.raises(UserError, match=r"out: .*photos\.pack was begun with other photographs, '05\.png' among them"):
        packed(folder, pack)


# --------------------------------------------------------------------------------------------- the command


def test_packing_and_checking_from_the_command_line(unseen: CommandLine, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.pack"
    assert "give photos" in unseen.refusal("pack")
    assert unseen.refusal("pack", folder).startswith("out: no pack named")
    assert "no such folder" in unseen.refusal("pack", tmp_path / "none", "-o", out)
    assert "is the name of a file" in unseen.refusal("pack", folder, "-o", "mine.zip")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").touch()
    assert "holds a.txt, which is no file of a pack" in unseen.refusal("pack", folder, "-o", tmp_path / "other")
    result = unseen("pack", folder, "-o", out, "--licence", "CC0", code=1)
    assert "skipped broken.png: " in result.err
    assert result.out.startswith(f"{out}: 12 photographs, ")
    assert "holds a pack; give --overwrite" in unseen.refusal("pack", folder, "-o", out)
    (folder / "broken.png").unlink()
    unseen("pack", folder, "-o", out, "--overwrite", "--licence", "CC0")
    assert "12 photographs" in (checked := unseen("check-data", out).out)
    assert checked.endswith("digests all agree; licences: 12 CC0\n")
    with (out / "00000.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    assert "10.png: " in (checked := unseen("check-data", out, code=1).out) or "deep/copy.png: " in checked


def test_a_pack_is_overwritten_only_once_a_picture_was_read(unseen: CommandLine, pack: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in pack.iterdir()}
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "holds no photograph" in unseen.refusal("pack", tmp_path / "empty", "-o", pack, "--overwrite")
    assert "nothing can be packed" in unseen.refusal("pack", tmp_path / "broken", "-o", pack, "--overwrite")
    assert "is the folder to pack" in unseen.refusal("pack", pack, "-o", pack, "--overwrite")
    assert {path.name: path.read_bytes() for path in pack.iterdir()} == before
    write(tmp_path / "new" / "a.png", noise(1))
    unseen("pack", tmp_path / "new", "-o", pack, "--overwrite")
    assert [photo.name for photo in load_pack(pack)] == ["a.png"]


def test_packs_of_the_wrong_kind_are_refused(rain: tuple[str, Path], pack: Path) -> None:
    with pytest.raises(UserError, match=r"rain\.pack: is a pack of recorded pairs; give a folder or a pack of clean"):
        training_photos([str(rain[1])])
    with pytest.raises(UserError, match=r"photos\.pack: is a pack of clean photographs; give a pack of recorded pairs"):
        recorded_pairs([f"rain={pack}"], ["rain"], ["rain"], 2, 1)


# ------------------------------------------------------------------------------------------- hostile files


def with_header(change: Callable[[dict[str, dict[str, object]]], object]) -> Callable[[Path], None]:
    """A change of the header of the first shard."""

    def apply(pack: Path) -> None:
        path = pack / "00000.safetensors"
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        change(header)
        path.write_bytes(content[:8] + json.dumps(header).encode().ljust(length) + content[8 + length :])

    return apply


def with_line(**fields: object) -> Callable[[Path], None]:
    """A change of the first line of the index."""

    def apply(pack: Path) -> None:
        first, *rest = (pack / INDEX).read_text().splitlines()
        (pack / INDEX).write_text("\n".join([json.dumps(json.loads(first) | fields), *rest]))

    return apply


def with_bytes(change: Callable[[bytes], bytes], name: str = "00000.safetensors") -> Callable[[Path], object]:
    """A change of the bytes of a file."""
    return lambda pack: (pack / name).write_bytes(change((pack / name).read_bytes()))


def in_place_of_a_shard(pack: Path, make: Callable[[Path], object]) -> None:
    (pack / "00000.safetensors").unlink()
    make(pack / "00000.safetensors")


HUGE = (2**60).to_bytes(8, "little")
HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "header of an impossible size": (
        with_bytes(lambda b: HUGE + b[8:]),
        r"00000.safetensors: its header has \d+ bytes",
    ),
    "header cut short": (with_bytes(lambda b: b[:100]), "00000.safetensors: its header has .* cut short"),
    "file cut short": (with_bytes(lambda b: b[:-9]), r"00000.safetensors: has \d+ bytes, and its header describes \d+"),
    "file too long": (with_bytes(lambda b: b + b"x"), r"00000.safetensors: has \d+ bytes, and its header describes"),
    "empty file": (with_bytes(lambda b: b""), "00000.safetensors: cannot be read"),
    "no JSON": (with_bytes(lambda b: b[:8] + b"[" * 100 + b[108:]), "00000.safetensors: its header is no JSON"),
    "missing shard": (lambda pack: (pack / "00000.safetensors").unlink(), "00000.safetensors: cannot be read: No such"),
    "pipe": (lambda pack: in_place_of_a_shard(pack, os.mkfifo), "00000.safetensors: is no regular file"),
    "link": (
        lambda pack: in_place_of_a_shard(pack, lambda path: path.symlink_to("00001.safetensors")),
        "00000.safetensors: is no regular file",
    ),
    "other type": (
        with_header(lambda h: h["clean/0"].update(dtype="F32")),
        "'clean/0': dtype: expected 'U8', got 'F32'",
    ),
    "negative side": (with_header(lambda h: h["clean/0"].update(shape=[-1, 2, 3])), "'clean/0': shape: expected two"),
    "huge side": (with_header(lambda h: h["clean/0"].update(shape=[2**70, 1, 3])), "'clean/0': shape: expected two"),
    "true for one": (with_header(lambda h: h["clean/0"].update(shape=[True, 2, 3])), "'clean/0': shape: expected two"),
    "other offsets": (
        with_header(lambda h: h["clean/0"].update(data_offsets=[0, 5])),
        "'clean/0': data_offsets: expected 2160 bytes",
    ),
    "overlap": (
        with_header(lambda h: h.update({"x/y": h["clean/0"]})),
        "'x/y': data_offsets: begins at 0, and expected is 2160",
    ),
    "hole": (with_header(lambda h: h.pop("clean/0")), "'thumbnail/0': data_offsets: begins at 2160, and expected is 0"),
    "twice in the header": (
        with_bytes(lambda b: b.replace(b'"thumbnail/0"', b'"clean/0"    ', 1)),
        "00000.safetensors: its header names 'clean/0' twice",
    ),
    "path elsewhere": (with_line(shard="../00000.safetensors"), "line 1: field 'shard': expected a name such as 00000"),
    "no array": (with_line(clean="clean/99"), "'00.png': clean: 00000.safetensors has no array 'clean/99'"),
    "other size": (with_line(height=7), "'00.png': height and width: 7 and 60, and the array has"),
    "negative size": (with_line(height=-7), "line 1: field 'height': expected a whole number of 1 or more"),
    "a picture for a thumbnail": (with_line(thumbnail="clean/0"), "'00.png': thumbnail: expected two sides"),
    "no digest": (with_line(digest="../x"), "line 1: field 'digest': expected 64 hexadecimal digits"),
    "unknown field": (with_line(run="os.system"), "line 1: unknown field 'run'"),
    "named twice": (with_line(name="01.png"), "name: '01.png' is in two lines"),
    "lost lines": (
        with_bytes(lambda b: b.splitlines(keepends=True)[0], INDEX),
        "belongs to no line of pack.jsonl, which is cut short",
    ),
    "no line": (with_bytes(lambda b: b"\n", INDEX), "pack.jsonl: names no photograph"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_pack_is_refused_in_one_line(case: str, pack: Path) -> None:
    change, message = HOSTILE[case]
    change(pack)
    with pytest.raises(UserError, match=message) as refusal:
        training_photos([str(pack)])
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith(str(pack))
