"""Which files of a folder are photographs, by their first bytes, and how the others are told."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commandline import CommandLine, photographs

from unseen.core.errors import UserError
from unseen.data import heif
from unseen.data.file_kinds import kind_of
from unseen.data.finding import left_out_text, list_folder
from unseen.data.loading import load_photos
from unseen.data.pair_names import match_pairs
from unseen.data.reading import SkippedFile, UnreadableImage, read_photo
from unseen.data.sources import load_test_set, training_photos

PIXELS = np.random.default_rng(0).normal(128, 20, (64, 64, 3)).clip(0, 255).astype(np.uint8)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def encoded(format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, format)
    return file.getvalue()


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder as phones, browsers and mail programs leave it: five JPEGs, a PNG, and pictures that are not read."""
    folder = tmp_path / "mixed"
    (folder / "deep").mkdir(parents=True)
    for i, name in enumerate(("a.jpg", "b.jfif", "c.jpe", "d.jpg_large", "e")):
        Image.fromarray(np.roll(PIXELS, i, 0)).save(folder / name, "JPEG")
    (folder / "F.PJPEG").write_bytes(encoded("PNG"))
    (folder / "g.HEIC").write_bytes(HEIC)
    (folder / "deep" / "g.heif").write_bytes(HEIC.replace(b"heic", b"mif1"))
    (folder / "h.gif").write_bytes(encoded("GIF"))
    (folder / "i.NEF").write_bytes(encoded("TIFF"))
    for name in ("a.xmp", "Thumbs.db", ".DS_Store", "notes.txt", "a.jpg.bak", "a.jpg_original", "film.MOV", "k.THM"):
        (folder / name).write_bytes(encoded("JPEG") if name[0] in ".ak" and name != "a.xmp" else b"qt  text")
    (folder / "film.MOV").write_bytes(b"\0\0\0\x14ftypqt  \0\0\0\0qt  ")
    (folder / "._a.jpg").write_bytes(b"\0\5\x16\7")
    return folder


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff\xe1", "jpeg"), (b"MM\0*", "tiff"), (b"II+\0", "tiff"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"), (b"BM" + bytes(12) + b"\x28\0\0\0", "bmp"), (b"BMW motorcycles", ""),
        (HEIC, "heic"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf", "avif"), (b"\0\0\0\x1cftypmif1\0\0\0\0avifmiaf", "avif"),
        (b"\0\0\0\x18ftypavis\0\0\0\0avif", "animated avif"), (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "raw"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp42", ""), (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", ""), (b"GIF89a", "gif"),
        (b"8BPS\0\1", "psd"), (b"II*\0\x10\0\0\0CR\2\0", "raw"), (b"FUJIFILMCCD-RAW 0201", "raw"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "jpeg xl"), (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg 2000"), (b"", ""), (b"text", ""),
        (b"\0\0\0\0ftyp", ""), (b"\xff\xff\xff\xffftypheic", "heic"),
    ],
)  # fmt: skip
def test_first_bytes_tell_the_kind(start: bytes, kind: str) -> None:
    assert kind_of(start) == kind


def test_photographs_are_found_by_their_first_bytes_and_others_are_counted(mixed: Path) -> None:
    contents = list_folder(mixed)
    assert [name.as_posix() for _, name in contents.named_photos()] == [
        "F.PJPEG", "a.jpg", "b.jfif", "c.jpe", "d.jpg_large", "e",
    ]  # fmt: skip
    assert [path.name for path, _ in contents.left_out] == ["g.heif", "g.HEIC", "h.gif", "i.NEF"]
    text = left_out_text(contents.left_out)
    assert text.startswith("4 files left out: 2 heic, 1 gif, 1 raw (first: g.heif); convert to PNG, JPEG or TIFF first")


