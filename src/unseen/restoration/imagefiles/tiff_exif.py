"""EXIF from and into TIFF files, by the TIFF 6.0 (Adobe, 1992) layout: libvips carries that of other formats only."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

_BELOW = (34665, 34853)
"""Tags that point to a directory of their own: EXIF and GPS."""
_DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 316, 18246, 33432, *range(40091, 40096))
"""Tags of the first directory that tell of the picture and not of its pixels: description, make, model, software,
date, artist, computer, rating, copyright, and Windows's title, comment, author, keywords and subject."""
_IPTC = 33723
_SIZES = {40962: 256, 40963: 257}
"""EXIF's width and height of the picture, with the TIFF tags that tell of the same."""
_INTEROPERABILITY = 40965
"""Points to a directory that nobody misses, and would point nowhere in another file."""
_MARK = b"Exif\0\0"
_WORD = (0, 1, 1, 2, 4, 4, 1, 1, 2, 4, 4, 4, 8, 4, 0, 0, 8, 8, 8)
"""Bytes of what is swapped as one, by type; a rational is two such words."""
_RATIONALS = (5, 10)
_LONG, _UNDEFINED = 4, 7
_LARGEST = 2**24
"""Bytes of an entry above which it is taken for broken."""


class _Broken(Exception):  # noqa: N818 (a state of affairs)
    """No TIFF structure."""


@dataclass(frozen=True)
class _Entry:
    type: int
    data: bytes


_Directory = dict[int, _Entry]


@dataclass(frozen=True)
class _Layout:
    """Byte order, "<" or ">", and whether offsets have 64 bits (BigTIFF)."""

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
    """The same with its second directory cut off: that shows the picture as it was, and perhaps lying on its side."""
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
    except (_Broken, struct.error):  # it is not mended here
        return exif
    return bytes(cut)


def exif_of_tiff(file: BinaryIO, page: int) -> bytes:
    """The EXIF of one page of a TIFF, as a JPEG would hold it; empty where there is none, or where it is broken."""
    try:
        layout, at = _header(file)
        for _ in range(page):
            at = _read(file, layout, at)[1]
        first, below = _telling(file, layout, at)
    except (_Broken, struct.error):
        return b""
    if not first and not below:
        return b""
    data, at = _laid_out(first, below, _Layout(layout.order), 8)
    return _MARK + struct.pack(f"{layout.order}2sHI", b"II" if layout.order == "<" else b"MM", 42, at) + data


def add_to_tiff(file: BinaryIO, exif: bytes, iptc: bytes = b"") -> None:
    """Append EXIF and IPTC to a TIFF of one page: its directory is written anew at the end. Broken EXIF is left out."""
    layout, at = _header(file)
    mine, _ = _read(file, layout, at)
    if iptc:
        mine[_IPTC] = _Entry(_UNDEFINED, iptc)
    source = io.BytesIO(exif.removeprefix(_MARK))
    first: _Directory = {}
    below: dict[int, _Directory] = {}
    try:
        theirs, start = _header(source)
        first, below = _telling(source, theirs, start)
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
    """The layout, and where the first directory is."""
    file.seek(0)
    header = file.read(16)
    if header[:2] not in (b"II", b"MM") or len(header) < 8:
        raise _Broken
    order = "<" if header[:2] == b"II" else ">"
    layout = _Layout(order, big=struct.unpack_from(f"{order}H", header, 2)[0] == 43)
    return layout, layout.offset.unpack_from(header, 8 if layout.big else 4)[0]


def _seek(file: BinaryIO, at: int) -> None:
    """There, or to the end where a broken offset lies beyond it: of 64 bits, some are refused in one way or another."""
    file.seek(min(at, file.seek(0, io.SEEK_END)))


def _read(file: BinaryIO, layout: _Layout, at: int) -> tuple[_Directory, int]:
    """A directory, and where the next one is."""
    _seek(file, at)
    (count,) = layout.count.unpack(file.read(layout.count.size))
    rows = file.read(count * layout.entry.size) if count < 4096 else b""
    (following,) = layout.offset.unpack(file.read(layout.offset.size))
    directory: _Directory = {}
    for tag, type_, n, value in layout.entry.iter_unpack(rows):
        size = n * _WORD[type_] * (2 if type_ in _RATIONALS else 1) if type_ < len(_WORD) else 0
        if size > len(value):
            _seek(file, layout.offset.unpack(value)[0])
            value = file.read(min(size, _LARGEST))
        if 0 < size <= len(value):
            directory[tag] = _Entry(type_, value[:size])
    return directory, following


def _telling(file: BinaryIO, layout: _Layout, at: int) -> tuple[_Directory, dict[int, _Directory]]:
    """Of the directory there, what tells of the picture; and the EXIF and GPS directories below it."""
    whole, _ = _read(file, layout, at)
    below: dict[int, _Directory] = {}
    for tag in _BELOW:
        if tag in whole and whole[tag].type in (_LONG, 13):
            directory, _ = _read(file, layout, struct.unpack(f"{layout.order}I", whole[tag].data[:4])[0])
            directory.pop(_INTEROPERABILITY, None)
            below[tag] = directory
    return {tag: whole[tag] for tag in _DESCRIPTIVE if tag in whole}, below


def _laid_out(first: _Directory, below: dict[int, _Directory], layout: _Layout, at: int) -> tuple[bytes, int]:
    """Directories to be written at an even offset, and where among them the first one is."""
    data = b""
    pointers: _Directory = {}
    for tag, directory in below.items():
        pointers[tag] = _Entry(_LONG, struct.pack(f"{layout.order}I", at + len(data)))
        data += _serialised(directory, layout, at + len(data))
    return data + _serialised(first | pointers, layout, at + len(data)), at + len(data)


def _serialised(directory: _Directory, layout: _Layout, at: int) -> bytes:
    """A directory as it stands at an even offset, with the values that do not fit into its entries after it."""
    table = layout.count.pack(len(directory))
    values = b""
    after = at + layout.count.size + len(directory) * layout.entry.size + layout.offset.size
    for tag, entry in sorted(directory.items()):
        n = len(entry.data) // _WORD[entry.type] // (2 if entry.type in _RATIONALS else 1)
        inline = entry.data
        if len(inline) > layout.offset.size:
            inline = layout.offset.pack(after + len(values))
            values += entry.data + bytes(len(entry.data) % 2)
        table += layout.entry.pack(tag, entry.type, n, inline)
    return table + layout.offset.pack(0) + values


def _swapped(directory: _Directory) -> _Directory:
    """In the other byte order."""
    return {
        tag: _Entry(entry.type, np.frombuffer(entry.data, f"u{_WORD[entry.type]}").byteswap().tobytes())
        for tag, entry in directory.items()
    }
