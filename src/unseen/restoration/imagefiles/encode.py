"""Rows of pixels in, an encoded file out: never more than a few strips of it in memory."""

from __future__ import annotations

import errno
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from .decode import Depth, FileFormat
from .tiff_exif import add_to_tiff

if TYPE_CHECKING:
    import pyvips

HELD_DEPTHS: dict[FileFormat, tuple[Depth, ...]] = {
    "png": ("uint8", "uint16"),
    "jpeg": ("uint8",),
    "tiff": ("uint8", "uint16", "float32"),
    "webp": ("uint8",),
    "bmp": ("uint8",),
}
"""The depths that each format is written in, the deepest last."""
LONGEST_SIDE: dict[FileFormat, int] = {"jpeg": 65500, "webp": 16383}
"""In pixels, where a format has such a limit: libjpeg's and libwebp's."""
_CLASSIC_TIFF = 2**32 - 2**28
"""Bytes of pixels above which a TIFF is a BigTIFF: offsets of 32 bits, and some room for what deflate adds."""
_VIPS_FORMATS: dict[Depth, str] = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
_GRAYS: dict[Depth, str] = {"uint8": "b-w", "uint16": "grey16", "float32": "b-w"}
_COLOURS: dict[Depth, str] = {"uint8": "srgb", "uint16": "rgb16", "float32": "scrgb"}


@dataclass(frozen=True)
class Layout:
    """Of the pixels to write: rows are (width, bands); two bands are gray and alpha, four RGB and alpha."""

    width: int
    height: int
    bands: int
    depth: Depth

    @property
    def pixel_bytes(self) -> int:
        return self.bands * np.dtype(self.depth).itemsize


@dataclass(frozen=True)
class Carried:
    """What a file says beside its pixels.

    blobs, texts: metadata by libvips's names (`icc-profile-data`, `xmp-data`, ...). exif: a TIFF structure with or
    without the `Exif` mark before it. iptc: as the format holds it. Both are empty where there is none.
    x, y: resolution in pixels per millimetre.
    """

    blobs: Mapping[str, bytes]
    texts: Mapping[str, str]
    exif: bytes
    iptc: bytes
    x: float
    y: float


def encode(
    file: BinaryIO,
    format: FileFormat,
    rows: Iterable[NDArray[Any]],
    layout: Layout,
    carried: Carried,
    *,
    quality: int,
    lossless: bool,
) -> None:
    """Write strips of rows, (h, width, bands) from top to bottom, into a file that is open for writing and reading.

    quality: of JPEG and of lossy WebP, 1 to 100. lossless: of WebP.
    A thread encodes while the caller's makes the rows. libvips reads its rows from a pipe, in the one format of its
    binary distribution that streams without loss: PNG. The rows travel as gray bytes, uncompressed, and are folded
    back into pixels of any depth on the other side.
    Raises whatever `rows` raises; OSError where the file cannot be written; UserError where it cannot be encoded.
    """
    reading_end, writing_end = os.pipe()
    with ThreadPoolExecutor(1) as pool, os.fdopen(writing_end, "wb") as pipe:
        encoder = pool.submit(_encode_piped, reading_end, file, format, layout, carried, quality, lossless)
        for piece in _as_png(rows, layout):
            if encoder.done():
                break
            pipe.write(piece)
        pipe.close()
        encoder.result()
    if format == "tiff" and (carried.exif or carried.iptc):
        add_to_tiff(file, carried.exif, carried.iptc)


def _as_png(rows: Iterable[NDArray[Any]], layout: Layout) -> Iterator[bytes]:
    """The bytes of the rows as a gray PNG that is not compressed (W3C, Portable Network Graphics, 2003)."""
    width = layout.width * layout.pixel_bytes
    stored = zlib.compressobj(0)
    yield b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, layout.height, 8, 0, 0, 0, 0))
    for strip in rows:
        lines = np.zeros((len(strip), 1 + width), np.uint8)  # the first byte of a line: no filter
        lines[:, 1:] = np.ascontiguousarray(strip).view(np.uint8).reshape(len(strip), width)
        yield _chunk(b"IDAT", stored.compress(lines.data))
    yield _chunk(b"IDAT", stored.flush()) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def _encode_piped(
    reading_end: int, file: BinaryIO, format: FileFormat, layout: Layout, carried: Carried, quality: int, lossless: bool
) -> None:
    import pyvips

    detail = None
    try:
        _encode_image(reading_end, file, format, layout, carried, quality, lossless)
    except pyvips.Error as error:
        # Only its words: by way of its traceback, the file would stay open as long as anybody held the error.
        detail = str(error.detail)
    finally:
        # After a failure nobody reads any more, and the writer would wait for ever.
        while os.read(reading_end, 2**20):
            pass
        os.close(reading_end)
    if detail is not None:
        # What the disk says is told among what follows from it.
        told = re.search(r"system error: (.*)", detail)
        if told:
            raise OSError(next((code for code in errno.errorcode if os.strerror(code) == told[1]), 0), told[1])
        raise UserError(f"{file.name}: cannot be encoded: {' '.join(detail.split())}")


