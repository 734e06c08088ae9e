"""EXIF that every reader can read and that is true of the output; Photoshop's and GeoTIFF's tags; comments."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from support.image_files import PHOTO, PIXELS, chunks_of, copied, jpeg
from support.programs import exiftool, program, set_tags, tags

from unseen.restoration.imagefiles.exif import mended_exif
from unseen.restoration.imagefiles.geotiff import geo_entries
from unseen.restoration.imagefiles.ifd import Entry, Layout
from unseen.restoration.imagefiles.photoshop import read_resources

THUMBNAIL = b"\xff\xd8\xff\xdb" + b"old picture" * 9 + b"\xff\xd9"


def exif(order: str = "<", *, thumbnail: bool = True, spoil: str = "") -> bytes:
    """EXIF of a maker's name, of the size with interoperability, of a maker's note, and with a thumbnail."""
    note = b"note with offsets of its own"
    at = {"first": 8, "detail": 100, "inter": 200, "note": 300, "make": 340, "second": 400, "thumbnail": 460}
    body = bytearray(460)

    def directory(name: str, entries: list[tuple[int, int, int, int]], following: int = 0) -> None:
        rows = b""
        for tag, type_, count, value in entries:
            short = type_ == 3 and count == 1
            rows += struct.pack(f"{order}HHI{'H2x' if short else 'I'}", tag, type_, count, value)
        data = struct.pack(f"{order}H", len(entries)) + rows + struct.pack(f"{order}I", following)
        body[at[name] : at[name] + len(data)] = data

    mark = b"II" if order == "<" else b"MM"
    body[:8] = struct.pack(f"{order}2sHI", mark, 42, 8)
    make = (271, 2, 2**31 if spoil == "value" else 10, at["make"])
    directory("first", [make, (274, 3, 1, 6), (34665, 4, 1, 2**31 if spoil == "pointer" else at["detail"])],
              at["second"] if thumbnail else 0)  # fmt: skip
    directory("detail", [(37500, 7, len(note), at["note"]), (40962, 3, 1, 64), (40963, 4, 1, 48),
                         (40965, 4, 1, at["inter"])])  # fmt: skip
    directory("inter", [(1, 2, 4, int.from_bytes(b"R98\0", "little" if order == "<" else "big")), (4097, 3, 1, 64)])
    body[at["note"] : at["note"] + len(note)] = note
    body[at["make"] : at["make"] + 10] = b"Maker One\0"
    directory("second", [(513, 4, 1, at["thumbnail"]), (514, 4, 1, len(THUMBNAIL))])
    whole = bytes(body) + THUMBNAIL if thumbnail else bytes(body[:400])
    return whole[:300] if spoil == "cut" else whole


@pytest.mark.programs
@pytest.mark.parametrize("order", ["<", ">"])
def test_makers_notes_stay_where_they_are_and_sizes_follow(order: str, tmp_path: Path) -> None:
    path = jpeg(tmp_path / "in.jpg", (0xE1, b"Exif\0\0" + exif(order)))
    out = tmp_path / "out.jpg"
    assert copied(path, out, scale=2) == []
    assert tags(out, "Make", "ExifImageWidth", "ExifImageHeight", "RelatedImageWidth", "Orientation") == {
        "IFD0:Make": "Maker One", "IFD0:Orientation": 1,
        "ExifIFD:ExifImageWidth": 96, "ExifIFD:ExifImageHeight": 128, "InteropIFD:RelatedImageWidth": 96,
    }  # fmt: skip
    content = out.read_bytes()
    start = content.index(b"Exif\0\0") + 6
    assert content.index(b"note with offsets") - start == 300
    assert b"old picture" not in content
    assert b"Error" not in exiftool("-validate", "-error", "-warning", "-a", out)


def test_a_size_above_a_short_number_is_written_long() -> None:
    mended, remark = mended_exif(exif(), 70_000, 80_000, moved=False)
    assert remark == ""
    found = Image.Exif()
    found.load(b"Exif\0\0" + mended)
    assert (found.get_ifd(34665)[40962], found.get_ifd(34665)[40963]) == (70_000, 80_000)


@pytest.mark.programs
@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize(("spoil", "make"), [("value", None), ("pointer", "Maker One"), ("cut", None)])
def test_broken_exif_is_never_carried(spoil: str, make: str | None, format: str, tmp_path: Path) -> None:
    path = jpeg(tmp_path / "in.jpg", (0xE1, b"Exif\0\0" + exif(spoil=spoil)))
    out = tmp_path / f"out.{format}"
    remarks = copied(path, out, format)
    assert remarks == ["its EXIF is broken in parts, which are left out"]
    told = exiftool("-validate", "-error", "-warning", "-a", "-s", out).decode().splitlines()
    # Of tags that the standard asks for, and that the input lacks, or of tags that TIFF's EXIF has elsewhere.
    usual = ("Validate", "Missing required", "not allowed in TIFF", "tag 0x0103 Compression")
    assert [line for line in told if not any(word in line for word in usual)] == []
    with Image.open(out) as image:
        assert image.getexif().get(271) == make
    program("identify-im6.q16", "-regard-warnings", out)


@pytest.mark.parametrize(
    "broken", [b"II*\0\xff\xff\xff\xff", b"no EXIF at all", b"II+\0\x08\0\0\0" + bytes(40), b"II*\0"]
)
def test_exif_without_a_directory_is_left_out(broken: bytes) -> None:
    assert mended_exif(b"Exif\0\0" + broken, 9, 9, moved=False) == (b"", "its EXIF is broken and left out")


@pytest.mark.parametrize("after", [b"", b"end"], ids=["cut off", "blanked"])
def test_a_thumbnail_that_covers_the_directory_takes_nothing_with_it(after: bytes) -> None:
    make = struct.pack("<HHHI4sI", 1, 271, 2, 4, b"who\0", 58)
    second = struct.pack("<HHHIIHHIII", 2, 513, 4, 1, 8, 514, 4, 1, 88 - 8, 0)
    broken = struct.pack("<2sHI", b"II", 42, 40) + b"\xff\xd8" + bytes(30) + make + second
    mended, remark = mended_exif(broken + after, 10, 10, moved=False)
    assert b"who" in mended
    assert remark == ""


def test_directories_in_a_circle_come_to_an_end() -> None:
    circle = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 34665, 4, 1, 8, 0)
    mended, remark = mended_exif(circle, 9, 9, moved=False)
    assert remark == "its EXIF is broken in parts, which are left out"
    assert len(mended) < 100


def test_no_damage_to_exif_gets_through(tmp_path: Path) -> None:
    """Whatever bytes are wrong: the result is whole, by a second look of the same function and by Pillow's."""
    rng, sound = np.random.default_rng(1), exif()
    for _ in range(500):
        spoilt = bytearray(sound)
        for position in rng.integers(0, len(sound), 4):
            spoilt[position] = rng.integers(256)
        mended, _ = mended_exif(bytes(spoilt[: rng.integers(8, len(sound))]), 96, 64, moved=False)
        assert mended_exif(mended, 96, 64, moved=False) == (mended, "")
        found = Image.Exif()
        found.load(mended)
        dict(found)


