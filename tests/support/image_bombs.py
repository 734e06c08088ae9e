"""Small image files that claim much: of every format, made of nothing."""

from __future__ import annotations

import struct
import zlib


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int = 8, colour: int = 2, *, interlaced: bool = False) -> bytes:
    """A PNG with a hundred bytes of its pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes(48)) if colour == 3 else b""
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + pixels + chunk(b"IEND", b"")


def black_png(width: int, height: int, *, interlaced: bool = False) -> bytes:
    """A whole PNG of black RGB pixels; deflate makes a thousandth of it."""
    coder = zlib.compressobj(9)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlaced)
    pixels = b"".join(coder.compress(bytes(1 + 3 * width)) for _ in range(2 * height if interlaced else height))
    data = pixels + coder.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tiff(width: int, height: int, rows: int = 0, tile: int = 0) -> bytes:
    """A TIFF of RGB in one strip of `rows` rows, or in tiles, of which there are some bytes."""
    tags = {256: width, 257: height, 258: 8, 259: 8, 262: 2, 277: 3}
    tags |= {322: tile, 323: tile, 324: 200, 325: 200} if tile else {273: 200, 278: rows, 279: 200}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    start = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)
    return start.ljust(200, b"\0") + zlib.compress(bytes(1000)).ljust(300, b"\0")


def jpeg(width: int, height: int, *, progressive: bool = False) -> bytes:
    """A JPEG with fifty bytes of its pixels, and its end."""
    tables = b"\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([1] * 64)
    tables += b"".join(b"\xff\xc4" + struct.pack(">HB", 20, kind) + bytes([1] + [0] * 15) + b"\0" for kind in (0, 16))
    frame = struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    scan = struct.pack(">HB", 12, 3) + b"\1\0\2\0\3\0\0" + (b"\0" if progressive else b"\x3f") + b"\0"
    start = b"\xff\xd8" + tables + (b"\xff\xc2" if progressive else b"\xff\xc0") + frame
    return start + b"\xff\xda" + scan + bytes(50) + b"\xff\xd9"


def webp(width: int, height: int) -> bytes:
    """A lossless WebP with some bytes of its pixels."""
    size = struct.pack("<I", (width - 1) | (height - 1) << 14)
    return b"RIFF" + struct.pack("<I", 40) + b"WEBPVP8L" + struct.pack("<I", 20) + b"\x2f" + size + bytes(15)


def bmp(width: int, height: int) -> bytes:
    """A BMP with a hundred bytes of its pixels."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 154, 0, 0, 54) + header + bytes(100)
