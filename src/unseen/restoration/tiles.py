"""Large images in overlapping tiles: the same result, in memory that does not grow with the image.

A side is cut into windows that begin at multiples of a step and are step + 2·overlap long; the last ends with the
image. Of each window all is kept but `overlap` pixels next to a cut. No cut changes anything farther than that, the
image's own borders stay borders, and windows begin where a pixel at the network's lowest resolution does: so what is
kept is what the network makes of the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.errors import UserError
from ..core.memory import MIB, Memory
from ..data.embedded import embedded_photos
from ..data.tensors import to_tensor
from ..models.backbones.padded import next_multiple
from ..models.loading import Model
from ..models.receptive_field import ReceptiveField

Strip = NDArray[np.float32]
"""Rows of an image, float32 (h, W, 3)."""

LARGEST = 512
"""Pixels along a tile of the output, at most, unless four overlaps are more: larger ones are hardly faster."""
UNMEASURED = 256
"""Pixels along a tile of the input where the system does not tell what memory a process takes."""
SHOWING = 32 * MIB
"""What a run must take to be told from what else the process does, in bytes."""
SPARE = 16 * MIB
"""What is left of the memory for everything that does not grow with the tile, in bytes."""
MARGIN = 1.5
"""What larger runs may take for each pixel, as a multiple of what smaller ones did."""
ENDLESS_OVERLAP = 64
"""Pixels of overlap for networks that see the whole image, at least: what the cuts themselves do is gone by then."""


@dataclass(frozen=True)
class Tiling:
    """How images are cut: tiles of `tile` pixels beyond which the network is shown `overlap` more on every side.

    In pixels of the input; both multiples of the network's stride.
    """

    tile: int
    overlap: int

    @property
    def window(self) -> int:
        """Pixels along the largest window that the network is given."""
        return self.tile + 2 * self.overlap


@dataclass(frozen=True)
class Span:
    """A window along one side of an image, [begin, end), and what is kept of its result, [first, last)."""

    begin: int
    end: int
    first: int
    last: int

    @property
    def size(self) -> int:
        return self.end - self.begin

    def kept(self, scale: int) -> slice:
        """Where the result of the window holds what is kept."""
        return slice(scale * (self.first - self.begin), scale * (self.last - self.begin))

    def placed(self, scale: int) -> slice:
        """Where the result of the image takes it."""
        return slice(scale * self.first, scale * self.last)


def spans(length: int, tiling: Tiling) -> list[Span]:
    """The windows along a side of `length` pixels, in order; one alone if it takes the whole side.

    As few as can be, and of nearly one size: memory that is freed in pieces of other sizes serves badly again.
    """
    overlap = tiling.overlap
    shared = max(1, length - 2 * overlap)  # by tiles: the first and the last window keep an overlap each besides
    tiles = -(-shared // tiling.tile)
    step = next_multiple(-(-shared // tiles), math.gcd(tiling.tile, overlap))  # hence of the network's stride
    begins = range(0, shared, step)
    cuts = [0, *(begin + overlap for begin in begins[1:]), length]
    ends = [*(begin + step + 2 * overlap for begin in begins[:-1]), length]
    return [Span(*span) for span in zip(begins, ends, cuts[:-1], cuts[1:], strict=True)]


def count_tiles(height: int, width: int, tiling: Tiling) -> int:
    """How many tiles `restored_strips` makes of an image."""
    return len(spans(height, tiling)) * len(spans(width, tiling))


def restored_strips(
    model: Model,
    read: Callable[[int, int], Strip],
    height: int,
    width: int,
    tiling: Tiling,
    done: Callable[[int], object] | None = None,
) -> Iterator[Strip]:
    """Restore an image that is read from top to bottom, strip by strip: float32 (h·scale, W·scale, 3), not clipped.

    read: (top, bottom) → float32 (bottom − top, W, 3) in [0, 1]; each row is asked for once, in order. done: is given 1
    after every tile.
    Held at a time: the rows that one window covers, and one strip of the result.
    """
    scale = model.receptive_field.scale
    columns = spans(width, tiling)
    held = np.empty((min(tiling.window, height), width, 3), np.float32)
    begin = end = 0  # the rows that it holds
    for rows in spans(height, tiling):
        held[: end - rows.begin] = held[rows.begin - begin : end - begin]
        held[end - rows.begin : rows.size] = read(end, rows.end)
        begin, end = rows.begin, rows.end
        strip = np.empty((scale * (rows.last - rows.first), scale * width, 3), np.float32)
        for span in columns:
            restored = _run(model, held[: rows.size, span.begin : span.end])
            strip[:, span.placed(scale)] = restored[rows.kept(scale), span.kept(scale)]
            del restored  # before the next tile needs the memory
            if done:
                done(1)
        yield strip


def _run(model: Model, pixels: Strip) -> Strip:
    window = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    restored = _enlarged_as_told(model, window.contiguous(memory_format=torch.channels_last))
    return restored[0].permute(1, 2, 0).numpy()


def _enlarged_as_told(model: Model, images: Tensor) -> Tensor:
    """Raises UserError where the result is of another size than the model's scale says, as that of a file can."""
    restored = model.run(images)
    height, width = (model.receptive_field.scale * side for side in images.shape[-2:])
    if restored.shape != (len(images), 3, height, width):
        sizes = [" × ".join(map(str, tensor.shape)) for tensor in (restored, images)]
        raise UserError(
            f"{model.name}: makes {sizes[0]} of {sizes[1]}, and tells a scale of {model.receptive_field.scale}"
        )
    return restored


