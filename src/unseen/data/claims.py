"""The pixels that an image file claims, against the bytes that it has."""

from __future__ import annotations

from pathlib import Path

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels by PNG's colour type."""
DEFLATE = 1032
"""Largest number of bytes that one byte of deflate can stand for: 258 bytes in two bits (RFC 1951)."""
_JPEG = 512
"""Largest number of pixels that one byte of JPEG can stand for: a bit for each block of 8×8 pixels, at the least."""


def impossible_claim(path: Path, kind: str, start: bytes, width: int, height: int) -> str | None:
    """Say why a file cannot hold the pixels that its header claims; None if it can, or if its format has no bound.

    Args:
        path: the file.
        kind: the file's kind (`kind_of`); PNG and JPEG have a bound.
        start: the first bytes of the file, at least 26.
        width: claimed width, in pixels.
        height: claimed height, in pixels.
    """
    least = 0
    if kind == "png" and len(start) > 25:
        bits = start[24] * _PNG_CHANNELS.get(start[25], 1)
        least = height * (1 + width * bits // 8) // DEFLATE
    elif kind == "jpeg":
        least = width * height // _JPEG
    size = path.stat().st_size
    if size >= least:
        return None
    return f"claims {width}×{height} pixels, which its {size} bytes cannot hold: cut short, or a decompression bomb"
