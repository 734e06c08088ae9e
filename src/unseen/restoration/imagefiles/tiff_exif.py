"""Reading and writing of EXIF in TIFF files (TIFF 6.0, Adobe, 1992): libvips handles EXIF of other formats only."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

_BELOW = (34665, 34853)
"""Tags that point to a directory of their own: EXIF and GPS."""
_DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 316, 18246, 33432, *range(40091, 40096))
"""Tags of the first directory that describe the picture and not its pixels: description, make, model, software,
date, artist, computer, rating, copyright, and Windows's title, comment, author, keywords and subject."""
_IPTC = 33723
_SIZES = {40962: 256, 40963: 257}
"""EXIF's tags for width and height of the picture → the TIFF tags for the same."""
_INTEROPERABILITY = 40965
"""Tag of a pointer to the interoperability directory, which is left out: the pointer would be wrong in another file."""
_MARK = b"Exif\0\0"
_WORD_SIZES = (0, 1, 1, 2, 4, 4, 1, 1, 2, 4, 4, 4, 8, 4, 0, 0, 8, 8, 8)
"""Bytes of a word whose byte order matters, by type of entry; a rational consists of two such words."""
_RATIONALS = (5, 10)
_LONG, _UNDEFINED = 4, 7
_MAX_ENTRY_SIZE = 2**24
"""Largest number of bytes of an entry's value; an entry with a larger value is left out as broken."""


class _Broken(Exception):  # noqa: N818 (a state of affairs)
    """Error for bytes that are not a TIFF structure."""


@dataclass(frozen=True)
class _Entry:
    """An entry of a directory: its TIFF type, and its value in the file's byte order."""

    type: int
    data: bytes


_Directory = dict[int, _Entry]


@dataclass(frozen=True)
class _Layout:
    """The byte order and offset size of a TIFF.

    Attributes:
        order: byte order, "<" or ">".
        big: whether offsets have 64 bits (BigTIFF).
    """

    order: str
    big: bool = False

    @property
    def offset(self) -> struct.Struct:
        return struct.Struct(f"{self.order}{'Q' if self.big else 'I'}")

    @property
    def count(self) -> struct.Struct:
        return struct.Struct(f"{self.order}{'Q' if self.big else 'H'}")

    @property
    def entry(self) -> struct.Struct:
        return struct.Struct(f"{self.order}HH{'Q8s' if self.big else 'I4s'}")


def without_thumbnail(exif: bytes) -> bytes:
    """Cut off the second directory of EXIF, which holds a thumbnail of the unrestored and perhaps unturned picture.

    Broken EXIF is returned as it is.
    """
    start = len(_MARK) if exif.startswith(_MARK) else 0
    try:
        source = io.BytesIO(exif[start:])
        layout, first = _header(source)
        _seek(source, first)
        (count,) = layout.count.unpack(source.read(layout.count.size))
        at = start + first + layout.count.size + count * layout.entry.size
        if at > len(exif):
            raise _Broken
        cut = bytearray(exif)
        layout.offset.pack_into(cut, at, 0)
    except (_Broken, struct.error):  # broken EXIF is not repaired
        return exif
    return bytes(cut)


def exif_of_tiff(file: BinaryIO, page: int) -> bytes:
    """Read the EXIF of one page of a TIFF, as a JPEG would hold it; empty if there is none, or if it is broken.

    Args:
        file: the TIFF, open for reading.
        page: index of the page, from 0.
    """
    try:
        layout, at = _header(file)
        for _ in range(page):
            at = _read(file, layout, at)[1]
        first, below = _descriptive(file, layout, at)
    except (_Broken, struct.error):
        return b""
    if not first and not below:
        return b""
    data, at = _laid_out(first, below, _Layout(layout.order), 8)
    return _MARK + struct.pack(f"{layout.order}2sHI", b"II" if layout.order == "<" else b"MM", 42, at) + data


