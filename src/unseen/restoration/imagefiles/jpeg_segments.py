"""The segments of a JPEG beside its pixels (ITU-T T.81, 1992; JFIF 1.02; Adobe, XMP Specification Part 3, 2020)."""

from __future__ import annotations

import hashlib
import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

from .exif import MARK
from .jpeg_markers import segments_of
from .resolution import Resolution, Unit
from .splice import splice
from .xmp import CONTAINER_GONE, FILM_GONE, HDR_GONE, MOST_BYTES, reference_to_extension

XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
"""What begins XMP in JPEG, before the packet."""
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_PROFILE = b"ICC_PROFILE\0"
_LARGEST = 65533
"""Bytes that a segment holds beside its length."""
_PROFILE_PIECE = _LARGEST - len(_PROFILE) - 2
_MOST_BYTES = 2**26
"""Bytes of all segments together above which the rest is not read."""
_UNITS: dict[int, Unit] = {0: "none", 1: "inch", 2: "centimetre"}
_APP0, _APP1, _APP2, _APP13, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xFE
_FILM = rb"\0\0\0[\x08-\x40]ftyp(?:mp4|isom|qt  |3gp)|MotionPhoto_Data"
_GAIN_MAPS = (
    rb"urn:com:apple:photo:2020:aux:hdrgainmap|http://ns\.adobe\.com/hdr-gain-map/1\.0/|urn:iso:std:iso:ts:21496:-1"
)
"""Names by which the second picture of a file says that it is a gain map: Apple's, Adobe's and the standard's."""
_SILENT = (b"JFIF\0", b"JFXX\0", b"Adobe", _PROFILE, b"Ducky", b"urn:iso:std:iso:ts:21496:-1\0")
"""How segments begin that tell of the old encoding alone, or that are kept in another way."""


@dataclass
class JpegSegments:
    """What a JPEG holds beside its pixels, up to its first scan.

    Attributes:
        exif: EXIF with its mark; empty if there is none.
        xmp: the packet of XMP.
        extended_xmp: the parts of extended XMP that are complete, by their digests.
        photoshop: Photoshop's image resources.
        comments: the comments.
        resolution: the resolution that JFIF states.
        remarks: remarks on what no output holds.
    """

    exif: bytes = b""
    xmp: bytes = b""
    extended_xmp: dict[str, bytes] = field(default_factory=dict)
    photoshop: bytes = b""
    comments: list[bytes] = field(default_factory=list)
    resolution: Resolution | None = None
    remarks: list[str] = field(default_factory=list)


def read_segments(file: BinaryIO) -> JpegSegments:
    """Read the segments of a JPEG before its first scan; those that come after a broken one are not read."""
    result, parts, others = JpegSegments(), _ExtendedParts(), dict[str, None]()
    for marker, data in _application_segments(file):
        if marker == _COMMENT:
            result.comments.append(data)
        elif marker == _APP0 and data.startswith(b"JFIF\0") and len(data) >= 12:
            unit, x, y = struct.unpack_from(">BHH", data, 7)
            if x and y and unit in _UNITS and (unit or x != y):  # else nothing is stated
                result.resolution = Resolution(Fraction(x), Fraction(y), _UNITS[unit])
        elif marker == _APP1 and data.startswith(MARK):
            result.exif = result.exif or data
        elif marker == _APP1 and data.startswith(XMP_MARK):
            result.xmp = result.xmp or data.removeprefix(XMP_MARK)
        elif marker == _APP1 and data.startswith(_EXTENDED_XMP):
            parts.add(data.removeprefix(_EXTENDED_XMP))
        elif marker == _APP13 and data.startswith(_PHOTOSHOP):
            result.photoshop += data.removeprefix(_PHOTOSHOP)
        elif marker == _APP2 and data.startswith(b"MPF\0"):
            others[CONTAINER_GONE] = None
        elif _APP0 <= marker <= _APP0 + 15 and not data.startswith(_SILENT):
            others[f"segment APP{marker - _APP0} of its JPEG is left out"] = None
    result.extended_xmp = parts.complete()
    result.remarks = _remarks_on_file(file) + list(others)
    return result


