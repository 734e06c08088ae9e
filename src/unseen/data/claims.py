"""The pixels that an image file claims, against the bytes that it has."""

from __future__ import annotations

from pathlib import Path

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels by PNG's colour type."""
DEFLATE = 1032
"""Largest number of bytes that one byte of deflate can stand for: 258 bytes in two bits (RFC 1951)."""
_JPEG = 512
"""Largest number of pixels that one byte of JPEG can stand for: a bit for each block of 8×8 pixels, at the least."""

_BMP_RUN = 255 * 255 // 4
"""Largest number of pixels that one byte of run-length coded BMP can stand for: the four of a jump, 255 each way."""


def impossible_claim(path: Path, kind: str, start: bytes, width: int, height: int) -> str | None:
    """Say why a file cannot hold the pixels that its header claims; None if it can, or if its format has no bound.

    Args:
        path: the file.
        kind: the file's kind (`kind_of`); PNG, JPEG and BMP have a bound.
        start: the first bytes of the file, at least 34.
        width: claimed width, in pixels.
        height: claimed height, in pixels.
    """
    least = 0
    if kind == "png" and len(start) > 25:
        bits = start[24] * _PNG_CHANNELS.get(start[25], 1)
        least = height * (1 + width * bits // 8) // DEFLATE
    elif kind == "jpeg":
        least = width * height // _JPEG
    elif kind == "bmp":
        least = _bmp_size(start, width, height)
    size = path.stat().st_size
    if size >= least:
        return None
    return f"claims {width}×{height} pixels, which its {size} bytes cannot hold: cut short, or a decompression bomb"


def _bmp_size(start: bytes, width: int, height: int) -> int:
    """Bytes that the pixels of a BMP take at the least; 0 where its header does not say."""
    core = start[14:18] == b"\x0c\0\0\0"
    bits, compression = (start[24:26], b"") if core else (start[28:30], start[30:34])
    if int.from_bytes(compression, "little") in (1, 2):  # run lengths of 8 or 4 bits
        return width * height // _BMP_RUN
    if int.from_bytes(compression, "little") in (4, 5):  # JPEG or PNG within
        return 0
    return height * ((width * int.from_bytes(bits, "little") + 31) // 32 * 4)
