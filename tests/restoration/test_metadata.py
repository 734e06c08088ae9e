"""What image files hold beside their pixels stays as it is, becomes true of the output, or is remarked on."""

from __future__ import annotations

import hashlib
import struct
import time
import zlib
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import canonicalize

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps
from support.commandline import CommandLine
from support.image_files import chunks_of, copied, jpeg, png
from support.programs import magick, program, set_tags, tags

import unseen as package
from unseen.restoration.imagefiles.png_chunks import Chunk, texts_of
from unseen.restoration.imagefiles.xmp import CONTAINER_GONE, FILM_GONE, HDR_GONE, XmpTarget, mended_xmp

FORMATS = ("png", "jpeg", "tiff", "webp", "bmp")
XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"


def packet(properties: str, *, attributes: str = "") -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        f'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" {attributes}>'
        f'{properties}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


# ------------------------------------------------------------------------------------------ texts of PNG

TEXTS = [
    (b"tEXt", "Author\0Ærø".encode("latin-1")),
    (b"tEXt", b"a key with spaces\0" + b"v" * 300),
    (b"zTXt", b"Disclaimer\0\0" + zlib.compress("größer".encode("latin-1"))),
    (b"iTXt", "Description\0\0\0ja\0説明\0日本語の説明".encode()),
    (b"iTXt", b"Long\0\1\0de\0lang\0" + zlib.compress("☃".encode() * 1000)),
    (b"tEXt", "clé\0valeur".encode("latin-1")),
    (b"tEXt", b"Comment\0told"),
    (b"tEXt", b"Comment\0twice"),
]


def test_many_texts_that_are_too_large_make_the_work_of_one() -> None:
    bomb = Chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26 + 1)))
    began = time.process_time()
    assert [text for _, text in texts_of([bomb] * 100)] == [None] * 100
    assert time.process_time() - began < 5


def test_texts_of_png_are_kept_to_the_byte(tmp_path: Path) -> None:
    assert copied(png(tmp_path / "in.png", *TEXTS), tmp_path / "out.png") == []
    assert chunks_of(tmp_path / "out.png") == TEXTS


@pytest.mark.programs
@pytest.mark.parametrize("format", ["jpeg", "tiff", "webp"])
def test_texts_of_png_go_where_other_formats_have_a_place(format: str, tmp_path: Path) -> None:
    out = tmp_path / f"out.{format}"
    remarks = copied(png(tmp_path / "in.png", *TEXTS), out, format)
    assert tags(out, "IFD0:Artist", "IFD0:ImageDescription") == {
        "IFD0:Artist": "Ærø", "IFD0:ImageDescription": "日本語の説明"
    }  # fmt: skip
    name = {"jpeg": "JPEG", "tiff": "TIFF", "webp": "WebP"}[format]
    assert remarks == [f"{name} has no place for its texts “a key with spaces”, “Disclaimer”, “Long” and “clé”"]
    if format == "jpeg":
        assert {b"told", b"twice"} <= {data for app, data in Image.open(out).applist if app == "COM"}  # type: ignore[attr-defined]
    else:
        assert tags(out, "ExifIFD:UserComment") == {"ExifIFD:UserComment": "told\ntwice"}


@pytest.mark.parametrize(
    "broken",
    [
        (b"zTXt", b"Bomb\0\0" + zlib.compress(bytes(2**27))),
        (b"zTXt", b"Cut\0\0" + zlib.compress(b"x" * 1000)[:-8]),
        (b"iTXt", b"Key\0\0\0de\0lang\0\xff\xfe"),
        (b"iTXt", b"Key\0\0"),
        (b"tEXt", b"without an end"),
        (b"tEXt", b"\0no keyword"),
    ],
    ids=["bomb", "cut", "no UTF-8", "short", "no separator", "no keyword"],
)
def test_a_broken_text_is_left_out_and_remarked_on(broken: tuple[bytes, bytes], tmp_path: Path) -> None:
    remarks = copied(png(tmp_path / "in.png", broken, TEXTS[0]), tmp_path / "out.png")
    assert remarks == ["1 of its PNG's texts are broken, and left out"]
    assert chunks_of(tmp_path / "out.png") == [TEXTS[0]]