def test_the_space_of_colours_is_not_invented(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "in.jpg", (0xE1, b"Exif\0\0" + exif()))
    for format in ("jpeg", "png", "webp", "tiff"):
        copied(path, tmp_path / "out", format)
        with Image.open(tmp_path / "out") as image:
            assert set(image.getexif().get_ifd(34665)) - {40965} == {37500, 40962, 40963}


@pytest.mark.programs
def test_where_the_subject_was_is_left_out_of_a_turned_picture(tmp_path: Path) -> None:
    path = set_tags(jpeg(tmp_path / "in.jpg"), "-SubjectArea=10 20 5 5", "-ISO=400")
    copied(path, tmp_path / "same.jpg")
    assert tags(tmp_path / "same.jpg", "SubjectArea") == {"ExifIFD:SubjectArea": "10 20 5 5"}
    copied(path, tmp_path / "larger.jpg", scale=2)
    assert tags(tmp_path / "larger.jpg", "SubjectArea", "ISO") == {"ExifIFD:ISO": 400}


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# ------------------------------------------------------------------------------------------ comments


@pytest.mark.programs
def test_comments_of_jpeg_go_along(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "in.jpg", (0xFE, b"first"), (0xFE, "zweitér".encode("latin-1")))
    for format, found in (
        ("jpeg", {"File:Comment": "first"}),
        ("png", {"PNG:Comment": "zweitér"}),  # the last of them
        ("tiff", {"ExifIFD:UserComment": "first\nzweitér"}),
        ("webp", {"ExifIFD:UserComment": "first\nzweitér"}),
    ):
        out = tmp_path / f"out.{format}"
        assert copied(path, out, format) == []
        assert tags(out, "Comment", "UserComment") == found
    assert "zweitér".encode() in (tmp_path / "out.jpeg").read_bytes()
    assert chunks_of(tmp_path / "out.png")[0] == (b"tEXt", b"Comment\0first")
    set_tags(path, "-UserComment=of its own")
    assert copied(path, tmp_path / "out.webp", "webp") == ["WebP has no place for its comment"]


