"""Encoding of rows of pixels to an image file, with only a few strips of the picture in memory."""

from __future__ import annotations

import errno
import os
import re
import struct
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ...data.native_messages import silence_glib
from .decode import Depth, FileFormat
from .jpeg_segments import add_to_jpeg
from .metadata import Metadata
from .png_chunks import add_to_png
from .resolution import Resolution
from .tiff_exif import add_to_tiff
from .webp_chunks import add_to_webp

if TYPE_CHECKING:
    import pyvips

HELD_DEPTHS: dict[FileFormat, tuple[Depth, ...]] = {
    "png": ("uint8", "uint16"),
    "jpeg": ("uint8",),
    "tiff": ("uint8", "uint16", "float32"),
    "webp": ("uint8",),
    "bmp": ("uint8",),
}
"""The depths that each format can hold, the deepest last."""
LONGEST_SIDE: dict[FileFormat, int] = {"jpeg": 65500, "webp": 16383}
"""The longest side in pixels, of formats with such a limit: libjpeg's and libwebp's."""
_CLASSIC_TIFF = 2**32 - 2**28
"""Bytes of pixels above which a BigTIFF is written: the range of 32-bit offsets, less the overhead of deflate."""
_VIPS_FORMATS: dict[Depth, str] = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
_GRAYS: dict[Depth, str] = {"uint8": "b-w", "uint16": "grey16", "float32": "b-w"}
_COLOURS: dict[Depth, str] = {"uint8": "srgb", "uint16": "rgb16", "float32": "scrgb"}


@dataclass(frozen=True)
class PixelLayout:
    """The shape and type of the pixels to write.

    Attributes:
        width: pixels in a row.
        height: rows.
        bands: channels of a pixel: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
        depth: type of one value.
    """

    width: int
    height: int
    bands: int
    depth: Depth

    @property
    def bytes(self) -> int:
        """The size of all pixels."""
        return self.width * self.height * self.bands * np.dtype(self.depth).itemsize


def encode(
    file: BinaryIO,
    format: FileFormat,
    rows: Iterable[NDArray[Any]],
    layout: PixelLayout,
    metadata: Metadata,
    *,
    quality: int,
    lossless: bool,
) -> None:
    """Write strips of rows into an image file.

    The pixels go through a temporary file beside `file`, since libvips can neither take rows one by one nor read raw
    pixels from a pipe. The temporary file has no name, so that it vanishes even if the process is killed.

    Args:
        file: the file, open for writing and reading.
        format: the format to write.
        rows: strips (h, width, bands) in the layout's depth, from top to bottom.
        layout: shape and type of all rows together.
        metadata: the metadata to write.
        quality: quality of JPEG and of lossy WebP, 1 to 100.
        lossless: whether WebP is compressed without loss.

    Raises:
        OSError: the file or the temporary file cannot be written.
        UserError: the pixels cannot be encoded.
        Exception: any error that `rows` raises.
    """
    with tempfile.TemporaryFile(dir=Path(file.name).parent) as raw:
        for strip in rows:
            raw.write(np.ascontiguousarray(strip).data)
        raw.flush()
        if format == "bmp":
            pixels = np.memmap(raw, np.uint8, "r", shape=(layout.height, layout.width, layout.bands))
            _write_bmp(file, pixels)
        else:
            _write_by_libvips(file, format, f"/dev/fd/{raw.fileno()}", layout, quality, lossless)
    _add_metadata(file, format, layout, metadata)


