"""Exchange of bytes within a file, without the file in memory."""

from __future__ import annotations

import io
from typing import BinaryIO

_BLOCK = 2**20


def splice(file: BinaryIO, start: int, end: int, data: bytes) -> None:
    """Put `data` in the place of the bytes from `start` to `end`, and move what follows.

    Args:
        file: the file, open for reading and writing.
        start: offset of the first byte to replace.
        end: offset after the last byte to replace; equal to `start` to insert.
        data: the new bytes, of any length.
    """
    size = file.seek(0, io.SEEK_END)
    shift = len(data) - (end - start)
    offsets = range(end, size, _BLOCK) if shift else range(0)
    for offset in reversed(offsets) if shift > 0 else offsets:
        file.seek(offset)
        block = file.read(min(_BLOCK, size - offset))
        file.seek(offset + shift)
        file.write(block)
    if shift < 0:
        file.truncate(size + shift)
    file.seek(start)
    file.write(data)