# ------------------------------------------------------------------------------------------ Photoshop's resources


def resource(number: int, data: bytes) -> bytes:
    return struct.pack(">4sHHI", b"8BIM", number, 0, len(data)) + data + bytes(len(data) % 2)


@pytest.mark.programs
@pytest.mark.parametrize("format", ["jpeg", "tiff", "png"])
@pytest.mark.parametrize("source", ["jpeg", "tiff"])
def test_resources_and_iptc_go_along_without_the_thumbnail(source: str, format: str, tmp_path: Path) -> None:
    iptc = b"\x1c\x02\x00\x00\x02\x00\x04" + b"\x1c\x02\x19\x00\x05words"
    resources = resource(1036, b"old picture") + resource(1028, iptc) + resource(1034, b"\1")
    if source == "jpeg":
        path = jpeg(tmp_path / "in.jpg", (0xED, b"Photoshop 3.0\0" + resources))
    else:
        path = tmp_path / "in.tif"
        tag: Any = (34377, "B", len(resources), resources, True)
        tifffile.imwrite(path, PIXELS, photometric="rgb", metadata=None, extratags=[tag])
    out = tmp_path / f"out.{format}"
    assert copied(path, out, format) == []
    assert tags(out, "IPTC:Keywords", "Photoshop:CopyrightFlag") == {
        "IPTC:Keywords": "words", "Photoshop:CopyrightFlag": 1
    }  # fmt: skip
    assert b"old picture" not in out.read_bytes()
    if format == "png":
        assert copied(out, tmp_path / "again.jpg", "jpeg") == []
        assert tags(tmp_path / "again.jpg", "IPTC:Keywords") == {"IPTC:Keywords": "words"}


def test_broken_resources_end_where_they_break() -> None:
    sound = resource(1034, b"\1")
    [first], iptc, whole = read_resources(sound + resource(1005, bytes(16))[:-4])
    assert (first.number, first.data, iptc, whole) == (1034, b"\1", b"", False)
    for end in range(40):
        read_resources(resource(1005, bytes(16))[:end] + b"\xff" * end)


# ------------------------------------------------------------------------------------------ TIFF's tags


@pytest.mark.programs
def test_names_of_document_and_page_go_along(tmp_path: Path) -> None:
    named: list[Any] = [(269, "s", 0, "document", True), (285, "s", 0, "page", True), (65000, "s", 0, "mine", True)]
    tifffile.imwrite(tmp_path / "in.tif", PIXELS, photometric="rgb", metadata=None, extratags=named)
    for format in ("tiff", "jpeg", "png", "webp"):
        out = tmp_path / f"out.{format}"
        assert copied(tmp_path / "in.tif", out, format) == [
            "tags of its TIFF that only its maker knows are left out: 65000"
        ]
        assert tags(out, "DocumentName", "PageName") == {"IFD0:DocumentName": "document", "IFD0:PageName": "page"}


@pytest.mark.programs
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("scale", [1, 2])
def test_the_place_on_the_earth_stays_true(scale: int, order: Any, tmp_path: Path) -> None:
    geo: list[Any] = [
        (33550, "d", 3, (0.5, 0.25, 1.0), True), (33922, "d", 6, (8, 4, 0, 440720.0, 3751320.0, 0), True),
        (34735, "H", 8, (1, 1, 0, 1, 1025, 0, 1, 1), True), (34737, "s", 0, "WGS 84|", True),
        (42113, "s", 0, "0", True),
    ]  # fmt: skip
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", metadata=None, extratags=geo, byteorder=order)
    out = tmp_path / "out.tif"
    assert copied(path, out, scale=scale) == []
    with tifffile.TiffFile(out) as file:
        found: Any = {tag.code: tag.value for tag in file.pages[0].tags}  # type: ignore[union-attr]
    assert found[33550] == (0.5 / scale, 0.25 / scale, 1.0)
    assert found[33922] == (8 * scale, 4 * scale, 0, 440720.0, 3751320.0, 0)
    assert (found[34735], found[34737], found[42113]) == ((1, 1, 0, 1, 1025, 0, 1, 1), "WGS 84|", "0")
    assert copied(path, tmp_path / "out.png", "png") == ["PNG has no place for its place on the earth (GeoTIFF)"]
    set_tags(path, "-Orientation#=6")
    assert copied(path, tmp_path / "turned.tif") == ["TIFF has no place for its place on the earth (GeoTIFF)"]


