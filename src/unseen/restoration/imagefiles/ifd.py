"""Directories of tags, the structure of TIFF files and of EXIF (TIFF 6.0, Adobe, 1992; CIPA DC-008, 2019)."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

import numpy as np

EXIF_POINTER, GPS_POINTER, INTEROPERABILITY_POINTER = 34665, 34853, 40965
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, DOUBLE, IFD, LONG8, IFD8 = 1, 2, 3, 4, 5, 7, 12, 13, 16, 18
"""Types of entries."""
_POINTERS = (EXIF_POINTER, GPS_POINTER, INTEROPERABILITY_POINTER)
_WORD_SIZES = (0, 1, 1, 2, 4, 4, 1, 1, 2, 4, 4, 4, 8, 4, 0, 0, 8, 8, 8)
"""Bytes of a word whose byte order matters, by type of entry; a rational consists of two such words."""
_RATIONALS = (RATIONAL, 10)
_MOST_ENTRIES = 4096
_MOST_BYTES = 2**26
"""Bytes of a directory's values together, above which the rest is left out: each of many entries might claim the whole
file."""


class BrokenStructure(Exception):  # noqa: N818 (a state of affairs)
    """Signal for bytes that are not a TIFF structure."""


@dataclass(frozen=True)
class Entry:
    """An entry of a directory: its TIFF type, and its value in the file's byte order."""

    type: int
    data: bytes


Directory = dict[int, Entry]


@dataclass(frozen=True)
class Layout:
    """The byte order and offset size of a TIFF.

    Attributes:
        order: byte order, "<" or ">".
        big: whether offsets have 64 bits (BigTIFF).
    """

    order: Literal["<", ">"]
    big: bool = False

    @property
    def offset(self) -> struct.Struct:
        """An offset in the file."""
        return struct.Struct(f"{self.order}{'Q' if self.big else 'I'}")

    @property
    def count(self) -> struct.Struct:
        """The number of entries that begins a directory."""
        return struct.Struct(f"{self.order}{'Q' if self.big else 'H'}")

    @property
    def entry(self) -> struct.Struct:
        """An entry: tag, type, number of values, and the values or their offset."""
        return struct.Struct(f"{self.order}HH{'Q8s' if self.big else 'I4s'}")

    def numbers(self, kind: Literal["H", "I", "d"], *values: float) -> bytes:
        """Pack numbers of 16 bits ("H"), of 32 bits ("I") or of floating point ("d")."""
        return struct.pack(f"{self.order}{len(values)}{kind}", *values)


@dataclass
class Tree:
    """A directory with the EXIF, GPS and interoperability directories below it.

    Attributes:
        entries: the entries of the directory, without pointers to the directories below.
        below: the directories below, by the tag of their pointer.
        whole: whether nothing of the directory, or below, was broken and left out.
    """

    entries: Directory = field(default_factory=dict)
    below: dict[int, Tree] = field(default_factory=dict)
    whole: bool = True


def read_header(file: BinaryIO) -> tuple[Layout, int]:
    """Read the layout of a TIFF, and the offset of its first directory. Raises BrokenStructure."""
    file.seek(0)
    header = file.read(16)
    if header[:2] not in (b"II", b"MM") or len(header) < 8:
        raise BrokenStructure
    order: Literal["<", ">"] = "<" if header[:2] == b"II" else ">"
    (version,) = struct.unpack_from(f"{order}H", header, 2)
    layout = Layout(order, big=version == 43)
    if version not in (42, 43) or (layout.big and len(header) < 16):
        raise BrokenStructure
    return layout, layout.offset.unpack_from(header, 8 if layout.big else 4)[0]


def next_offset(file: BinaryIO, layout: Layout, at: int) -> int:
    """The offset of the directory after the one at an offset; 0 after the last one. Raises BrokenStructure."""
    count = _entry_count(file, layout, at)
    _seek(file, at + layout.count.size + count * layout.entry.size)
    link = file.read(layout.offset.size)
    return int(layout.offset.unpack(link)[0]) if len(link) == layout.offset.size else 0