def test_a_text_with_a_wrong_checksum_is_left_out(tmp_path: Path) -> None:
    content = png(tmp_path / "in.png", *TEXTS).read_bytes()
    (tmp_path / "in.png").write_bytes(content.replace(b"told", b"t0ld"))
    assert copied(tmp_path / "in.png", tmp_path / "out.png") == [
        "some chunks of its PNG are broken or too large, and left out"
    ]
    assert chunks_of(tmp_path / "out.png") == [chunk for chunk in TEXTS if b"told" not in chunk[1]]


@pytest.mark.programs
def test_raw_profiles_of_imagemagick_become_what_they_are(tmp_path: Path) -> None:
    described = set_tags(
        jpeg(tmp_path / "in.jpg"), "-Make=M", "-ISO=400", "-IPTC:Keywords=word", "-XMP-dc:Title=hi", "-Orientation#=1"
    )
    magick(described, tmp_path / "in.png")
    assert b"Raw profile type iptc" in (tmp_path / "in.png").read_bytes()
    for format in ("png", "jpeg", "tiff"):
        out = tmp_path / f"out.{format}"
        assert copied(tmp_path / "in.png", out, format) == []
        assert tags(out, "IFD0:Make", "ExifIFD:ISO", "IPTC:Keywords", "XMP-dc:Title") == {
            "IFD0:Make": "M", "ExifIFD:ISO": 400, "IPTC:Keywords": "word", "XMP-dc:Title": "hi"
        }  # fmt: skip
    seen = program("identify-im6.q16", "-verbose", tmp_path / "out.png")
    assert b"Profile-iptc" in seen
    assert b"Profile-xmp" in seen
    assert copied(tmp_path / "in.png", tmp_path / "out.webp", "webp") == ["WebP has no place for its IPTC"]


def test_exif_with_the_mark_of_jpeg_turns_a_png(tmp_path: Path) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        path = png(tmp_path / "in.png", (b"eXIf", exif.tobytes()))
        assert exif.tobytes().startswith(b"Exif\0\0")
        copied(path, tmp_path / "out.png")
        with Image.open(path) as image, Image.open(tmp_path / "out.png") as out:
            assert np.array_equal(np.asarray(ImageOps.exif_transpose(image)), np.asarray(out))
            assert out.getexif()[274] == 1


@pytest.mark.programs
def test_exif_of_a_raw_profile_stays_one_in_png(tmp_path: Path) -> None:
    """As ImageMagick wrote it before PNG had a chunk for EXIF."""
    buffer = Image.Exif()
    buffer[271], buffer[274] = "M", 6
    data = buffer.tobytes()
    text = f"\nexif\n{len(data):8}\n" + "\n".join(data.hex()[at : at + 72] for at in range(0, 2 * len(data), 72)) + "\n"
    raw = (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text.encode()))
    assert copied(png(tmp_path / "in.png", raw), tmp_path / "out.png") == []
    assert [name for name, _ in chunks_of(tmp_path / "out.png")] == [b"zTXt"]
    copied(tmp_path / "in.png", tmp_path / "out.jpg", "jpeg")
    for out in (tmp_path / "out.png", tmp_path / "out.jpg"):
        assert tags(out, "IFD0:Make", "IFD0:Orientation") == {"IFD0:Make": "M", "IFD0:Orientation": 1}
        with Image.open(tmp_path / "in.png") as image, Image.open(out) as upright:
            image.load()
            assert ImageOps.exif_transpose(image).size == upright.size == (48, 64)
    broken = (b"tEXt", b"Raw profile type exif\0\nexif\n   99\n00")
    assert copied(png(tmp_path / "in.png", broken), tmp_path / "out.png") == [
        "its PNG's raw profile of type exif is broken, and left out"
    ]


def test_chunks_that_are_safe_to_copy_are_copied(tmp_path: Path) -> None:
    """By the case of their fourth letter: W3C, Portable Network Graphics, section 5.4."""
    own = [(b"prVt", b"mine"), (b"prVT", b"of these pixels"), (b"tIME", bytes(7))]
    assert copied(png(tmp_path / "in.png", *own), tmp_path / "out.png") == [
        "chunks of its PNG that only its maker knows are left out: prVT"
    ]
    assert chunks_of(tmp_path / "out.png") == [(b"prVt", b"mine")]


