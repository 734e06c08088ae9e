"""The chunks of a PNG beside its pixels (W3C, Portable Network Graphics, third edition, 2025).

libvips reads texts as if they were Latin-1 without a language, and writes them another way: chunks are read and written
here.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from ...data.claims import DEFLATE
from .resolution import Resolution
from .splice import splice

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"mDCv", b"cLLI", b"cLLi")
"""Chunks that say what the numbers of pixels mean."""
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP_KEYWORD = "XML:com.adobe.xmp"
_RAW_PROFILE = "Raw profile type "
_SILENT = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"bKGD", b"hIST", b"sPLT", b"sBIT", b"tIME", b"iDOT",
           b"acTL", b"fcTL", b"fdAT")  # fmt: skip
"""Chunks of the pixels and of their old encoding, which no output needs."""
_MOST_CHUNKS = 2**22
_MOST_HELD_CHUNKS = 10_000
_MOST_BYTES = 2**26
"""Bytes of all chunks together, and of what one of them holds when decompressed, above which it is left out."""


@dataclass(frozen=True)
class Chunk:
    """A chunk: its type of four letters, and its content."""

    type: bytes
    data: bytes


@dataclass(frozen=True)
class Text:
    """A text with its keyword, whichever of the three kinds of chunk it came in."""

    keyword: str
    text: str


def read_chunks(file: BinaryIO) -> tuple[list[Chunk], list[str]]:
    """Read the chunks of a PNG that a copy with other pixels can hold, and remark on those left out.

    Of chunks of an unknown type those are read that say of themselves that they are safe to copy (the case of their
    fourth letter, section 5.4). A chunk is left out if its checksum is wrong.
    """
    chunks: list[Chunk] = []
    broken, foreign, size = False, dict[str, None](), 0
    file.seek(len(_SIGNATURE))
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        length, type = struct.unpack(">I4s", head)
        if type == b"IEND":
            break
        if type in _SILENT:
            file.seek(length + 4, os.SEEK_CUR)
            continue
        size += length
        if size > _MOST_BYTES or len(chunks) >= _MOST_HELD_CHUNKS:
            broken = True
            break
        data, checksum = file.read(length), file.read(4)
        if checksum != struct.pack(">I", zlib.crc32(type + data)) or not re.fullmatch(rb"[A-Za-z]{4}", type):
            broken = True
        elif type in COLOURS or type[3:].islower():
            chunks.append(Chunk(type, data))
        else:
            foreign[type.decode()] = None
    remarks = ["some chunks of its PNG are broken or too large, and left out"] if broken else []
    if foreign:
        remarks.append(f"chunks of its PNG that only its maker knows are left out: {', '.join(list(foreign)[:5])}")
    return chunks, remarks


def add_to_png(file: BinaryIO, chunks: Iterable[Chunk]) -> None:
    """Put chunks behind the header of a PNG, in the place of its resolution; colours belong to the front."""
    end = len(_SIGNATURE) + 25
    file.seek(end)
    head = file.read(8)
    resolution = 21 if head[4:] == b"pHYs" else 0
    ordered = sorted(chunks, key=lambda chunk: chunk.type not in COLOURS)
    splice(file, end, end + resolution, b"".join(_serialised(chunk) for chunk in ordered))


def texts_of(chunks: Iterable[Chunk]) -> list[tuple[Chunk, Text | None]]:
    """Pair the chunks of text with their texts; None for a broken one, and for those too large all together.

    A broken one counts as all that it may have been decompressed to, or many of them would be work without end.
    """
    pairs, left = list[tuple[Chunk, Text | None]](), _MOST_BYTES
    for chunk in chunks:
        if chunk.type in TEXTS:
            text = _text_of(chunk, left)
            left -= len(text.text) if text else min(left, DEFLATE * len(chunk.data))
            pairs.append((chunk, text))
    return pairs


def _text_of(chunk: Chunk, most: int) -> Text | None:
    """Decode a chunk of text; None if it is broken, or has more bytes than `most`."""
    keyword, separator, rest = chunk.data.partition(b"\0")
    data: bytes | None = rest
    encoding = "latin-1"
    if chunk.type == b"zTXt":
        data = _inflated(rest[1:], most)
    elif chunk.type == b"iTXt":
        encoding = "utf-8"
        fields = rest[2:].split(b"\0", 2)  # language, translated keyword, text
        data = fields[2] if len(fields) == 3 else None
        if data is not None and rest[:1] == b"\1":
            data = _inflated(data, most)
    if not separator or not 1 <= len(keyword) <= 79 or data is None:
        return None
    try:
        return Text(keyword.decode("latin-1"), data.decode(encoding))
    except UnicodeDecodeError:
        return None


def text_chunk(text: Text) -> Chunk:
    """A chunk for a text: Latin-1 where it can hold it, else UTF-8."""
    keyword = text.keyword.encode("latin-1") + b"\0"
    try:
        return Chunk(b"tEXt", keyword + text.text.replace("\0", " ").encode("latin-1"))
    except UnicodeEncodeError:
        return Chunk(b"iTXt", keyword + b"\0\0\0\0" + text.text.replace("\0", " ").encode())


def is_xmp(text: Text) -> bool:
    """Whether a text is a packet of XMP."""
    return text.keyword == _XMP_KEYWORD


def xmp_chunk(xmp: bytes) -> Chunk:
    """A chunk for XMP, not compressed, as its specification asks."""
    return Chunk(b"iTXt", _XMP_KEYWORD.encode() + b"\0" * 5 + xmp)


def raw_profile_of(text: Text) -> tuple[str, bytes] | None:
    """Decode a "raw profile", by which ImageMagick and others put EXIF, IPTC and XMP into texts.

    Returns:
        The name of its type (exif, APP1, iptc, 8bim, xmp, icc, icm) and its content; None for another text.
    """
    if not text.keyword.startswith(_RAW_PROFILE):
        return None
    type = text.keyword.removeprefix(_RAW_PROFILE)
    lines = text.text.strip().split("\n", 2)  # type, length, digits
    try:
        data = bytes.fromhex(lines[2])
    except (IndexError, ValueError):
        return type, b""
    return type, data if lines[1].strip() == str(len(data)) else b""


def raw_profile_chunk(type: str, data: bytes) -> Chunk:
    """A chunk of a "raw profile"."""
    digits = data.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{type}\n{len(data):8}\n{lines}\n"
    return Chunk(b"zTXt", f"{_RAW_PROFILE}{type}".encode() + b"\0\0" + zlib.compress(text.encode()))


def profile_chunk(profile: bytes) -> Chunk:
    """A chunk for an ICC profile."""
    return Chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))


def resolution_of(chunks: Iterable[Chunk]) -> Resolution | None:
    """The resolution that a PNG states; None without one."""
    for chunk in chunks:
        if chunk.type == b"pHYs" and len(chunk.data) == 9:
            x, y, unit = struct.unpack(">IIB", chunk.data)
            if x and y:
                return Resolution(Fraction(x), Fraction(y), "metre" if unit == 1 else "none")
    return None


def resolution_chunk(resolution: Resolution) -> Chunk:
    """A chunk for a resolution, in whole numbers; a mere shape of pixels keeps its ratio."""
    inner = resolution.per("metre")
    x, y = inner.x, inner.y
    if inner.unit == "none":
        x, y = x * x.denominator * y.denominator, y * x.denominator * y.denominator
    numbers = [min(max(round(value), 1), 2**31 - 1) for value in (x, y)]
    return Chunk(b"pHYs", struct.pack(">IIB", *numbers, inner.unit == "metre"))


def _inflated(data: bytes, most: int) -> bytes | None:
    """Decompress, up to a limit; None if the data is broken, or larger."""
    decompressor = zlib.decompressobj()
    try:
        result = decompressor.decompress(data, max(most, 1))
    except zlib.error:
        return None
    return result if decompressor.eof else None


def _serialised(chunk: Chunk) -> bytes:
    checksum = zlib.crc32(chunk.type + chunk.data)
    return struct.pack(">I", len(chunk.data)) + chunk.type + chunk.data + struct.pack(">I", checksum)