def restore_tiled(model: Model, images: Tensor, tiling: Tiling) -> Tensor:
    """Restore images that are in memory: float32 (B, 3, H, W) in [0, 1] → (B, 3, scale·H, scale·W), not clipped.

    As many at a time as have no more pixels than the largest window.
    """
    (count, _, height, width), scale = images.shape, model.receptive_field.scale
    columns, rows = spans(width, tiling), spans(height, tiling)
    at_once = max(1, tiling.window**2 // (rows[0].size * columns[0].size))
    if len(rows) == len(columns) == 1 and count <= at_once:
        return _enlarged_as_told(model, images)
    whole = images.new_empty((count, 3, scale * height, scale * width))
    for part, made in zip(torch.split(images, at_once), torch.split(whole, at_once), strict=True):
        for row in rows:
            for span in columns:
                restored = _enlarged_as_told(model, part[..., row.begin : row.end, span.begin : span.end])
                made[..., row.placed(scale), span.placed(scale)] = restored[..., row.kept(scale), span.kept(scale)]
    return whole


def tiling_for(model: Model, memory: int, tile: int = 0) -> Tiling:
    """The tiles to cut images into, whatever their size.

    memory: bytes that one tile may need beside the loaded program: on the GPU if the network is there, else of the
        process. The model is run on small tiles to see (`bytes_per_pixel`). What `restored_strips` holds comes on top:
        the rows of one window, 24 bytes for each of their pixels at scale 1.
    tile: pixels along a tile, to set it by hand; rounded up to the network's stride, and `memory` is not asked.

    The overlap is the network's radius, or `ENDLESS_OVERLAP` where that is the whole image. A tile is at least half as
    long, else the work would be more than 25-fold.
    Raises UserError if `memory` is too little for that, and says how much is needed; and for a tile below 0.
    """
    if tile < 0:
        raise UserError(f"tile: {tile} is below 0; give pixels, or 0 for what fits into the memory")
    reach = model.receptive_field
    overlap = _overlap(reach)
    if tile:
        return Tiling(next_multiple(tile, reach.stride), overlap)
    least = next_multiple(-(-overlap // 2), reach.stride)
    largest = next_multiple(max(LARGEST // reach.scale, 4 * overlap), reach.stride)
    each = bytes_per_pixel(model, memory)
    if not each:
        return Tiling(next_multiple(max(UNMEASURED, least), reach.stride), overlap)
    fitting = (math.isqrt(int((memory - SPARE) / each)) if memory > SPARE else 0) - 2 * overlap
    if fitting < least:
        needed = SPARE + each * (least + 2 * overlap) ** 2
        raise UserError(
            f"memory: {memory // MIB}MiB is too little for tiles of {model.name}, which overlap by {overlap} pixels: "
            f"give {math.ceil(needed / MIB)}MiB or more, or set the tile by hand, which may take long"
        )
    return Tiling(min(largest, fitting // reach.stride * reach.stride), overlap)


def _overlap(reach: ReceptiveField) -> int:
    """At least a stride: so the last window, though it begins near the border, is as large as the network asks for."""
    return next_multiple(ENDLESS_OVERLAP if reach.radius is None else max(1, reach.radius), reach.stride)


def bytes_per_pixel(model: Model, memory: int) -> float:
    """What running the model takes for each pixel of its input, with a margin; 0 where the system does not tell.

    Measured on squares of 64 pixels, 128 and so on, until a run takes `SHOWING` or an eighth of `memory`: less than
    that drowns in what else the process does.
    """
    model.run(torch.full((1, 3, 64, 64), 0.5))  # what the first run alone takes belongs to the loaded program
    process = Memory(torch.device("cpu"))
    told = process.before > 0 and process.peak() * MIB < SHOWING  # on Linux, and old peaks are forgotten
    peak, side = 0.0, 32
    while peak < min(SHOWING, memory / 8) and side < LARGEST:
        side *= 2
        peak = _peak(model, side, process if told else None)
        if not told and not peak:
            return 0.0
    return MARGIN * peak / side**2


def _peak(model: Model, side: int, process: Memory | None) -> float:
    """Bytes that a run on a square takes: on the GPU, or in the process if nothing was taken there."""
    on_gpu = torch.cuda.is_available() and torch.cuda.memory_allocated() > 0
    held = torch.cuda.memory_allocated() if on_gpu else 0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    if process:
        process.restart()
    model.run(torch.full((1, 3, side, side), 0.5))
    taken = torch.cuda.max_memory_allocated() - held if on_gpu else 0
    return taken or (process.peak() * MIB if process else 0.0)


def tiling_effect(model: Model, tile: int = 128) -> float:
    """What tiles of `tile` pixels change in a test photograph, in gray levels of 255: the largest difference anywhere.

    For networks that see the whole image, so that a warning can say how much that matters. The photograph is the
    embedded astronaut with noise of 10 % of full scale, cut to what two by two such tiles take, 384×384 pixels as a
    rule; it is restored both ways. Where it is too small for that, its tiles are smaller, which change more.
    """
    (photo,) = (to_tensor(photo.pixels) for photo in embedded_photos("test") if photo.name == "astronaut")
    stride, overlap = model.receptive_field.stride, _overlap(model.receptive_field)
    room = (photo.shape[-1] // 2 - overlap) // stride * stride
    tiling = tiling_for(model, 0, max(1, min(tile, room)))
    side = 2 * (tiling.tile + overlap)
    draws = torch.Generator().manual_seed(0)
    noisy = (photo + 0.1 * torch.randn(photo.shape, generator=draws)).clamp(0, 1)[..., :side, :side]
    difference = restore_tiled(model, noisy, tiling) - model.run(noisy)
    return 255 * float(difference.abs().max())