def read_directory(file: BinaryIO, layout: Layout, at: int) -> tuple[Directory, bool]:
    """Read the directory at an offset, without its broken entries.

    Returns:
        The directory, and whether no entry was left out.

    Raises:
        BrokenStructure: there is no directory at that offset.
    """
    count = _entry_count(file, layout, at)
    rows = file.read(count * layout.entry.size)
    if len(rows) < count * layout.entry.size:
        raise BrokenStructure
    directory: Directory = {}
    left = _MOST_BYTES
    types = len(_WORD_SIZES) if layout.big else IFD + 1
    for tag, type_, n, value in layout.entry.iter_unpack(rows):
        size = n * _WORD_SIZES[type_] * (2 if type_ in _RATIONALS else 1) if type_ < types else 0
        if len(value) < size <= left:
            _seek(file, layout.offset.unpack(value)[0])
            value = file.read(size)
            left -= len(value)
        if 0 < size <= len(value) and tag not in directory:
            directory[tag] = Entry(type_, value[:size])
    return directory, len(directory) == count


def read_tree(file: BinaryIO, layout: Layout, at: int, depth: int = 3) -> Tree:
    """Read the directory at an offset and the directories below it. Raises BrokenStructure for the first alone."""
    entries, whole = read_directory(file, layout, at)
    tree = Tree(entries, whole=whole)
    for tag in _POINTERS:
        pointer = entries.pop(tag, None)
        if pointer is None:
            continue
        try:
            if depth == 1 or pointer.type not in (LONG, IFD, LONG8, IFD8) or len(pointer.data) not in (4, 8):
                raise BrokenStructure
            start = int.from_bytes(pointer.data, "little" if layout.order == "<" else "big")
            tree.below[tag] = read_tree(file, layout, start, depth - 1)
            tree.whole &= tree.below[tag].whole
        except BrokenStructure:
            tree.whole = False
    return tree


def laid_out(tree: Tree, layout: Layout, at: int) -> tuple[bytes, int]:
    """Write a tree as bytes for the even offset `at`; returned with the offset of its first directory."""
    data = b""
    pointers: Directory = {}
    for tag, below in tree.below.items():
        written, start = laid_out(below, layout, at + len(data))
        data += written
        # Not every program follows a long one.
        pointers[tag] = (
            Entry(LONG, layout.numbers("I", start)) if start < 2**32 else Entry(IFD8, layout.offset.pack(start))
        )
    return data + _serialised(tree.entries | pointers, layout, at + len(data)), at + len(data)


def as_exif(tree: Tree, order: Literal["<", ">"]) -> bytes:
    """Write a tree as a TIFF structure of its own, as EXIF is; empty for an empty tree."""
    if not tree.entries and not tree.below:
        return b""
    data, at = laid_out(tree, Layout(order), 8)
    return struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, at) + data


def swapped(tree: Tree) -> Tree:
    """The tree in the other byte order."""
    entries = {
        tag: Entry(entry.type, np.frombuffer(entry.data, f"u{_WORD_SIZES[entry.type]}").byteswap().tobytes())
        for tag, entry in tree.entries.items()
    }
    return Tree(entries, {tag: swapped(below) for tag, below in tree.below.items()}, tree.whole)


def _entry_count(file: BinaryIO, layout: Layout, at: int) -> int:
    """The number of entries of the directory at an offset, the first of which is read next. Raises BrokenStructure."""
    _seek(file, at)
    head = file.read(layout.count.size)
    count = int(layout.count.unpack(head)[0]) if len(head) == layout.count.size else _MOST_ENTRIES
    if count >= _MOST_ENTRIES:
        raise BrokenStructure
    return count


def _seek(file: BinaryIO, at: int) -> None:
    """Go to an offset, or to the file's end if the offset is beyond it: `seek` raises for large 64-bit offsets."""
    file.seek(min(at, file.seek(0, io.SEEK_END)))


def _serialised(directory: Directory, layout: Layout, at: int) -> bytes:
    """The bytes of a directory at the even offset `at`, followed by the values that do not fit into its entries."""
    table = layout.count.pack(len(directory))
    values = b""
    after = at + layout.count.size + len(directory) * layout.entry.size + layout.offset.size
    for tag, entry in sorted(directory.items()):
        n = len(entry.data) // _WORD_SIZES[entry.type] // (2 if entry.type in _RATIONALS else 1)
        inline = entry.data
        if len(inline) > layout.offset.size:
            inline = layout.offset.pack(after + len(values))
            values += entry.data + bytes(len(entry.data) % 2)
        table += layout.entry.pack(tag, entry.type, n, inline)
    return table + layout.offset.pack(0) + values
