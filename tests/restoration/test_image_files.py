"""What image files hold beside their pixels, files that cannot be used, and places that cannot be written."""

from __future__ import annotations

import base64
import errno
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms
from support.image_bombs import png, tiff
from support.limits import file_size_limit
from support.programs import exiftool, magick, set_tags, tags

from unseen.core.errors import UserError
from unseen.data.reading import UnreadableImage
from unseen.restoration.imagefiles.image_file import ImageFile, open_image
from unseen.restoration.imagefiles.save import save
from unseen.restoration.imagefiles.tiff_exif import exif_of_tree, tree_of_tiff

PHOTO = ["-size", "61x47", "-seed", "3", "plasma:red-blue", "-depth", "8"]
DESCRIPTION = {
    "IFD0:Make": "Maker", "IFD0:Model": "Model 1", "IFD0:Artist": "Åsa B", "IFD0:Copyright": "© me",
    "IFD0:ImageDescription": "A (long) description, of more than four bytes", "IFD0:XPTitle": "Tïtle",
    "ExifIFD:ExposureTime": 0.005, "ExifIFD:FNumber": 2.8, "ExifIFD:ISO": 400, "ExifIFD:ExposureCompensation": -0.5,
    "ExifIFD:DateTimeOriginal": "2020:01:02 03:04:05", "ExifIFD:OffsetTimeOriginal": "+02:00",
    "ExifIFD:UserComment": "hello wörld", "ExifIFD:LensModel": "50 mm", "GPS:GPSLatitude": 12.5,
    "GPS:GPSLatitudeRef": "N",
    "XMP-dc:Title": "hi",
}  # fmt: skip


def strips_of(picture: ImageFile, height: int = 10) -> Iterator[NDArray[np.float32]]:
    read = picture.reader()
    for top in range(0, picture.height, height):
        yield read(top, min(top + height, picture.height))


def copied(path: Path, out: Path, **options: Any) -> Path:
    picture = open_image(path)
    save(picture, out, strips_of(picture), **options)
    return out


def photo(path: Path) -> Path:
    magick(*PHOTO, path)
    return path


# ------------------------------------------------------------------------------------------ what goes along


@pytest.mark.programs
@pytest.mark.parametrize(
    ("name", "format"),
    [("in.jpg", "jpeg"), ("in.png", "png"), ("in.tif", "tiff"), ("in.webp", "webp"),
     ("in.jpg", "tiff"), ("in.webp", "jpeg"), ("in.tif", "png")],
)  # fmt: skip
def test_descriptions_go_along(name: str, format: Any, tmp_path: Path) -> None:
    path = photo(tmp_path / name)
    set_tags(path, "-Orientation#=6", *(f"-{tag}={value}" for tag, value in DESCRIPTION.items()))
    assert tags(path, *DESCRIPTION) == DESCRIPTION
    out = copied(path, tmp_path / f"out.{format}", format=format)
    assert tags(out, *DESCRIPTION) == DESCRIPTION
    assert tags(out, "Orientation") == {"IFD0:Orientation": 1}
    assert exiftool("-validate", "-error", "-a", out).count(b"Error") == 0
    with Image.open(out) as image:
        image.load()
        assert image.size == (47, 61)


@pytest.mark.programs
def test_the_order_of_bytes_is_translated(tmp_path: Path) -> None:
    path = photo(tmp_path / "in.jpg")
    exiftool("-q", "-overwrite_original", "-ExifByteOrder=MM", "-FNumber=2.8", "-ISO=400", "-Make=M", path)
    magick(*PHOTO, "-endian", "MSB", tmp_path / "in.tif")
    set_tags(tmp_path / "in.tif", "-FNumber=2.8", "-ISO=400", "-Make=M")
    for name in ("in.jpg", "in.tif"):
        out = copied(tmp_path / name, tmp_path / "out.tif", format="tiff")
        assert tags(out, "FNumber", "ISO", "Make", "ExifByteOrder") == {
            "ExifIFD:FNumber": 2.8, "ExifIFD:ISO": 400, "IFD0:Make": "M", "File:ExifByteOrder": "II"
        }  # fmt: skip
        assert Image.open(out).getexif()[271] == "M"


@pytest.mark.programs
@pytest.mark.parametrize(
    ("name", "gray"),
    [(f"in.{suffix}", gray) for suffix in ("jpg", "png", "tif", "webp") for gray in (False, True)][:-1],
)
def test_profiles_are_kept_to_the_byte(name: str, gray: bool, tmp_path: Path) -> None:
    path = photo(tmp_path / name)
    colours = ["-colorspace", "Gray"] if gray else []
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile if not gray else profile[:16] + b"GRAY" + profile[20:]
    (tmp_path / "given.icc").write_bytes(profile)
    magick(*PHOTO, *colours, path)
    exiftool("-q", "-overwrite_original", f"-ICC_Profile<={tmp_path / 'given.icc'}", path)
    out = copied(path, tmp_path / f"out-{name}")
    assert exiftool("-b", "-ICC_Profile", out) == profile


