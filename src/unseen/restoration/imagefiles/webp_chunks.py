"""The chunks of a WebP beside its pixels (Google, WebP Container Specification; RFC 9649, 2024)."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from .splice import splice

_PROFILE, _ALPHA, _EXIF, _XMP = 0x20, 0x10, 0x08, 0x04


def add_to_webp(file: BinaryIO, size: tuple[int, int], *, alpha: bool, profile: bytes, exif: bytes, xmp: bytes) -> None:
    """Add chunks to a WebP of one frame that has none beside those of its pixels.

    Args:
        file: the WebP, open for reading and writing.
        size: width and height in pixels.
        alpha: whether the picture has transparency.
        profile: an ICC profile, or empty.
        exif: EXIF without its mark, or empty.
        xmp: XMP, or empty.
    """
    if not (profile or exif or xmp):
        return
    file.seek(12)
    extended = file.read(4) == b"VP8X"
    flags = alpha * _ALPHA | bool(profile) * _PROFILE | bool(exif) * _EXIF | bool(xmp) * _XMP
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    front = _chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides) + _chunk(b"ICCP", profile)
    splice(file, 12, 30 if extended else 12, front)
    file.seek(0, io.SEEK_END)
    file.write(_chunk(b"EXIF", exif) + _chunk(b"XMP ", xmp))
    length = file.tell() - 8
    file.seek(4)
    file.write(struct.pack("<I", length))


def _chunk(type: bytes, data: bytes) -> bytes:
    """A chunk, padded to an even length; nothing for no data."""
    return type + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) if data else b""