# ------------------------------------------------------------------------------------------ resolution


@pytest.mark.parametrize("unit", [0, 1])
def test_a_resolution_keeps_its_unit(unit: int, tmp_path: Path) -> None:
    stated = (b"pHYs", struct.pack(">IIB", 2000, 3000, unit))
    copied(png(tmp_path / "in.png", stated), tmp_path / "out.png")
    assert chunks_of(tmp_path / "out.png") == [stated]
    copied(tmp_path / "in.png", tmp_path / "out.tif", "tiff")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        found: Any = {name: file.pages[0].tags[name].value for name in ("XResolution", "YResolution", "ResolutionUnit")}  # type: ignore[union-attr]
    x, y = found["XResolution"], found["YResolution"]
    assert x[0] * y[1] * 3 == y[0] * x[1] * 2
    assert found["ResolutionUnit"] == (3 if unit else 1)
    assert not unit or x[0] / x[1] == 20
    copied(tmp_path / "out.tif", tmp_path / "again.png", "png")
    [(name, data)] = chunks_of(tmp_path / "again.png")
    x_png, y_png, unit_png = struct.unpack(">IIB", data)
    assert (name, x_png * 3, unit_png) == (b"pHYs", y_png * 2, unit)


@pytest.mark.parametrize("format", FORMATS)
def test_a_resolution_is_not_invented(format: str, tmp_path: Path) -> None:
    copied(png(tmp_path / "in.png"), tmp_path / f"out.{format}", format)
    with Image.open(tmp_path / f"out.{format}") as image:
        assert image.info.get("dpi", (0, 0))[0] in (0, 1)
        assert dict(image.getexif()).keys() <= set(range(254, 340))  # TIFF's own


# ------------------------------------------------------------------------------------------ XMP

GAIN_MAP = packet(
    '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" '
    'Item:Mime="image/jpeg"/></rdf:li><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" '
    'Item:Length="9"/></rdf:li></rdf:Seq></Container:Directory><dc:format>image/jpeg</dc:format>',
    attributes='xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:Container="http://ns.google.com/photos/1.0/container/" hdrgm:Version="1.0" '
    'xmlns:Item="http://ns.google.com/photos/1.0/container/item/"',
)
FILM = packet(
    "<GCamera:MotionPhotoPresentationTimestampUs>7</GCamera:MotionPhotoPresentationTimestampUs>",
    attributes='xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1" '
    'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="4108" GCamera:BurstID="kept"',
)


@pytest.mark.programs
@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp"])
def test_what_xmp_tells_of_the_rest_of_the_file_is_taken_out(format: str, tmp_path: Path) -> None:
    out = tmp_path / f"out.{format}"
    remarks = copied(jpeg(tmp_path / "hdr.jpg", (0xE1, XMP_MARK + GAIN_MAP), trailer=b"gain map"), out, format)
    assert remarks == ["its HDR gain map is left out: the output is the picture that ordinary screens show"]
    assert tags(out, "XMP:all") == {"XMP-dc:Format": f"image/{format}"}
    assert not any(word in out.read_bytes() for word in (b"gain-map", b"container"))
    remarks = copied(jpeg(tmp_path / "film.jpg", (0xE1, XMP_MARK + FILM), trailer=b"film"), out, format)
    assert remarks == ["its film (motion photo) is left out"]
    assert tags(out, "XMP:all") == {"XMP-GCamera:BurstID": "kept"}