@pytest.mark.programs
@pytest.mark.parametrize("name", ["in.jpg", "in.png", "in.tif", "in.bmp"])
def test_resolution_is_kept(name: str, tmp_path: Path) -> None:
    magick(*PHOTO, "-density", "300", "-units", "PixelsPerInch", tmp_path / name)
    out = copied(tmp_path / name, tmp_path / f"out-{name}")
    with Image.open(out) as image:
        assert [float(dpi) for dpi in image.info["dpi"]] == pytest.approx([300, 300], abs=0.02)
    other = copied(tmp_path / name, tmp_path / "out.jpg", format="jpeg")
    assert Image.open(other).info["dpi"] == pytest.approx((300, 300), abs=0.5)


@pytest.mark.programs
@pytest.mark.parametrize("name", ["in.jpg", "in.png", "in.tif", "in.webp"])
@pytest.mark.parametrize(
    ("given", "unit", "expected"), [(1, 1, 1), (300, 1, 300), (300, 2, 300), (100, 3, 254), (25.4, 2, 25.4)]
)
def test_resolution_by_exif(name: str, given: float, unit: int, expected: float, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / name)
    set_tags(tmp_path / name, f"-XResolution={given}", f"-YResolution={given}", f"-ResolutionUnit#={unit}")
    found = tags(copied(tmp_path / name, tmp_path / f"out-{name}"), "IFD0:XResolution", "IFD0:ResolutionUnit")
    assert (found["IFD0:ResolutionUnit"] == 1) == (unit == 1)  # the shape of pixels alone
    inch = {1: 1, 2: 1, 3: 2.54}[found["IFD0:ResolutionUnit"]]
    assert found["IFD0:XResolution"] * inch == pytest.approx(expected, abs=0.05)


@pytest.mark.programs
def test_iptc_stays_within_its_format(tmp_path: Path) -> None:
    for name, format in (("in.jpg", "jpeg"), ("in.tif", "tiff")):
        path = set_tags(photo(tmp_path / name), "-IPTC:Keywords=word", "-IPTC:Caption-Abstract=told")
        found = tags(copied(path, tmp_path / f"out-{name}"), "IPTC:Keywords", "IPTC:Caption-Abstract")
        assert found == {"IPTC:Keywords": "word", "IPTC:Caption-Abstract": "told"}, format


@pytest.mark.programs
def test_the_thumbnail_of_what_was_is_dropped(tmp_path: Path) -> None:
    magick(*PHOTO, "-resize", "20x20", tmp_path / "small.jpg")
    path = set_tags(photo(tmp_path / "in.jpg"), f"-ThumbnailImage<={tmp_path / 'small.jpg'}", "-Make=M")
    assert "IFD1:ThumbnailImage" in tags(path)
    for format in ("jpeg", "png", "tiff"):
        found = tags(copied(path, tmp_path / f"out.{format}", format=format))
        assert "IFD1:ThumbnailImage" not in found
        assert found["IFD0:Make"] == "M"


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(20),
        # BigTIFF: the first directory, the number of its entries, and the value of one, out of all bounds
        b"Exif\0\0II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(16),
        b"Exif\0\0II+\0\x08\0\0\0" + struct.pack("<Q", 16) + b"\xff" * 40,
        b"Exif\0\0II+\0\x08\0\0\0" + struct.pack("<QQHHQQQ", 16, 1, 270, 2, 100, 2**64 - 1, 0),
    ],
)
def test_broken_exif_costs_no_picture(exif: bytes, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "in.jpg", exif=exif)
    for format in ("jpeg", "tiff", "png"):
        assert open_image(copied(tmp_path / "in.jpg", tmp_path / f"out.{format}", format=format)).width == 9


@pytest.mark.parametrize("beyond", [2**31, 2**62, 2**63 - 1, 2**63, 2**64 - 16])
def test_an_entry_that_points_nowhere_is_left_out(beyond: int, tmp_path: Path) -> None:
    path = tmp_path / "in.tif"
    description, artist = "x" * 50, "y" * 50
    tifffile.imwrite(
        path, np.zeros((9, 9, 3), np.uint8), photometric="rgb", bigtiff=True, description=description,
        extratags=[(315, 2, 0, artist, False)], metadata=None,
    )  # fmt: skip
    with tifffile.TiffFile(path) as file:
        entry = file.pages[0].tags[315].offset  # type: ignore[union-attr]
    with path.open("r+b") as content:
        content.seek(entry + 12)
        content.write(struct.pack("<Q", beyond))
    # Decoders of pixels may refuse it; what reads the tags may not fall over it.
    with path.open("rb") as content:
        found = Image.Exif()
        found.load(exif_of_tree(*tree_of_tiff(content, 0)))
    assert dict(found) == {270: description, 305: "tifffile.py"}


