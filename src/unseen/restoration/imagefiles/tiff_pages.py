"""The directories of a TIFF: which are pictures and which previews, and how their pixels are stored."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from .ifd import BrokenStructure, Layout, read_header

_REDUCED, _MASK = 1, 4
"""Bits of NewSubfileType (TIFF 6.0, tag 254): a smaller copy of another picture, and a mask of transparency."""
_OLD_REDUCED = 2
"""SubfileType (tag 255) of a smaller copy."""
_MOST_PAGES = 2**16
_MOST_ENTRIES = 2**22
"""Entries of all directories together above which the rest is not read: directories may overlap, so that a small file
has many large ones."""
_TAGS = {254, 255, 256, 257, 258, 262, 277, 278, 284, 322, 323}
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""The formats of values by the types of entries: byte, short, long and, in BigTIFF, long of 64 bits."""


@dataclass(frozen=True)
class TiffPage:
    """One directory of a TIFF.

    Attributes:
        index: index of the directory in the file, from 0.
        is_picture: False for a preview of another page, and for a mask.
        block_bytes: bytes that a decoder holds at once: of a strip, or of a row of tiles.
        is_lab: whether its colours are Lab: CIELab, ICCLab or ITULab.
    """

    index: int
    is_picture: bool
    block_bytes: int
    is_lab: bool


def tiff_pages(file: BinaryIO) -> list[TiffPage]:
    """Read the directories of a TIFF, as far as they are sound; none of a broken file.

    Args:
        file: the TIFF, open for reading.
    """
    pages: list[TiffPage] = []
    visited: set[int] = set()
    left = _MOST_ENTRIES
    try:
        layout, at = read_header(file)
        offset, count, entry = layout.offset, layout.count, layout.entry
        while at and at not in visited and len(pages) < _MOST_PAGES and left > 0:
            visited.add(at)
            file.seek(at)
            (length,) = count.unpack(file.read(count.size))
            entries = file.read(min(length, 2**16) * entry.size)
            left -= len(entries) // entry.size
            (following,) = offset.unpack(file.read(offset.size))
            numbers = {
                tag: _number(file, layout, type, n, value)
                for tag, type, n, value in entry.iter_unpack(entries)
                if tag in _TAGS and type in _INTEGERS
            }
            pages.append(_page(numbers, len(pages)))
            at = following
    except (BrokenStructure, struct.error, OSError, ValueError):  # libvips says what is wrong
        return pages
    return pages


def _number(file: BinaryIO, layout: Layout, type: int, count: int, value: bytes) -> int:
    """The first number of an entry, whose value stands in the entry if there is room, else elsewhere in the file."""
    number = struct.Struct(layout.order + _INTEGERS[type])
    if number.size * count > len(value):
        file.seek(layout.offset.unpack(value)[0])
        value = file.read(number.size)
    return int(number.unpack_from(value)[0])


def _page(numbers: dict[int, int], index: int) -> TiffPage:
    """Describe a directory by the numbers of its tags."""
    width, height = numbers.get(256, 0), numbers.get(257, 0)
    channels = 1 if numbers.get(284) == 2 else numbers.get(277, 1)  # planes are read one by one
    tile_width, tile_height = numbers.get(322, 0), numbers.get(323, 0)
    if tile_width and tile_height:
        block = -(-width // tile_width) * tile_width * tile_height
    else:
        block = width * min(numbers.get(278) or height, height)
    is_picture = not (numbers.get(254, 0) & (_REDUCED | _MASK) or numbers.get(255) == _OLD_REDUCED)
    return TiffPage(index, is_picture, block * channels * numbers.get(258, 1) // 8, numbers.get(262) in (8, 9, 10))