def _encode_image(
    reading_end: int, file: BinaryIO, format: FileFormat, layout: Layout, carried: Carried, quality: int, lossless: bool
) -> None:
    import pyvips

    image = _described(_folded(reading_end, layout), carried, format)
    if format == "bmp":
        _write_bmp(image.numpy().reshape(layout.height, layout.width, layout.bands), file, carried)
        return
    target = pyvips.Target.new_to_descriptor(file.fileno())
    match format:
        case "png":
            # Level 3 is a third of the time of libvips's 6, and some 6 % larger.
            image.pngsave_target(target, compression=3, filter="all")
        case "jpeg":
            image.jpegsave_target(target, Q=quality, subsample_mode="off")
        case "webp":
            image.webpsave_target(target, Q=quality, lossless=lossless, exact=True)
        case "tiff":
            image.tiffsave_target(
                target,
                compression="deflate",
                # The predictor of floating point gains little, and not every reader knows it.
                predictor="none" if layout.depth == "float32" else "horizontal",
                bigtiff=layout.width * layout.height * layout.pixel_bytes > _CLASSIC_TIFF,
            )


def _folded(reading_end: int, layout: Layout) -> pyvips.Image:
    import pyvips

    pyvips.cache_set_max(0)  # as in decoding.opened
    source = pyvips.Source.new_from_descriptor(reading_end)
    # `unlimited`: libpng's limits are for strangers' files, and bytes make rows far longer than pixels do.
    raw = pyvips.Image.pngload_source(source, access="sequential", fail_on="error", unlimited=True)
    interpretation = (_GRAYS if layout.bands <= 2 else _COLOURS)[layout.depth]
    pixels = raw.bandfold(factor=layout.pixel_bytes)
    return pixels.copy(format=_VIPS_FORMATS[layout.depth], bands=layout.bands, interpretation=interpretation)


def _described(image: pyvips.Image, carried: Carried, format: FileFormat) -> pyvips.Image:
    import pyvips

    image = image.copy()
    for name in image.get_fields():
        if name in ("bits-per-sample", "background"):  # of the bytes in the pipe
            image.remove(name)
    # Into TIFF libvips writes no EXIF, and of IPTC the first quarter: add_to_tiff does.
    ours = {} if format == "tiff" else {"exif-data": carried.exif, "iptc-data": carried.iptc}
    for name, blob in {**carried.blobs, **ours}.items():
        if blob:
            image.set_type(pyvips.GValue.blob_type, name, blob)
    for name, text in carried.texts.items():
        image.set_type(pyvips.GValue.gstr_type, name, text)
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)
    return image.copy(xres=carried.x, yres=carried.y)  # last, since `exif-data` sets them, too


def _write_bmp(pixels: NDArray[np.uint8], file: BinaryIO, carried: Carried) -> None:
    """Of one, three or four channels; two, gray and alpha, become four (Microsoft, BITMAPV4HEADER)."""
    if pixels.shape[2] == 2:
        pixels = pixels[:, :, [0, 0, 0, 1]]
    height, width, bands = pixels.shape
    stride = (width * bands + 3) // 4 * 4
    palette = np.arange(256, dtype="<u4") * 0x010101 if bands == 1 else np.empty(0, "<u4")
    masks = struct.pack("<4I4s48x", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs") if bands == 4 else b""
    start = 14 + 40 + len(masks) + palette.nbytes
    x, y = round(carried.x * 1000), round(carried.y * 1000)
    file.write(struct.pack("<2sIII", b"BM", start + stride * height, 0, start))
    sizes = (40 + len(masks), width, height, 1, 8 * bands, 3 if bands == 4 else 0, stride * height, x, y)
    file.write(struct.pack("<IiiHHIIiiII", *sizes, len(palette), 0) + masks + palette.tobytes())
    order = [0] if bands == 1 else [2, 1, 0, 3][:bands]
    for row in pixels[::-1]:
        file.write(row[:, order].tobytes().ljust(stride, b"\0"))