def _write_by_libvips(
    file: BinaryIO,
    format: FileFormat,
    raw: str,
    layout: PixelLayout,
    quality: int,
    lossless: bool,
) -> None:
    import pyvips

    silence_glib()
    pyvips.cache_set_max(0)  # the files of its last hundred operations would stay open
    detail = None
    try:
        image = _raw_image(raw, layout)
        target = pyvips.Target.new_to_descriptor(file.fileno())
        match format:
            case "png":
                # Level 3 takes a third of the time of libvips's 6, and files are some 6 % larger.
                image.pngsave_target(target, compression=3, filter="all", keep="none")
            case "jpeg":
                image.jpegsave_target(target, Q=quality, subsample_mode="off", keep="none")
            case "webp":
                image.webpsave_target(target, Q=quality, lossless=lossless, exact=True, keep="none")
            case "tiff":
                image.tiffsave_target(
                    target,
                    compression="deflate",
                    # The predictor of floating point gains little, and not every reader knows it.
                    predictor="none" if layout.depth == "float32" else "horizontal",
                    bigtiff=layout.bytes > _CLASSIC_TIFF,
                    keep="none",
                )
    except pyvips.Error as error:
        # Only the message is kept: the error's traceback would keep the file open.
        detail = str(error.detail)
    if detail is not None:
        # The system's message stands among the errors that follow from it.
        system = re.search(r"system error: (.*)", detail)
        if system:
            code = next((code for code in errno.errorcode if os.strerror(code) == system[1]), 0)
            raise OSError(code, system[1])
        raise UserError(f"{file.name}: cannot be encoded: {' '.join(detail.split())}")


def _raw_image(path: str, layout: PixelLayout) -> pyvips.Image:
    """A pipeline that reads a file of raw pixels, in the machine's byte order."""
    import pyvips

    return pyvips.Image.rawload(
        path,
        layout.width,
        layout.height,
        layout.bands,
        format=_VIPS_FORMATS[layout.depth],
        interpretation=(_GRAYS if layout.bands <= 2 else _COLOURS)[layout.depth],
        access="sequential",
    )


def _add_metadata(file: BinaryIO, format: FileFormat, layout: PixelLayout, metadata: Metadata) -> None:
    """Put metadata into a file of nothing but pixels: libvips would write a part of it, and that in its own way."""
    match format:
        case "png":
            add_to_png(file, metadata.chunks)
        case "jpeg":
            add_to_jpeg(
                file,
                profile=metadata.profile,
                exif=metadata.exif,
                xmp=metadata.xmp,
                photoshop=metadata.resources,
                comments=metadata.comments,
                resolution=metadata.resolution,
            )
        case "webp":
            add_to_webp(
                file,
                (layout.width, layout.height),
                alpha=layout.bands in (2, 4),
                profile=metadata.profile,
                exif=metadata.exif,
                xmp=metadata.xmp,
            )
        case "tiff":
            add_to_tiff(
                file,
                exif=metadata.exif,
                profile=metadata.profile,
                xmp=metadata.xmp,
                iptc=metadata.iptc,
                photoshop=metadata.resources,
                geography=metadata.geography,
                resolution=metadata.resolution,
            )
        case "bmp":
            _add_to_bmp(file, metadata.resolution)


def _write_bmp(file: BinaryIO, pixels: NDArray[np.uint8]) -> None:
    """Write a BMP row by row; gray and alpha become RGB and alpha (Microsoft, BITMAPINFOHEADER and BITMAPV4HEADER).

    Not by Pillow: it writes no alpha, takes the whole picture into memory, and does not notice a last write that the
    disk cut short.
    """
    height, width, channels = pixels.shape
    order = {1: [0], 2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    bands = len(order)
    stride = (width * bands + 3) // 4 * 4
    palette = np.arange(256, dtype="<u4") * 0x010101 if bands == 1 else np.empty(0, "<u4")
    masks = struct.pack("<4I4s48x", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs") if bands == 4 else b""
    start = 14 + 40 + len(masks) + palette.nbytes
    file.write(struct.pack("<2sIII", b"BM", start + stride * height, 0, start))
    sizes = (40 + len(masks), width, height, 1, 8 * bands, 3 if bands == 4 else 0, stride * height, 0, 0)
    file.write(struct.pack("<IiiHHIIiiII", *sizes, len(palette), 0) + masks + palette.tobytes())
    for row in pixels[::-1]:
        file.write(row[:, order].tobytes().ljust(stride, b"\0"))


def _add_to_bmp(file: BinaryIO, resolution: Resolution | None) -> None:
    """Write a resolution into the header of a BMP."""
    if resolution and resolution.unit != "none":
        inner = resolution.per("metre")
        file.seek(38)
        file.write(struct.pack("<ii", *(min(round(value), 2**31 - 1) for value in (inner.x, inner.y))))