@pytest.mark.programs
@pytest.mark.parametrize("form", ["attribute", "element"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_xmp_does_not_turn_the_picture_again(suffix: str, form: str, tmp_path: Path) -> None:
    path = set_tags(photo(tmp_path / f"in.{suffix}"), "-Orientation#=6")
    compact = ("-api", "Compact=Shorthand") if form == "attribute" else ()
    set_tags(path, *compact, "-XMP-tiff:Orientation#=6", "-XMP-tiff:Make=6", "-XMP-dc:Title=Orientation 6")
    packet = exiftool("-b", "-XMP", path)
    assert (b"tiff:Orientation='6'" if form == "attribute" else b"<tiff:Orientation>6<") in packet
    out = copied(path, tmp_path / f"out.{suffix}")
    found = tags(out, "Orientation", "XMP-tiff:Make", "XMP-dc:Title")
    assert found == {"IFD0:Orientation": 1, "XMP-tiff:Orientation": 1, "XMP-tiff:Make": 6,
                     "XMP-dc:Title": "Orientation 6"}  # fmt: skip


@pytest.mark.programs
@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize(("name", "format"), [("in.jpg", "tiff"), ("in.tif", "tiff"), ("in.tif", "jpeg")])
def test_exif_tells_the_size_of_what_was_written(name: str, format: Any, order: str, tmp_path: Path) -> None:
    path = photo(tmp_path / name)
    set_tags(path, f"-ExifByteOrder={order}", "-Orientation#=6", "-ExifImageWidth=61", "-ExifImageHeight=47")
    found = tags(copied(path, tmp_path / "out", format=format), "ExifImageWidth", "ExifImageHeight")
    assert found == {"ExifIFD:ExifImageWidth": 47, "ExifIFD:ExifImageHeight": 61}


@pytest.mark.programs
def test_times_are_kept_on_request(tmp_path: Path) -> None:
    path = photo(tmp_path / "in.png")
    os.utime(path, ns=(10**18, 10**18 + 7))
    assert copied(path, tmp_path / "a.png", keep_times=True).stat().st_mtime_ns == 10**18 + 7
    assert copied(path, tmp_path / "b.png").stat().st_mtime_ns > 10**18 + 7


@pytest.mark.programs
def test_any_name_that_a_file_can_have(tmp_path: Path) -> None:
    for name in (b"line\nbreak.tif", b"\xff\xfe.tif", b"[page=1],x.tif", b"-o.tif"):
        path = tmp_path / os.fsdecode(name)
        photo(tmp_path / "in.tif").rename(path)
        out = copied(path, tmp_path / "out" / path.name)
        assert open_image(out).format == "tiff"


@pytest.mark.programs
def test_the_content_says_what_it_is(tmp_path: Path) -> None:
    path = photo(tmp_path / "in.png").rename(tmp_path / "in.JPG")
    picture = open_image(path)
    assert (picture.format, picture.suffix) == ("png", ".png")
    assert open_image(photo(tmp_path / "in.TIFF")).suffix == ".TIFF"


# ------------------------------------------------------------------------------------------ files of no use


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.png", b"", "the file is empty"),
        ("a.png", b"no picture\n", "not a PNG, JPEG, TIFF, WebP or BMP image, or broken"),
        ("a.gif", base64.b64decode("R0lGODlhAQABAAAAACw="), "gif is not read; convert to PNG, JPEG or TIFF first"),
        ("a.png", png(60000, 60000), "claims 60000×60000 pixels, more than 1073741824"),
        ("a.png", png(8, 8)[:20], "broken, cut short"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "broken, cut short"),
        ("a.tif", b"II*\0\xff\xff\xff\x7f", "broken, cut short"),
        ("a.tif", b"II*\0\x08\0\0\0", "broken, cut short"),
        ("a.webp", b"RIFF\xff\0\0\0WEBPVP8 ", "broken, cut short"),
        ("a.bmp", b"BM" + bytes(12) + b"(" + bytes(47), "broken or cut short"),
        ("a.bmp", b"BMW motorcycles", "not a PNG, JPEG, TIFF, WebP or BMP image, or broken"),
    ],
)
def test_a_file_of_no_use_is_told_at_once(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImage) as refusal:
        open_image(tmp_path / name)
    assert reason in refusal.value.reason
    assert "\n" not in str(refusal.value)


