"""The memory that one picture takes beside the network's tiles: its decoder, and rows as wide as the picture."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..core.memory import MIB
from ..data.reading import UnreadableImage
from ..models.backbones.padded import next_multiple
from ..models.receptive_field import ReceptiveField
from .imagefiles.decode import FileFormat
from .imagefiles.image_file import ImageFile
from .imagefiles.save import CHUNK_ROWS
from .tiles import Tiling

_CODEC_ROWS = 192
"""Rows that decoder and encoder hold together: libvips writes TIFF in strips of 128, and reads ahead by some dozens."""
_CHUNK_BYTES = 40
"""Bytes a pixel, beside the strips, of the rows that are being converted from and to the file's depth."""


def tiling_within(
    memory: int, source: ImageFile, tiling: Tiling, field: ReceptiveField, format: FileFormat | None
) -> Tiling:
    """Lower the tiles of a wide picture, so that all that is as wide as the picture fits into the memory.

    Args:
        memory: bytes that decoder, encoder and strips may take together; the tiles take theirs in addition.
        source: the picture, of which only the header has been read.
        tiling: the tiles that the network's own memory allows.
        field: the network's receptive field, with its scale and stride.
        format: format of the output; None for the input's.

    Raises:
        UnreadableImage: not even the lowest tiles fit, or the format has to be held whole and does not; the message
            says how much memory it takes.
    """
    bands = (1 if source.gray else 3) + source.alpha
    per_row = source.width * bands * np.dtype(source.depth).itemsize
    whole = source.decoder_bytes
    if (format or source.output_format) == "webp":  # libwebp holds pixels, and the file that grows
        whole += 5 * source.width * source.height * field.scale**2
    fixed = whole + _CODEC_ROWS * per_row * field.scale + _CHUNK_BYTES * source.width * CHUNK_ROWS * field.scale**2

    def needed(height: int) -> int:
        if tiling.is_banded:  # three bands in work and ahead, the strip that is made and the one that is written
            return fixed + 60 * source.width * min(height, source.height)
        window = min(height + 2 * tiling.overlap, source.height)
        strip = min(height, source.height) * field.scale**2
        return fixed + 12 * source.width * (window + strip)

    lowest = next_multiple(-(-tiling.overlap // 2), field.stride)  # with lower ones the network would do too much twice
    if tiling.is_banded:
        lowest = field.stride
    if needed(lowest) > memory:
        why = "decoded or encoded whole" if whole > memory // 2 else f"read in rows of {source.width} pixels"
        least = math.ceil(needed(lowest) / MIB)
        raise UnreadableImage(source.path, f"must be {why}, and takes {least} MiB; give --memory {least}MiB or more")
    height = max(tiling.height or tiling.tile, lowest)
    while needed(height) > memory:
        height = max(lowest, height // 2 // field.stride * field.stride)
    return tiling if height >= (tiling.height or tiling.tile) else replace(tiling, height=height)