@pytest.mark.parametrize(
    "load",
    [
        lambda folder: load_photos(folder)[1],
        lambda folder: training_photos([str(folder)]).skipped,
        lambda folder: load_test_set(str(folder))[2],
    ],
    ids=["photos", "training", "test"],
)
def test_every_way_to_load_a_folder_tells_what_it_leaves_out(
    load: Callable[[Path], list[SkippedFile]], mixed: Path
) -> None:
    (skipped,) = load(mixed)
    assert skipped.name == "mixed"
    assert skipped.reason.startswith("4 files left out: 2 heic")


def test_pairs_tell_what_they_leave_out_on_either_side(mixed: Path, tmp_path: Path) -> None:
    clean = photographs(tmp_path / "clean", "a.png", size=(64, 64))
    (clean / "b.gif").write_bytes(encoded("GIF"))
    pairs, problems = match_pairs(mixed, clean)
    assert [path.name for path, _ in pairs] == ["a.jpg"]
    assert [problem.partition(";")[0] for problem in problems if "left out" in problem] == [
        "mixed: 4 files left out: 2 heic, 1 gif, 1 raw (first: g.heif)",
        "clean: 1 file left out: 1 gif (first: b.gif)",
    ]


def test_restore_and_degrade_do_what_is_a_photograph_and_tell_the_rest(
    mixed: Path, tmp_path: Path, unseen: CommandLine
) -> None:
    one = ["--device", "cpu", "--threads", "1"]
    restored = unseen("restore", mixed, "-o", tmp_path / "out", "--model", "erm", *one, code=1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "F.PJPEG", "a.jpg", "b.jfif", "c.jpe", "d.jpg_large", "e",
    ]  # fmt: skip
    assert "6 restored" in restored.out
    assert restored.err.count("left out") == restored.err.count("4 files left out: 2 heic, 1 gif, 1 raw") == 1
    assert "xmp" not in restored.err
    degraded = unseen("degrade", mixed, "--distortion", "gaussian_noise:5", "-o", tmp_path / "d", code=1)
    assert "6 of 6 copies" in degraded.out
    assert "4 files left out: 2 heic, 1 gif, 1 raw" in degraded.err


def test_pictures_that_are_not_read_are_refused_by_their_kind(mixed: Path, tmp_path: Path, unseen: CommandLine) -> None:
    with pytest.raises(UserError, match=r"h\.gif: gif is not read; convert to PNG"):
        list_folder(mixed / "h.gif")
    with pytest.raises(UserError, match=r"deep: holds no photograph; 1 file left out: 1 heic \(first: g\.heif\); con"):
        list_folder(mixed / "deep")
    (mixed / "named.jpg").write_bytes(HEIC)
    with pytest.raises(UnreadableImage, match=r"named\.jpg: heic is not read; convert to PNG"):
        read_photo(mixed / "named.jpg")
    told = unseen("restore", mixed / "h.gif", mixed / "*.NEF", "-o", tmp_path / "out", "--model", "erm", code=2)
    assert "2 files left out: 1 gif, 1 raw (first: h.gif)" in told.err


def test_avif_is_read_upright_in_all_its_depths_over_white(tmp_path: Path) -> None:
    if not heif.is_readable("avif"):
        pytest.skip("this libvips has no decoder of AV1")
    ramp = np.mgrid[:40, :60].transpose(1, 2, 0)[..., [0, 1, 1]].astype(np.uint8) * 4
    orientation = Image.Exif()
    orientation[274] = 6
    Image.fromarray(ramp).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4", exif=orientation)
    assert np.abs(read_photo(tmp_path / "a.avif").astype(int) - np.rot90(ramp, -1)).max() <= 3
    Image.fromarray(ramp).convert("RGBA").save(tmp_path / "b.avif", quality=100, subsampling="4:4:4")
    (tmp_path / "b.avif").rename(tmp_path / "b")
    photos, skipped = load_photos(tmp_path)
    assert [(photo.name, photo.pixels.shape) for photo in photos] == [("a.avif", (60, 40, 3)), ("b", (40, 60, 3))]
    assert skipped == []
