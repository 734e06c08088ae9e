"""Packs: what a folder gives is given by its pack, bit for bit; how packs are made, and in how much memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from support.commandline import TINY, CommandLine, equal_weights
from support.packs import noise, pack_of_several_shards, packed, photographs_to_pack, write

from unseen.core import jsonl
from unseen.core.errors import UserError
from unseen.core.memory import Memory
from unseen.data import packing
from unseen.data.device_patches import DevicePatches
from unseen.data.loading import load_photos
from unseen.data.manifest import Credit, credits_of
from unseen.data.overlap import overlaps
from unseen.data.pack import INDEX, UNFINISHED, PackedPhoto, load_pack
from unseen.data.patches import Patches
from unseen.data.photo import Photo
from unseen.data.sources import PhotoSplit, load_test_set, recorded_pairs, training_photos
from unseen.models.checkpoint import read_card


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return photographs_to_pack(tmp_path / "photos")


@pytest.fixture
def pack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return pack_of_several_shards(folder, monkeypatch)


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