def _remarks_on_file(file: BinaryIO) -> list[str]:
    """Remarks on a film or a gain map that stands anywhere in a JPEG's file, found by what begins such a thing."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        marks = {match[0] for match in re.finditer(_FILM + rb"|" + _GAIN_MAPS, content)}
    film = any(re.fullmatch(_FILM, mark) for mark in marks)
    gain_map = any(re.fullmatch(_GAIN_MAPS, mark) for mark in marks)
    return [remark for remark, met in ((HDR_GONE, gain_map), (FILM_GONE, film)) if met]


def add_to_jpeg(
    file: BinaryIO,
    *,
    profile: bytes,
    exif: bytes,
    xmp: bytes,
    photoshop: bytes,
    comments: list[bytes],
    resolution: Resolution | None,
) -> None:
    """Add segments to a JPEG that has none beside those of its pixels.

    Args:
        file: the JPEG, open for reading and writing.
        profile: an ICC profile, or empty; see `profile_fits`.
        exif: EXIF without its mark, or empty; see `exif_fits`.
        xmp: a packet of any length, or empty.
        photoshop: Photoshop's image resources, or empty.
        comments: comments; what is too long for a segment goes on in another.
        resolution: the resolution; None for square pixels of unknown size.
    """
    jfif = (resolution or Resolution(Fraction(1), Fraction(1), "none")).per("inch", "centimetre")
    unit = next(number for number, unit in _UNITS.items() if unit == jfif.unit)
    x, y = (min(max(round(value), 1), 65535) for value in (jfif.x, jfif.y))
    segments = [(_APP0, b"JFIF\0" + struct.pack(">HBHHBB", 0x0102, unit, x, y, 0, 0))]
    if exif:
        segments.append((_APP1, MARK + exif))
    segments += [(_APP1, segment) for segment in _xmp_segments(xmp)]
    pieces = _pieces(profile, _PROFILE_PIECE)
    segments += [(_APP2, _PROFILE + bytes([i + 1, len(pieces)]) + piece) for i, piece in enumerate(pieces)]
    segments += [(_APP13, _PHOTOSHOP + piece) for piece in _pieces(photoshop, _LARGEST - len(_PHOTOSHOP))]
    segments += [(_COMMENT, piece) for comment in comments for piece in _pieces(comment, _LARGEST)]
    splice(file, 2, 2, b"".join(struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in segments))


def exif_fits(exif: bytes) -> bool:
    """Whether EXIF fits into the one segment that a JPEG has for it."""
    return len(MARK) + len(exif) <= _LARGEST


def profile_fits(profile: bytes) -> bool:
    """Whether a profile fits into the 255 segments that a JPEG has for it."""
    return len(profile) <= 255 * _PROFILE_PIECE


def _application_segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the segments of applications and the comments before the first scan, each as its marker and its data."""
    for marker, data in segments_of(file):
        if marker >= _APP0:
            yield marker, data
        if file.tell() >= _MOST_BYTES:
            return


class _ExtendedParts:
    """The parts of extended XMP, which may come in any order."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[int, bytes]] = {}
        self.sizes: dict[str, int] = {}

    def add(self, data: bytes) -> None:
        """Add a part: digest, length of the whole, offset, content."""
        if len(data) >= 40:
            digest = data[:32].decode("latin-1")
            size, offset = struct.unpack_from(">II", data, 32)
            self.sizes[digest] = size
            self.parts.setdefault(digest, {})[offset] = data[40:]

    def complete(self) -> dict[str, bytes]:
        """The wholes of which no part is missing, by digest."""
        wholes = {}
        for digest, parts in self.parts.items():
            at = 0
            for offset in sorted(parts):
                at = at + len(parts[offset]) if offset == at else MOST_BYTES + 1
            if at == self.sizes[digest] <= MOST_BYTES:
                wholes[digest] = b"".join(parts[offset] for offset in sorted(parts))
        return wholes


def _xmp_segments(xmp: bytes) -> list[bytes]:
    """The contents of the segments for a packet: one, or if it is too large one that refers to extended parts."""
    if not xmp:
        return []
    if len(XMP_MARK) + len(xmp) <= _LARGEST:
        return [XMP_MARK + xmp]
    digest = hashlib.md5(xmp, usedforsecurity=False).hexdigest().upper()
    size = 65400 - len(_EXTENDED_XMP) - 40  # somewhat below the limit, as the specification advises
    head = _EXTENDED_XMP + digest.encode()
    parts = [head + struct.pack(">II", len(xmp), i * size) + part for i, part in enumerate(_pieces(xmp, size))]
    return [XMP_MARK + reference_to_extension(digest), *parts]


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