def add_to_tiff(file: BinaryIO, exif: bytes, iptc: bytes = b"") -> None:
    """Add EXIF and IPTC to a TIFF of one page: its directory is written anew at the end. Broken EXIF is left out.

    Args:
        file: the TIFF, open for reading and writing.
        exif: a TIFF structure in either byte order, with or without the `Exif` mark; may be empty.
        iptc: IPTC in the form of TIFF; may be empty.
    """
    layout, at = _header(file)
    mine, _ = _read(file, layout, at)
    if iptc:
        mine[_IPTC] = _Entry(_UNDEFINED, iptc)
    source = io.BytesIO(exif.removeprefix(_MARK))
    first: _Directory = {}
    below: dict[int, _Directory] = {}
    try:
        theirs, start = _header(source)
        first, below = _descriptive(source, theirs, start)
        if theirs.order != layout.order:
            first, below = _swapped(first), {tag: _swapped(directory) for tag, directory in below.items()}
    except (_Broken, struct.error):
        pass
    for directory in below.values():
        directory.update({tag: mine[same] for tag, same in _SIZES.items() if tag in directory})
    end = file.seek(0, io.SEEK_END)
    file.write(bytes(end % 2))  # directories begin at even offsets
    data, at = _laid_out(mine | first, below, layout, end + end % 2)
    file.write(data)
    file.seek(8 if layout.big else 4)
    file.write(layout.offset.pack(at))


def _header(file: BinaryIO) -> tuple[_Layout, int]:
    """The layout of a TIFF, and the offset of its first directory."""
    file.seek(0)
    header = file.read(16)
    if header[:2] not in (b"II", b"MM") or len(header) < 8:
        raise _Broken
    order = "<" if header[:2] == b"II" else ">"
    layout = _Layout(order, big=struct.unpack_from(f"{order}H", header, 2)[0] == 43)
    return layout, layout.offset.unpack_from(header, 8 if layout.big else 4)[0]


def _seek(file: BinaryIO, at: int) -> None:
    """Go to an offset, or to the file's end if the offset is beyond it: `seek` raises for large 64-bit offsets."""
    file.seek(min(at, file.seek(0, io.SEEK_END)))


def _read(file: BinaryIO, layout: _Layout, at: int) -> tuple[_Directory, int]:
    """Read the directory at an offset; returned with the offset of the next one. Broken entries are left out."""
    _seek(file, at)
    (count,) = layout.count.unpack(file.read(layout.count.size))
    rows = file.read(count * layout.entry.size) if count < 4096 else b""
    (following,) = layout.offset.unpack(file.read(layout.offset.size))
    directory: _Directory = {}
    for tag, type_, n, value in layout.entry.iter_unpack(rows):
        size = n * _WORD_SIZES[type_] * (2 if type_ in _RATIONALS else 1) if type_ < len(_WORD_SIZES) else 0
        if size > len(value):
            _seek(file, layout.offset.unpack(value)[0])
            value = file.read(min(size, _MAX_ENTRY_SIZE))
        if 0 < size <= len(value):
            directory[tag] = _Entry(type_, value[:size])
    return directory, following


def _descriptive(file: BinaryIO, layout: _Layout, at: int) -> tuple[_Directory, dict[int, _Directory]]:
    """Read the entries of a directory that describe the picture, and the EXIF and GPS directories below it."""
    whole, _ = _read(file, layout, at)
    below: dict[int, _Directory] = {}
    for tag in _BELOW:
        if tag in whole and whole[tag].type in (_LONG, 13):
            directory, _ = _read(file, layout, struct.unpack(f"{layout.order}I", whole[tag].data[:4])[0])
            directory.pop(_INTEROPERABILITY, None)
            below[tag] = directory
    return {tag: whole[tag] for tag in _DESCRIPTIVE if tag in whole}, below


def _laid_out(first: _Directory, below: dict[int, _Directory], layout: _Layout, at: int) -> tuple[bytes, int]:
    """The bytes of directories that will be written at the even offset `at`, and the offset of the first directory."""
    data = b""
    pointers: _Directory = {}
    for tag, directory in below.items():
        pointers[tag] = _Entry(_LONG, struct.pack(f"{layout.order}I", at + len(data)))
        data += _serialised(directory, layout, at + len(data))
    return data + _serialised(first | pointers, layout, at + len(data)), at + len(data)


def _serialised(directory: _Directory, layout: _Layout, at: int) -> bytes:
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


def _swapped(directory: _Directory) -> _Directory:
    """The directory in the other byte order."""
    return {
        tag: _Entry(entry.type, np.frombuffer(entry.data, f"u{_WORD_SIZES[entry.type]}").byteswap().tobytes())
        for tag, entry in directory.items()
    }
