"""Pictures of every format, and the damage that is done to them."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from functools import cache
from random import Random

import numpy as np
import tifffile
from PIL import Image

SIDES = (48, 36)
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers at which sizes, counts and offsets go wrong."""


@cache
def seed_pictures() -> dict[str, bytes]:
    """Intact pictures by file name: every format that is read, in the kinds that take another way through a decoder."""
    width, height = SIDES
    rows, columns, colour = np.mgrid[:height, :width, :3]
    pixels = (128 + 100 * np.sin(rows / 5) * np.cos(columns / 4 + colour)).astype(np.uint8)
    deep = pixels.astype(np.uint16) * 257
    picture = Image.fromarray(pixels)
    alpha = picture.convert("RGBA")
    alpha.putalpha(Image.fromarray(pixels[..., 1]))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x8769] = 6, "a picture", {0xA002: width, 0xA003: height}
    gray, palette, cmyk = picture.convert("L"), picture.quantize(16), picture.convert("CMYK")
    pages = [picture, picture.rotate(90, expand=True)]
    save = _saved
    files = {
        "rgb.png": save(picture, "PNG"),
        "alpha.png": save(alpha, "PNG"),
        "palette.png": save(palette, "PNG", transparency=3),
        "gray.png": save(gray, "PNG"),
        "bilevel.png": save(gray.convert("1"), "PNG"),
        "gray16.png": save(Image.fromarray(deep[..., 0]), "PNG"),
        "rgb16.png": _png(deep.astype(">u2").tobytes(), 16),
        "interlaced.png": _interlaced(gray),
        "exif.png": save(picture, "PNG", exif=exif, dpi=(300, 300)),
        "baseline.jpg": save(picture, "JPEG", quality=90, exif=exif, dpi=(72, 72)),
        "progressive.jpg": save(picture, "JPEG", progressive=True),
        "cmyk.jpg": save(cmyk, "JPEG"),
        "gray.jpg": save(gray, "JPEG", comment=b"a comment"),
        "restart.jpg": save(picture, "JPEG", restart_marker_blocks=1),
        "rgb.tif": save(picture, "TIFF", dpi=(300, 300), description="a picture"),
        "lzw.tif": save(picture, "TIFF", compression="tiff_lzw"),
        "deflate.tif": save(alpha, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": save(picture, "TIFF", compression="jpeg"),
        "group4.tif": save(gray.convert("1"), "TIFF", compression="group4"),
        "palette.tif": save(palette, "TIFF"),
        "pages.tif": save(pages[0], "TIFF", save_all=True, append_images=pages[1:]),
        "rgb16.tif": _tiff(deep),
        "planar.tif": _tiff(deep.transpose(2, 0, 1), planarconfig="separate", photometric="rgb"),
        "float.tif": _tiff(pixels.astype(np.float32) / 255, photometric="rgb"),
        "tiled.tif": _tiff(pixels, tile=(16, 16), photometric="rgb"),
        "big.tif": _tiff(pixels, bigtiff=True, photometric="rgb"),
        "lossy.webp": save(picture, "WEBP", exif=exif),
        "lossless.webp": save(alpha, "WEBP", lossless=True),
        "rgb.bmp": save(picture, "BMP"),
        "palette.bmp": save(palette, "BMP"),
        "gray.ppm": save(gray, "PPM"),
        "rgb.gif": save(palette, "GIF"),
        "rgb.avif": save(picture, "AVIF"),
        "rgb.jp2": save(picture, "JPEG2000"),
    }
    return files


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture.save(stream, kind, **options)
    return stream.getvalue()


def _tiff(pixels: object, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def _png(rows: bytes, depth: int) -> bytes:
    """RGB in a PNG of some depth, which Pillow does not write."""
    width, height = SIDES
    stride = width * 3 * depth // 8
    filtered = b"".join(b"\0" + rows[i * stride : (i + 1) * stride] for i in range(height))
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered)), (b"IEND", b"")]
    return PNG + b"".join(_chunk(name, body) for name, body in parts)