@pytest.mark.parametrize("raster_type", [1, 2], ids=["areas", "points"])
def test_an_enlarged_pixel_lies_where_it_lay(raster_type: int) -> None:
    """The corner or centre of a pixel goes to the same place on the earth (GeoTIFF 1.1, section 7.1)."""
    matrix = np.array([[3.0, 0.5, 0, 100], [0.25, -2, 0, 200], [0, 0, 0, 0], [0, 0, 0, 1]])
    keys = struct.pack("<8H", 1, 1, 0, 1, 1025, 0, 1, raster_type)
    entries = {34264: Entry(12, matrix.astype("<f8").tobytes()), 34735: Entry(3, keys)}
    scaled = np.frombuffer(geo_entries(entries, Layout("<"), 4)[34264].data, "<f8").reshape(4, 4)
    half = 0.5 if raster_type == 2 else 0.0
    for i, j in ((0, 0), (5, 7)):
        # Corner (i, j) of the old picture is corner (4 i, 4 j) of the new one; points are half a pixel further.
        old = matrix @ [i - half, j - half, 0, 1]
        new = scaled @ [4 * i - half, 4 * j - half, 0, 1]
        assert new == pytest.approx(old)


@pytest.mark.programs
def test_exif_of_a_bigtiff_is_read_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "in.tif", PIXELS, photometric="rgb", metadata=None, description="told")
    set_tags(tmp_path / "in.tif", "-ISO=400")
    monkeypatch.setattr("unseen.restoration.imagefiles.encode._CLASSIC_TIFF", 0)
    assert copied(tmp_path / "in.tif", tmp_path / "big.tif") == []
    assert (tmp_path / "big.tif").read_bytes()[:4] == b"II+\0"
    assert copied(tmp_path / "big.tif", tmp_path / "out.jpg", "jpeg") == []
    for out in (tmp_path / "big.tif", tmp_path / "out.jpg"):
        # In a BigTIFF, exiftool calls the directory by its pointer.
        assert list(tags(out, "ISO", "ImageDescription").values()) in ([400, "told"], ["told", 400])
    program("tiffinfo", tmp_path / "big.tif")


def test_entries_that_all_claim_the_whole_file_cost_little_memory() -> None:
    rows = b"".join(struct.pack("<HHII", tag, 7, 2**22, 0) for tag in range(300, 4300))
    hostile = struct.pack("<2sHIH", b"II", 42, 8, 4000) + rows + bytes(2**22)
    tracemalloc.start()
    mended_exif(hostile, 9, 9, moved=False)
    assert tracemalloc.get_traced_memory()[1] < 2**29
    tracemalloc.stop()


def test_what_is_too_large_for_jpeg_is_named(tmp_path: Path) -> None:
    large = srgb() + bytes(2**24)
    large = struct.pack(">I", len(large)) + large[4:]
    description = "x" * 70_000
    tag: Any = (34675, "B", len(large), large, True)
    tifffile.imwrite(
        tmp_path / "in.tif", PIXELS, photometric="rgb", metadata=None, description=description, extratags=[tag]
    )
    assert copied(tmp_path / "in.tif", tmp_path / "out.jpg", "jpeg") == [
        "JPEG has no place for its EXIF of over 64 kilobytes and its profile of over 16 megabytes"
    ]
    assert copied(tmp_path / "in.tif", tmp_path / "out.webp", "webp") == []
    with Image.open(tmp_path / "out.webp") as image:
        assert (image.getexif()[270], image.info["icc_profile"]) == (description, large)


def test_a_profile_in_bmp_goes_along(tmp_path: Path) -> None:
    PHOTO.save(tmp_path / "in.bmp")
    content = (tmp_path / "in.bmp").read_bytes()
    pixels, profile = content[54:], srgb()
    header = bytearray(124)
    header[:40] = struct.pack("<I", 124) + content[18:54]
    header[56:60] = b"DEBM"
    header[112:120] = struct.pack("<II", 124 + len(pixels), len(profile))
    start = struct.pack("<2sIII", b"BM", 138 + len(pixels) + len(profile), 0, 138)
    (tmp_path / "in.bmp").write_bytes(start + header + pixels + profile)
    assert copied(tmp_path / "in.bmp", tmp_path / "out.png", "png") == []
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["icc_profile"] == profile
        assert np.array_equal(np.asarray(image), PIXELS)
    assert copied(tmp_path / "in.bmp", tmp_path / "out.bmp") == ["BMP has no place for its profile"]
