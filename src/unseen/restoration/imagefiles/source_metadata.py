"""The content of an image file beside its pixels, as the file holds it, whatever its format."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

from ...data import heif
from .decode import SourceFormat, clear_read_errors, open_header, orientation_of, to_gray_or_rgb
from .exif import MARK, tree_of
from .geotiff import GEO_TAGS
from .ifd import BrokenStructure, Layout, Tree
from .image_file import ImageFile
from .jpeg_segments import XMP_MARK, read_segments
from .photoshop import Resource, read_resources
from .png_chunks import (
    COLOURS,
    TEXTS,
    Chunk,
    Text,
    is_xmp,
    raw_profile_of,
    read_chunks,
    resolution_of,
    texts_of,
)
from .png_exif import EXIF_CHUNK, raw_exif_of
from .resolution import Resolution, resolution_of_entries
from .tiff_exif import IPTC, PHOTOSHOP, XMP, bytes_of, exif_of_tree, other_tags, tree_of_tiff

_MOST_PROFILE = 2**24


@dataclass
class SourceMetadata:
    """The content of an image file beside its pixels.

    Attributes:
        turned: whether the pixels are turned or mirrored to stand upright.
        profile: the ICC profile of the pixels after they are converted to gray or RGB; empty if there is none.
        exif: EXIF, with or without its mark; empty if there is none.
        xmp: the packet of XMP; empty if there is none.
        extended_xmp: the parts of extended XMP in a JPEG, by their digests.
        iptc: the records of IPTC; empty if there are none.
        resources: Photoshop's image resources, IPTC apart.
        comments: the comments of a JPEG.
        raw_profiles: the types of "raw profiles" from which EXIF and XMP of a PNG were taken, such as APP1 and xmp.
        texts: the texts of a PNG beside those that hold XMP, EXIF or IPTC, each with its chunk.
        colours: the chunks of a PNG that say what its pixels mean.
        chunks: the other chunks of a PNG that may be copied.
        page: the directory of a TIFF's page.
        layout: the byte order of `page`.
        resolution: the resolution; None if it is not known.
        remarks: remarks on what cannot be read, or never is in an output.
    """

    turned: bool = False
    profile: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    extended_xmp: dict[str, bytes] = field(default_factory=dict)
    iptc: bytes = b""
    resources: list[Resource] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    raw_profiles: list[str] = field(default_factory=list)
    texts: list[tuple[Chunk, Text]] = field(default_factory=list)
    colours: list[Chunk] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    page: Tree = field(default_factory=Tree)
    layout: Layout = field(default_factory=lambda: Layout("<"))
    resolution: Resolution | None = None
    remarks: list[str] = field(default_factory=list)


def read_metadata(source: ImageFile) -> SourceMetadata:
    """Read the content of an image file beside its pixels. Raises UnreadableImage."""
    header = open_header(source.path, source.format, source.page)
    image = to_gray_or_rgb(source.path, header)
    # Not by the list of fields: a keyword of PNG need not be UTF-8, and the list could not be had.
    profile, exif, xmp = (
        bytes(image.get(name)) if image.get_typeof(name) else b""
        for name in ("icc-profile-data", "exif-data", "xmp-data")
    )
    metadata = SourceMetadata(turned=orientation_of(header) != 1, profile=profile)
    with clear_read_errors(source.path), source.path.open("rb") as file:
        match source.format:
            case "png":
                _read_png(metadata, file)
            case "jpeg":
                _read_jpeg(metadata, file)
            case "tiff":
                _read_tiff(metadata, file, source.page)
            case "bmp":
                metadata.profile = _profile_of_bmp(file)
                if image.xres != 1:  # libvips's number for an unknown resolution
                    per_metre = [Fraction(round(value * 1000)) for value in (image.xres, image.yres)]
                    metadata.resolution = Resolution(per_metre[0], per_metre[1], "metre")
            case _:
                metadata.exif, metadata.xmp = exif, xmp
    if source.format == "heif" and not profile:
        metadata.colours = _colours_of_heif(*heif.colour_codes(source.path))
    _read_resolution_of_exif(metadata, source.format)
    return metadata


def _read_png(metadata: SourceMetadata, file: BinaryIO) -> None:
    chunks, remarks = read_chunks(file)
    metadata.remarks += remarks
    metadata.resolution = resolution_of(chunks)
    metadata.colours = [chunk for chunk in chunks if chunk.type in COLOURS]
    metadata.exif = next((chunk.data for chunk in chunks if chunk.type == EXIF_CHUNK), b"")
    apart = (*COLOURS, *TEXTS, EXIF_CHUNK, b"pHYs")
    metadata.chunks = [chunk for chunk in chunks if chunk.type not in apart]
    broken = 0
    for chunk, text in texts_of(chunks):
        if text is None:
            broken += 1
        elif is_xmp(text):
            metadata.xmp = metadata.xmp or text.text.encode()
        elif not _read_raw_profile(metadata, text):
            metadata.texts.append((chunk, text))
    if broken:
        metadata.remarks.append(f"{broken} of its PNG's texts are broken, and left out")


def _read_raw_profile(metadata: SourceMetadata, text: Text) -> bool:
    """Take in EXIF, XMP, IPTC or a profile that a text of PNG holds; False for another text."""
    type, data = raw_profile_of(text) or ("", b"")
    match type.lower():
        case "exif" | "app1" if raw_exif_of(text):
            if not metadata.exif:
                metadata.exif = data
                metadata.raw_profiles.append(type)
        case "app1" | "xmp":
            if not metadata.xmp:
                metadata.xmp = data.removeprefix(XMP_MARK)
                metadata.raw_profiles.append("xmp")
        case "iptc" | "8bim" if data.startswith(b"8BIM"):
            _read_photoshop(metadata, data)
        case "iptc":
            metadata.iptc = metadata.iptc or data
        case "icc" | "icm":
            metadata.profile = metadata.profile or data
        case _:
            return False
    if not data:
        metadata.remarks.append(f"its PNG's raw profile of type {type.lower()} is broken, and left out")
    return True


def _read_jpeg(metadata: SourceMetadata, file: BinaryIO) -> None:
    segments = read_segments(file)
    metadata.exif, metadata.xmp, metadata.extended_xmp = segments.exif, segments.xmp, segments.extended_xmp
    metadata.resolution = segments.resolution
    metadata.comments = [_decoded(comment) for comment in segments.comments]
    metadata.remarks += segments.remarks
    _read_photoshop(metadata, segments.photoshop)


def _read_tiff(metadata: SourceMetadata, file: BinaryIO, page: int) -> None:
    tree, layout = tree_of_tiff(file, page)
    metadata.page, metadata.layout = tree, layout
    metadata.exif = exif_of_tree(tree, layout)
    metadata.xmp, metadata.iptc = bytes_of(tree, XMP), bytes_of(tree, IPTC)
    metadata.resolution = resolution_of_entries(tree.entries, layout)
    _read_photoshop(metadata, bytes_of(tree, PHOTOSHOP))
    if not tree.whole:
        metadata.remarks.append("some tags of its TIFF are broken, and left out")
    if others := [str(tag) for tag in other_tags(tree) if tag not in GEO_TAGS]:
        metadata.remarks.append(f"tags of its TIFF that only its maker knows are left out: {', '.join(others[:5])}")


def _profile_of_bmp(file: BinaryIO) -> bytes:
    """The profile that a BMP with a header of version 5 embeds (Microsoft, BITMAPV5HEADER); empty if there is none."""
    file.seek(14)
    header = file.read(124)
    if len(header) < 124 or header[:4] != struct.pack("<I", 124) or header[56:60] != b"DEBM":
        return b""
    start, size = struct.unpack_from("<II", header, 112)
    file.seek(14 + start)
    return file.read(min(size, _MOST_PROFILE))


def _colours_of_heif(primaries: int, transfer: int) -> list[Chunk]:
    """The colours that AVIF or HEIC states in numbers, as a PNG would; none for those of sRGB, and for unknown ones.

    Video's curve is shown as sRGB's by most programs, and is taken for it.
    """
    ordinary = transfer in (1, 2, 6, 13, 14, 15)
    if primaries in (1, 2) and ordinary:
        return []
    return [Chunk(b"cICP", bytes([primaries & 255, 13 if ordinary else transfer & 255, 0, 1]))]


def _read_photoshop(metadata: SourceMetadata, data: bytes) -> None:
    resources, iptc, whole = read_resources(data)
    metadata.resources += resources
    metadata.iptc = metadata.iptc or iptc
    if not whole:
        metadata.remarks.append("some of its Photoshop resources are broken, and left out")


def _read_resolution_of_exif(metadata: SourceMetadata, format: SourceFormat) -> None:
    """Take the resolution from EXIF where the format has no better place, and where that place states only a shape."""
    if format == "tiff" or not metadata.exif:
        return
    try:
        tree, layout = tree_of(metadata.exif.removeprefix(MARK))
    except BrokenStructure:
        return
    stated = resolution_of_entries(tree.entries, layout)
    # In JPEG, EXIF is the younger statement, and most programs believe it.
    unknown = metadata.resolution is None or metadata.resolution.unit == "none"
    if stated and (unknown or (format == "jpeg" and stated.unit != "none")):
        metadata.resolution = stated


def _decoded(comment: bytes) -> str:
    """The text of a JPEG's comment, whose encoding is stated nowhere."""
    comment = comment.rstrip(b"\0")
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode("latin-1")