def test_what_is_no_file_is_told_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path, reason in (
        (tmp_path / "none.png", "No such file"),
        (tmp_path / ("a" * 300), "File name too long"),
        (tmp_path, "not a file"),
        (tmp_path / "pipe.png", "not a file"),
    ):
        with pytest.raises(UnreadableImage, match=reason):
            open_image(path)


@pytest.mark.programs
def test_a_limit_on_pixels_can_be_lifted_and_lowered(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(60000, 60000, 1))
    with pytest.raises(UnreadableImage, match="claims 60000×60000 pixels, more than 1073741824:"):
        open_image(tmp_path / "a.tif")
    assert open_image(tmp_path / "a.tif", most_pixels=2**40).width == 60000
    for name in ("b.png", "b.bmp", "b.tif"):
        with pytest.raises(UnreadableImage, match="claims 61×47 pixels, more than 1000:"):
            open_image(photo(tmp_path / name), most_pixels=1000)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_is_cut_short_is_found_and_leaves_nothing(share: float, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"in.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    out = tmp_path / "out" / path.name
    with pytest.raises(UnreadableImage, match=r"(broken|cut short)"):
        copied(path, out)
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


# ------------------------------------------------------------------------------------------ places of no use


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp"])
def test_a_full_disk_is_told_and_leaves_what_was_there(suffix: str, tmp_path: Path) -> None:
    """The system's limit on the size of a file stands for the disk."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "in.png")
    out = tmp_path / "out" / f"a.{suffix}"
    out.parent.mkdir()
    out.write_bytes(b"precious")
    format = {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix)
    with (
        file_size_limit(100_000),
        pytest.raises(UserError, match=f"^{re.escape(str(out))}: cannot be written: File too large$"),
    ):
        copied(tmp_path / "in.png", out, format=format, quality=100)
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert out.read_bytes() == b"precious"


@pytest.mark.parametrize("size", ["100k", "300k"], ids=["for the pixels", "for the file beside them"])
def test_a_disk_that_is_really_full(size: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk], check=False).returncode
    ):
        pytest.skip("only an administrator makes a small disk")
    try:
        noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "in.png")
        for format in ("png", "jpeg", "tiff", "webp", "bmp"):
            with pytest.raises(UserError, match=f"a.{format}: cannot be written: No space left on device") as told:
                copied(tmp_path / "in.png", disk / f"a.{format}", format=format, quality=100)
            assert isinstance(told.value.__cause__, OSError)
            assert told.value.__cause__.errno == errno.ENOSPC
            del told  # it holds the file, and the file the disk
            assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.programs
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    path = photo(tmp_path / "in.png")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"out\.png: cannot be written: File exists"):
        copied(path, tmp_path / "file" / "out.png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(0o500)
    if os.geteuid():
        with pytest.raises(UserError, match=r"out\.png: cannot be written: Permission denied"):
            copied(path, tmp_path / "folder" / "out.png")


@pytest.mark.programs
@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp", "bmp"])
def test_whatever_the_network_raises_comes_through(format: Any, tmp_path: Path) -> None:
    picture = open_image(photo(tmp_path / "in.png"))
    out = tmp_path / "out" / "a"
    out.parent.mkdir()
    out.write_bytes(b"precious")

    def strips(problem: BaseException) -> Iterator[NDArray[np.float32]]:
        yield np.zeros((10, picture.width, 3), np.float32)
        raise problem

    for problem in (RuntimeError("out of memory"), KeyboardInterrupt()):
        with pytest.raises(type(problem)):
            save(picture, out, strips(problem), format)
        assert [path.name for path in out.parent.iterdir()] == ["a"]
        assert out.read_bytes() == b"precious"
    with pytest.raises(ValueError, match="10 rows for a picture of 47"):
        save(picture, out, [np.zeros((10, picture.width, 3), np.float32)], format)


@pytest.mark.parametrize(("format", "side"), [("jpeg", 65501), ("webp", 16384)])
def test_sides_that_a_format_cannot_hold(format: Any, side: int, tmp_path: Path) -> None:
    Image.new("RGB", (side, 1)).save(tmp_path / "in.png")
    with pytest.raises(UserError, match=f"a side of {side} pixels, and {format} holds {side - 1}"):
        copied(tmp_path / "in.png", tmp_path / "out", format=format)
    Image.new("RGB", (side - 1, 1)).save(tmp_path / "in.png")
    assert open_image(copied(tmp_path / "in.png", tmp_path / "out", format=format)).width == side - 1