def test_what_only_segments_tell_of_the_rest_of_the_file_is_remarked_on(tmp_path: Path) -> None:
    segments = [(0xE2, b"MPF\0II*\0\x08\0\0\0"), (0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"), (0xEB, b"JP jumb")]
    assert copied(jpeg(tmp_path / "in.jpg", *segments), tmp_path / "out.jpg") == [
        HDR_GONE, CONTAINER_GONE, "segment APP11 of its JPEG is left out"
    ]  # fmt: skip
    content = (tmp_path / "out.jpg").read_bytes()
    assert not any(mark in content for mark in (b"MPF", b"21496", b"jumb"))
    assert copied(tmp_path / "out.jpg", tmp_path / "again.jpg") == []


@pytest.mark.parametrize(
    ("trailer", "remarks"),
    [
        (b"urn:com:apple:photo:2020:aux:hdrgainmap", [HDR_GONE]),
        (b"\0\0\0\x18ftypmp42" + bytes(99), [FILM_GONE]),
        (b"SEFH MotionPhoto_Data", [FILM_GONE]),
        (b"padding", []),
    ],
    ids=["Apple", "film", "Samsung", "nothing"],
)
def test_what_follows_the_picture_is_remarked_on(trailer: bytes, remarks: list[str], tmp_path: Path) -> None:
    assert copied(jpeg(tmp_path / "in.jpg", trailer=trailer), tmp_path / "out.jpg") == remarks
    assert trailer not in (tmp_path / "out.jpg").read_bytes()


def extended(text: bytes, size: int = 100, missing: int = -1) -> list[tuple[int, bytes]]:
    whole = packet(
        f"<dc:description>{text.decode()}</dc:description>", attributes='xmlns:dc="http://purl.org/dc/elements/1.1/"'
    )
    digest = hashlib.md5(whole).hexdigest().upper().encode()
    first = packet("", attributes='xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="' + digest.decode() + '"')
    parts = [
        b"http://ns.adobe.com/xmp/extension/\0" + digest + struct.pack(">II", len(whole), at) + whole[at : at + size]
        for at in range(0, len(whole), size)
        if at // size != missing
    ]
    return [(0xE1, XMP_MARK + first), *((0xE1, part) for part in parts[::-1])]


@pytest.mark.programs
@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp"])
def test_extended_xmp_is_joined(format: str, tmp_path: Path) -> None:
    out = tmp_path / f"out.{format}"
    for text, size in ((b"told", 100), (b"long " * 20_000 + b"end", 60_000)):
        assert copied(jpeg(tmp_path / "in.jpg", *extended(text, size)), out, format) == []
        assert tags(out, "XMP-dc:Description") == {"XMP-dc:Description": text.decode()}
        assert (b"HasExtendedXMP" in out.read_bytes()) == (format == "jpeg" and len(text) > 65_000)
    remarks = copied(jpeg(tmp_path / "in.jpg", *extended(b"told", 100, missing=1)), out, format)
    assert remarks == ["the extended part of its XMP is missing or broken"]
    assert b"HasExtendedXMP" not in out.read_bytes()


def test_many_references_to_extended_xmp_make_the_work_of_one() -> None:
    reference = f'<n:a n:HasExtendedXMP="{"A" * 32}"/>'
    first = packet(reference * 1000, attributes='xmlns:n="http://ns.adobe.com/xmp/note/"')
    began = time.process_time()
    mended, _ = mended_xmp(first, XmpTarget(1, 1, 1, False, "image/png"), {"A" * 32: packet("<x:a/>" * 5000)})
    assert time.process_time() - began < 5
    assert mended.count(b"<x:a/>") == 5000
    assert b"HasExtendedXMP" not in mended


def test_sizes_in_xmp_follow_the_picture(tmp_path: Path) -> None:
    names = ("FullPanoWidthPixels", "FullPanoHeightPixels", "CroppedAreaImageWidthPixels", "CroppedAreaLeftPixels")
    pano = 'xmlns:P="http://ns.google.com/photos/1.0/panorama/" ' + " ".join(f'P:{name}="128"' for name in names)
    sizes = (
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:PixelXDimension="64" '
        'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:ImageLength="9"'
    )
    elements = "<exif:PixelYDimension>48</exif:PixelYDimension><tiff:ImageWidth> 64 </tiff:ImageWidth>"
    mended, remarks = mended_xmp(
        packet(elements, attributes=f"{pano} {sizes}"), XmpTarget(128, 96, 2, False, "image/png")
    )
    assert remarks == []
    expected = packet(
        "<exif:PixelYDimension>96</exif:PixelYDimension><tiff:ImageWidth>128</tiff:ImageWidth>",
        attributes=f"{pano} {sizes}".replace('"128"', '"256"').replace('"64"', '"128"').replace('"9"', '"96"'),
    )
    assert canonicalize(mended) == canonicalize(expected)


def test_sizes_of_areas_thumbnails_and_the_media_type_follow_too() -> None:
    namespaces = (
        'xmlns:r="http://www.metadataworkinggroup.com/schemas/regions/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:d="http://ns.adobe.com/xap/1.0/sType/Dimensions#" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    )
    area = '<r:Regions rdf:parseType="Resource"><r:AppliedToDimensions d:w="{}" d:h="{}"/></r:Regions>'
    elsewhere = '<dc:x d:w="64"/>'
    given = f"{area.format(64, 48)}{elsewhere}<dc:format>image/jpeg</dc:format><xmp:Thumbnails>old</xmp:Thumbnails>"
    expected = f"{area.format(192, 144)}{elsewhere}<dc:format>image/png</dc:format>"
    target = XmpTarget(192, 144, 3, False, "image/png")
    mended, remarks = mended_xmp(packet(given, attributes=namespaces), target)
    assert canonicalize(mended) == canonicalize(packet(expected, attributes=namespaces))
    assert remarks == []


def test_a_remark_reaches_the_line_of_its_photograph(unseen: CommandLine, tmp_path: Path) -> None:
    jpeg(tmp_path / "film.jpg", (0xE1, XMP_MARK + FILM), (0xFE, b"said"))
    result = unseen("restore", tmp_path / "film.jpg", "-o", tmp_path / "film.png", "--device", "cpu")
    assert [FILM_GONE in line for line in result.err.splitlines() if "look at" in line] == [True]
    assert (b"tEXt", b"Comment\0said") in chunks_of(tmp_path / "film.png")


def test_faces_in_xmp_are_left_out_of_a_turned_picture() -> None:
    faces = packet("<r:Regions/>", attributes='xmlns:r="http://www.metadataworkinggroup.com/schemas/regions/"')
    assert mended_xmp(faces, XmpTarget(64, 48, 1, False, "image/png")) == (faces, [])
    mended, remarks = mended_xmp(faces, XmpTarget(48, 64, 1, True, "image/png"))
    assert b"r:Regions" not in mended
    assert remarks == ["areas of faces in its XMP are left out, since the picture was turned"]


def test_xmp_that_is_true_stays_as_it_is_to_the_byte(tmp_path: Path) -> None:
    odd = packet(
        "<dc:title  >\n a &amp; b &#x263A; </dc:title>", attributes="xmlns:dc='http://purl.org/dc/elements/1.1/'"
    )
    for format in ("png", "jpeg", "tiff", "webp"):
        copied(jpeg(tmp_path / "in.jpg", (0xE1, XMP_MARK + odd)), tmp_path / "out", format)
        assert odd in (tmp_path / "out").read_bytes()


ENTITIES = b'<!DOCTYPE x [<!ENTITY a "%s">]>' % (b"lol" * 100)


@pytest.mark.parametrize(
    "hostile",
    [
        ENTITIES + packet("<a>&a;&a;</a>"),
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
        (ENTITIES + b"<a/>").decode().encode("utf-16"),
        b"<a>" * 200 + b"</a>" * 200,
        b"<x>" + b"<a/>" * 60_000 + b"</x>",
        b"<x " + b" ".join(b'a%d=""' % i for i in range(60_000)) + b"/>",
        packet("<undeclared:a/>"),
        packet("")[:-60],
        b"\xff\xfe\xff",
    ],
    ids=["entities", "external", "UTF-16", "deep", "many", "attributes", "namespace", "cut", "no XML"],
)
def test_hostile_xmp_is_left_out_unread(hostile: bytes) -> None:
    assert mended_xmp(hostile, XmpTarget(64, 48, 1, False, "image/png")) == (b"", ["its XMP is broken and left out"])


def test_nothing_here_reads_xml_in_another_way() -> None:
    sources = {path.name: path.read_text() for path in Path(package.__path__[0]).rglob("*.py")}
    assert [name for name, text in sources.items() if "import minidom" in text or "etree" in text] == ["xmp.py"]