def _interlaced(gray: Image.Image) -> bytes:
    """A gray PNG by Adam7, which Pillow does not write."""
    pixels, rows = np.asarray(gray), b""
    for y, x, dy, dx in (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", *gray.size, 8, 0, 0, 0, 1)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return PNG + b"".join(_chunk(name, body) for name, body in parts)


PNG = b"\x89PNG\r\n\x1a\n"


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


# ------------------------------------------------------------------------------------------------ damage


def damaged(name: str, random: Random) -> bytes:
    """A seed picture with one to three kinds of damage."""
    content = bytearray(seed_pictures()[name])
    own = STRUCTURES.get(name.rpartition(".")[2], [])
    for _ in range(random.choice((1, 1, 2, 3))):
        random.choice([*GENERAL, *own, *own])(content, random)
    return bytes(content)


def _flip(content: bytearray, random: Random) -> None:
    """Change bytes, more of them near the beginning."""
    for _ in range(random.choice((1, 2, 8, 32))):
        if content:
            end = random.choice((64, 512, len(content)))
            content[random.randrange(min(end, len(content)))] = random.randrange(256)


def _cut(content: bytearray, random: Random) -> None:
    """Cut the end off."""
    del content[random.randrange(len(content) + 1) :]


def _splice(content: bytearray, random: Random) -> None:
    """Take out, repeat or move a block, or put one of another picture in."""
    start, place = random.randrange(len(content) + 1), random.randrange(len(content) + 1)
    block = content[start : start + random.choice((1, 7, 64, 1024))]
    if random.random() < 0.4:
        del content[start : start + len(block)]
    if random.random() < 0.3:
        other = random.choice(list(seed_pictures().values()))
        block = bytearray(other[start % len(other) :][: len(block)])
    content[place:place] = block


def _extreme(content: bytearray, random: Random) -> None:
    """Write an extreme number over two, four or eight bytes."""
    size, order = random.choice((2, 4, 8)), random.choice(("little", "big"))
    value = random.choice(EXTREMES) % 256**size
    place = random.randrange(max(1, min(len(content), random.choice((32, 256, len(content) or 1)))))
    content[place : place + size] = value.to_bytes(size, order)


def _fill(content: bytearray, random: Random) -> None:
    """Fill a stretch with one value, as a disk with holes in it does."""
    start = random.randrange(len(content) + 1)
    stretch = content[start : start + random.choice((16, 256, 4096))]
    content[start : start + len(stretch)] = bytes([random.choice((0, 255))]) * len(stretch)


def _append(content: bytearray, random: Random) -> None:
    """Put something behind the end."""
    content += random.choice((b"\0" * 100, random.randbytes(200), random.choice(list(seed_pictures().values()))))


GENERAL: list[Callable[[bytearray, Random], None]] = [_flip, _cut, _splice, _extreme, _fill, _append]


def _png_chunks(content: bytearray, random: Random) -> None:
    """Change, repeat, remove or reorder chunks of a PNG; checksums are right, so that decoders go on."""
    chunks = []
    place = 8
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        chunks.append((bytes(content[place + 4 : place + 8]), bytes(content[place + 8 : place + 8 + length])))
        place += 12 + length
    if not chunks:
        return
    i = random.randrange(len(chunks))
    name, body = chunks[i]
    action = random.randrange(6)
    if action == 0:
        del chunks[i]
    elif action == 1:
        chunks.insert(random.randrange(len(chunks) + 1), chunks[i])
    elif action == 2:
        random.shuffle(chunks)
    elif action == 3:
        extra = random.choice(
            (b"gAMA", b"cHRM", b"iCCP", b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"pHYs", b"sRGB", b"acTL", b"cICP")
        )
        chunks.insert(
            1,
            (
                extra,
                random.choice((b"", b"\0" * 40, random.randbytes(60), b"key\0\0" + zlib.compress(b"\x1b[31m" * 99))),
            ),
        )
    else:
        changed = bytearray(body)
        if action == 4 and len(changed) > 8:
            struct.pack_into(">I", changed, random.choice((0, 4)), random.choice(EXTREMES))
        else:
            _flip(changed, random)
        chunks[i] = (name, bytes(changed))
    content[:] = PNG + b"".join(_chunk(*chunk) for chunk in chunks)


def _tiff_entries(content: bytearray, random: Random) -> None:
    """Give one entry of the first directory of a TIFF another tag, type, count or value."""
    if len(content) < 16:
        return
    order = "<" if content[:2] == b"II" else ">"
    (place,) = struct.unpack_from(order + "I", content, 4)
    if not 8 <= place <= len(content) - 2:
        return
    (count,) = struct.unpack_from(order + "H", content, place)
    entry = place + 2 + 12 * random.randrange(max(1, min(count, 64)))
    if entry + 12 > len(content):
        return
    kind, offset = random.choice((("H", 0), ("H", 2), ("I", 4), ("I", 8), ("I", 8)))
    value = random.choice((*EXTREMES, random.randrange(2**16))) % (2**16 if kind == "H" else 2**32)
    struct.pack_into(order + kind, content, entry + offset, value)


def _jpeg_segments(content: bytearray, random: Random) -> None:
    """Change the length or the body of one segment of a JPEG, repeat it, or take it out."""
    segments = []
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", content, place + 2)
        segments.append((place, 2 + length))
        place += 2 + length
    if not segments:
        return
    start, length = random.choice(segments)
    action = random.randrange(4)
    if action == 0:
        del content[start : start + length]
    elif action == 1:
        content[start:start] = content[start : start + length]
    elif action == 2:
        struct.pack_into(">H", content, start + 2, random.choice(EXTREMES) % 2**16)
    else:
        place = start + random.randrange(4, max(5, length))
        if place < len(content):
            content[place] = random.choice((0, 1, 0xFF, random.randrange(256)))


STRUCTURES: dict[str, list[Callable[[bytearray, Random], None]]] = {
    "png": [_png_chunks],
    "tif": [_tiff_entries],
    "jpg": [_jpeg_segments],
}
"""Damage that keeps the structure of a format, by suffix."""
