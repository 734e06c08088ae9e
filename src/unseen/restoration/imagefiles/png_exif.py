"""EXIF in PNG: in a chunk of its own, or in a text, as programs wrote it before there was such a chunk."""

from __future__ import annotations

from typing import BinaryIO

from .exif import MARK, stated_orientation
from .png_chunks import Chunk, Text, raw_profile_of, read_chunks, texts_of

EXIF_CHUNK = b"eXIf"


def raw_exif_of(text: Text) -> tuple[str, bytes] | None:
    """The type and content of a "raw profile" that holds EXIF; None for another text."""
    type, data = raw_profile_of(text) or ("", b"")
    is_exif = type.lower() == "exif" or (type.lower() == "app1" and data.startswith(MARK))
    return (type, data) if is_exif else None


def orientation_in_png(file: BinaryIO) -> int:
    """The orientation that EXIF of a PNG states, 1 to 8: libvips knows only that of the chunk, and not with a mark."""
    chunks, _ = read_chunks(file)
    return stated_orientation(_exif_of(chunks))


def _exif_of(chunks: list[Chunk]) -> bytes:
    for chunk in chunks:
        if chunk.type == EXIF_CHUNK:
            return chunk.data
    for _, text in texts_of(chunks):
        raw = raw_exif_of(text) if text else None
        if raw and raw[1]:
            return raw[1]
    return b""
