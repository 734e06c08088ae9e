"""Writing of restored strips to an image file, in the input's depth, with the input's transparency and metadata."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import replacing
from ...core.errors import UserError
from .decode import FileFormat
from .encode import HELD_DEPTHS, LONGEST_SIDE, PixelLayout, encode
from .image_file import ImageFile, to_depth
from .metadata import metadata_for

CHUNK_ROWS = 32
"""Rows that are converted to the file's depth at a time."""


def save(
    source: ImageFile,
    path: Path,
    strips: Iterable[NDArray[np.float32]],
    format: FileFormat | None = None,
    *,
    scale: int = 1,
    quality: int = 95,
    keep_times: bool = False,
) -> list[str]:
    """Write a restored picture strip by strip, as the strips come. A file at `path` is replaced once all is written.

    Values are clipped to [0, 1] and rounded to the depth of the input, or to the deepest that the format has. A gray
    output is the mean of the three channels, since these are equally good estimates of one value. Alpha is the input's,
    enlarged bilinearly by `scale`. What the file holds beside its pixels is the input's, too, as far as it is true of
    the output and the format has a place for it (docs/files.md).

    Args:
        source: the input.
        path: the output.
        strips: float32 (h, scale·W, 3) from top to bottom, scale·H rows in all.
        format: format of the output; None for the input's (`ImageFile.output_format`).
        scale: factor by which the output is larger than the input.
        quality: quality of JPEG, and of WebP unless the input is lossless; 1 to 100.
        keep_times: whether the output gets the file times of the input.

    Returns:
        What the input has and the output has not, each in a short sentence.

    Raises:
        UserError: the file cannot be written, the format cannot hold the picture, or a value is not finite.
        Exception: any error that `strips` raises.
    """
    format = format or source.output_format
    _require_holdable(source, path, format, scale)
    depth = source.depth if source.depth in HELD_DEPTHS[format] else HELD_DEPTHS[format][-1]
    bands = (1 if source.gray else 3) + source.alpha
    layout = PixelLayout(source.width * scale, source.height * scale, bands, depth)
    rows = _file_rows(source, strips, layout, scale)
    metadata = metadata_for(source, format, scale)
    with replacing(path, flush_name=False) as temporary, temporary.open("w+b") as file:
        encode(file, format, rows, layout, metadata, quality=quality, lossless=source.lossless)
        if keep_times:
            file.flush()
            _take_times(source.path, temporary)
    return [*source.remarks, *metadata.remarks]


def copy_file(source: Path, path: Path, *, keep_times: bool = False) -> None:
    """Copy a file byte for byte to `path`, with its times on request. Raises UserError where it cannot be written."""
    with replacing(path, flush_name=False) as temporary:
        shutil.copyfile(source, temporary)
        if keep_times:
            _take_times(source, temporary)


def _take_times(source: Path, path: Path) -> None:
    times = source.stat()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _require_holdable(source: ImageFile, path: Path, format: FileFormat, scale: int) -> None:
    if source.alpha and format == "jpeg":
        raise UserError(f"{path}: JPEG holds no transparency, which {source.path} has; choose png, tiff or webp")
    limit = LONGEST_SIDE.get(format)
    longest = scale * max(source.width, source.height)
    if limit is not None and longest > limit:
        raise UserError(f"{path}: a side of {longest} pixels, and {format} holds {limit}; choose png or tiff")
    if format == "bmp" and 4 * (source.width + 1) * source.height * scale**2 >= 2**32:
        raise UserError(f"{path}: too large for BMP; choose png or tiff")


def _file_rows(
    source: ImageFile, strips: Iterable[NDArray[np.float32]], layout: PixelLayout, scale: int
) -> Iterator[NDArray[Any]]:
    """Yield the strips as the file holds them: (h, width, bands) in the layout's depth."""
    layers = source.layer_reader(layout.depth) if source.alpha and scale == 1 else None
    alpha = source.alpha_reader(layout.depth, scale) if source.alpha and scale > 1 else None
    top = 0
    for strip in (high[at : at + CHUNK_ROWS] for high in strips for at in range(0, len(high), CHUNK_ROWS)):
        if not np.isfinite(strip).all():
            raise UserError(f"{source.path}: the model gave values that are not finite; nothing was written")
        # In float64, so that the mean of three equal values is that value.
        values = strip.mean(axis=2, keepdims=True, dtype=np.float64).astype(np.float32) if source.gray else strip
        rows = to_depth(values, layout.depth)
        if layers:  # what nobody sees stays what it was
            originals = layers(top, top + len(rows))
            shown = np.where(originals[..., -1:] == 0, originals[..., :-1], rows)
            rows = np.concatenate([shown, originals[..., -1:]], axis=2)
        elif alpha:
            rows = np.concatenate([rows, alpha(top, top + len(rows))], axis=2)
        yield rows
        top += len(strip)
    if top != layout.height:
        raise ValueError(f"{top} rows for a picture of {layout.height}")
