"""Large images in overlapping tiles: the same result as the whole image gives, in memory that does not grow with it.

A side is cut into windows that begin at multiples of a step and are step + 2·overlap long; the last window ends with
the image. The network restores every window, and all of the result is kept except `overlap` pixels next to a cut. The
kept pixels equal those that the network makes of the whole image: a cut changes no pixel farther away than `overlap`,
the image's own borders stay borders, and every window begins at a pixel of the network's lowest resolution.
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
from ..core.units import bytes_in_words
from ..data.embedded import embedded_photos
from ..data.tensors import to_tensor
from ..models.backbones.padded import next_multiple
from ..models.backbones.wne import statistics_of_strips
from ..models.loading import Model
from ..models.receptive_field import ReceptiveField

Strip = NDArray[np.float32]
"""Rows of an image, float32 (h, W, 3)."""
Measure = Callable[[Tensor, Tensor], None]
"""A function of pixels and of what they became, (B, 3, h, w) each."""

LARGEST_TILE = 512
"""Largest side of a tile in pixels of the output, or four overlaps if these are more: larger ones are slower where the
system clears the memory of every tensor anew."""
LARGEST_TILE_KEPT = 1024
"""The same where the process keeps freed memory (`core.freed_memory`): larger ones are not faster there, either."""
UNMEASURED_TILE = 256
"""Pixels along a tile of the input on systems that do not report the memory of a process."""
MEASURABLE = 32 * MIB
"""Bytes that a run must take to be measurable beside all else that the process does."""
SPARE = 16 * MIB
"""Bytes of the memory that are reserved for everything that does not grow with the tile."""
MEMORY_MARGIN = 1.5
"""Safety factor from the measured bytes per pixel of a small run to those of a larger run."""
READ_ROWS = 32
"""Rows that are read from a file at a time."""
GLOBAL_OVERLAP = 64
"""Smallest overlap in pixels for networks that see the whole image: the local effect of a cut ends within it."""


@dataclass(frozen=True)
class Tiling:
    """The size and overlap of tiles, in pixels of the input; all are multiples of the network's stride.

    Attributes:
        tile: width of a tile, and its height unless `height` is set.
        overlap: pixels around the tile, on every side, that the network gets as well.
        height: height of a tile of a picture so wide that strips have to be lower; 0 for that of `tile`.
        is_banded: whether tiles that follow each other downwards do not overlap (`bands`).
    """

    tile: int
    overlap: int
    height: int = 0
    is_banded: bool = False

    @property
    def window(self) -> int:
        """Side of the largest window of the network, in pixels."""
        return self.tile + 2 * self.overlap

    def widened(self, margin: int, stride: int) -> Tiling:
        """Tiles that overlap by `margin` pixels more in the same windows, unless the tiles would be halved."""
        margin = next_multiple(margin, stride)
        return Tiling(max(self.tile - 2 * margin, next_multiple(self.tile // 2, stride)), self.overlap + margin)


@dataclass(frozen=True)
class Span:
    """A window along one side of an image. In pixels of the input.

    Attributes:
        begin: first pixel of the window.
        end: one past the last pixel of the window.
        first: the first pixel whose result is kept.
        last: one past the last pixel whose result is kept.
    """

    begin: int
    end: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """Pixels along the window."""
        return self.end - self.begin

    def kept_slice(self, scale: int) -> slice:
        """The kept pixels within the window's result, which is `scale` times as long as the window."""
        return slice(scale * (self.first - self.begin), scale * (self.last - self.begin))

    def image_slice(self, scale: int) -> slice:
        """The place of the kept pixels in the result of the whole image."""
        return slice(scale * self.first, scale * self.last)


def spans(length: int, tiling: Tiling) -> list[Span]:
    """Cut a side of `length` pixels into windows, in order; into a single one if it holds the whole side.

    Uses the fewest windows, nearly equal in size, because allocators reuse blocks of equal size best.
    """
    overlap = tiling.overlap
    shared = max(
        1, length - 2 * overlap
    )  # pixels for the tiles: beyond its tile, the first and the last window also keep an overlap each
    tiles = -(-shared // tiling.tile)
    step = next_multiple(
        -(-shared // tiles), math.gcd(tiling.tile, overlap)
    )  # hence a multiple of the network's stride
    begins = range(0, shared, step)
    cuts = [0, *(begin + overlap for begin in begins[1:]), length]
    ends = [*(begin + step + 2 * overlap for begin in begins[:-1]), length]
    return [Span(*span) for span in zip(begins, ends, cuts[:-1], cuts[1:], strict=True)]


def row_spans(height: int, tiling: Tiling) -> list[Span]:
    """Cut the height of an image into windows, as `spans` does with its width, or into bands, which do not overlap."""
    if tiling.is_banded:  # the last band is low, since all that waits for it in the network is made with it
        stride = math.gcd(tiling.tile, tiling.overlap, tiling.height)
        cuts = range(height - height % stride - stride, 0, -tiling.height) if height > tiling.height else ()
        return [Span(*ends, *ends) for ends in zip([0, *cuts[::-1]], [*cuts[::-1], height], strict=True)]
    return spans(height, Tiling(tiling.height or tiling.tile, tiling.overlap))


def count_tiles(height: int, width: int, tiling: Tiling) -> int:
    """The number of tiles into which an image is cut."""
    return len(row_spans(height, tiling)) * len(spans(width, tiling))


def restored_strips(
    model: Model,
    read: Callable[[int, int], Strip],
    height: int,
    width: int,
    tiling: Tiling,
    advance: Callable[[int], object] | None = None,
    measure: Measure | None = None,
) -> Iterator[Strip]:
    """Restore an image strip by strip, from top to bottom.

    At any time memory holds the rows of one window, and one strip of the result.

    Args:
        model: a network of three channels; one that takes statistics has those of the image (`for_strips_of`).
        read: function from (top, bottom) to float32 (bottom − top, W, 3) in [0, 1], called for each row once, in order.
        height: height of the image, in pixels.
        width: width of the image, in pixels.
        tiling: size and overlap of the tiles.
        advance: function called with 1 after every tile.
        measure: function called with all pixels of the image and what they became, each once; for a scale of 1.

    Yields:
        float32 (h·scale, W·scale, 3), not clipped.

    Raises:
        UserError: the model's result is not `scale` times as large as its input.
    """
    scale = model.receptive_field.scale
    columns = spans(width, tiling)
    rows_of_tiles = row_spans(height, tiling)
    buffer = np.empty((max(rows.size for rows in rows_of_tiles), width, 3), np.float32)
    begin = end = 0  # the rows in `buffer`
    for rows in rows_of_tiles:
        buffer[: end - rows.begin] = buffer[rows.begin - begin : end - begin]
        for top in range(end, rows.end, READ_ROWS):
            bottom = min(top + READ_ROWS, rows.end)
            buffer[top - rows.begin : bottom - rows.begin] = read(top, bottom)
        begin, end = rows.begin, rows.end
        strip = np.empty((scale * (rows.last - rows.first), scale * width, 3), np.float32)
        for span in columns:
            restored = _run(model, buffer[: rows.size, span.begin : span.end])
            strip[:, span.image_slice(scale)] = restored[rows.kept_slice(scale), span.kept_slice(scale)]
            del restored  # before the next tile needs the memory
            if advance:
                advance(1)
        if measure and scale == 1:
            kept = buffer[rows.first - rows.begin : rows.last - rows.begin]
            measure(*(torch.from_numpy(values).permute(2, 0, 1)[None] for values in (kept, strip)))
        yield strip


def for_strips_of(model: Model, reader: Callable[[], Callable[[int, int], Strip]], height: int) -> Model:
    """The model for the tiles of a picture that is read in strips.

    Args:
        model: the model; it is returned as it is if tiles are all that it needs.
        reader: function to a new `read` of `restored_strips`, with which the picture is read once more, for its
            statistics.
        height: height of the picture, in pixels.
    """
    if not model.takes_statistics:
        return model
    read = reader()
    strips = (read(top, min(top + READ_ROWS, height)) for top in range(0, height, READ_ROWS))
    return model.with_statistics(statistics_of_strips(strips))


def _run(model: Model, pixels: Strip) -> Strip:
    window = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    restored = _run_checked(model, window.contiguous(memory_format=torch.channels_last))
    return restored[0].permute(1, 2, 0).numpy()


def _run_checked(model: Model, images: Tensor) -> Tensor:
    """Run the model. Raises UserError if the result's size contradicts the model's scale, which a file may state."""
    restored = model.run(images)
    height, width = (model.receptive_field.scale * side for side in images.shape[-2:])
    if restored.shape != (len(images), 3, height, width):
        sizes = [" × ".join(map(str, tensor.shape)) for tensor in (restored, images)]
        raise UserError(
            f"{model.name}: makes {sizes[0]} of {sizes[1]}, but states a scale of {model.receptive_field.scale}"
        )
    return restored


def restore_tiled(model: Model, images: Tensor, tiling: Tiling) -> Tensor:
    """Restore images in memory, several at a time if together they have no more pixels than the largest window.

    Args:
        model: a network of three channels.
        images: float32 (B, 3, H, W) in [0, 1].
        tiling: size and overlap of the tiles of images larger than a window.

    Returns:
        float32 (B, 3, scale·H, scale·W), not clipped.

    Raises:
        UserError: the model's result is not `scale` times as large as its input.
    """
    (count, _, height, width), scale = images.shape, model.receptive_field.scale
    columns, rows = spans(width, tiling), row_spans(height, tiling)
    at_once = max(1, tiling.window**2 // (rows[0].size * columns[0].size))
    if len(rows) == len(columns) == 1 and count <= at_once:
        return _run_checked(model, images)
    results = images.new_empty((count, 3, scale * height, scale * width))
    for batch, result in zip(torch.split(images, at_once), torch.split(results, at_once), strict=True):
        tile_model = model.for_tiles_of(batch)
        for row in rows:
            for span in columns:
                restored = _run_checked(tile_model, batch[..., row.begin : row.end, span.begin : span.end])
                result[..., row.image_slice(scale), span.image_slice(scale)] = restored[
                    ..., row.kept_slice(scale), span.kept_slice(scale)
                ]
    return results


def tiling_for(model: Model, memory: int, tile: int = 0, largest: int = LARGEST_TILE) -> Tiling:
    """Choose the size and overlap of tiles for images of any size.

    The overlap is the network's radius, or `GLOBAL_OVERLAP` if the network sees the whole image. The side of a tile is
    at least half the overlap: with smaller tiles the network would do more than 25 times the work.

    Args:
        model: the model; it is run on small tiles to measure its memory (`bytes_per_pixel`), unless `tile` is set.
        memory: bytes that one tile may take beside the loaded program: on the GPU if the network is on the GPU, else in
            the process. `restored_strips` needs the rows of one window in addition: 24 bytes a pixel at scale 1.
        tile: side of a tile in pixels, rounded up to the network's stride, whatever `memory` is; 0 to choose it by
            `memory`.
        largest: largest side of a tile that is chosen, in pixels of the output; four overlaps if these are more.

    Raises:
        UserError: `memory` is too little for the smallest tile (the message says how much is needed), or `tile` is
            below 0.
    """
    if tile < 0:
        raise UserError(f"tile: {tile} is below 0; give pixels, or 0 for what fits into the memory")
    field = model.receptive_field
    overlap = _overlap(field)
    if tile:
        return Tiling(next_multiple(tile, field.stride), overlap)
    smallest = next_multiple(-(-overlap // 2), field.stride)
    most = next_multiple(max(largest // field.scale, 4 * overlap), field.stride)
    per_pixel = bytes_per_pixel(model, memory)
    if not per_pixel:
        return Tiling(next_multiple(max(UNMEASURED_TILE, smallest), field.stride), overlap)
    fitting = (math.isqrt(int((memory - SPARE) / per_pixel)) if memory > SPARE else 0) - 2 * overlap
    if fitting < smallest:
        needed = SPARE + per_pixel * (smallest + 2 * overlap) ** 2
        raise UserError(
            f"memory: {bytes_in_words(memory)} is too little for tiles of {model.name}, which overlap by {overlap} "
            f"pixels: give {math.ceil(needed / MIB)}MiB or more, or set the tile by hand, which may take long"
        )
    return Tiling(min(most, fitting // field.stride * field.stride), overlap)


def _overlap(field: ReceptiveField) -> int:
    """The overlap that a network needs, in pixels.

    At least a stride, so that the last window, though it begins near the border, is not smaller than the network's
    smallest input.
    """
    return next_multiple(GLOBAL_OVERLAP if field.radius is None else max(1, field.radius), field.stride)


def bytes_per_pixel(model: Model, memory: int) -> float:
    """The bytes that a run of the model takes for each pixel of its input, with a margin: stated, or measured here.

    The model is run on squares of 64 pixels, 128 and so on, until a run takes `MEASURABLE` or an eighth of `memory`:
    smaller amounts cannot be distinguished from all else that the process does.

    Returns:
        Bytes a pixel; 0 on systems that do not report the memory of a process.
    """
    if model.bytes_per_pixel:
        return MEMORY_MARGIN * model.bytes_per_pixel
    model.run(torch.full((1, 3, 64, 64), 0.5))  # the extra memory of a first run belongs to the loaded program
    process = Memory(torch.device("cpu"), collect=False)
    reported = process.before > 0 and process.peak() * MIB < MEASURABLE  # on Linux, and old peaks are forgotten
    peak, side = 0.0, 32
    while peak < min(MEASURABLE, memory / 8) and side < LARGEST_TILE:
        side *= 2
        peak = _peak(model, side, process if reported else None)
        if not reported and not peak:
            return 0.0
    return MEMORY_MARGIN * peak / side**2


def _peak(model: Model, side: int, process: Memory | None) -> float:
    """Bytes that a run on a square of `side` pixels takes: on the GPU, or in the process if the GPU is not used."""
    on_gpu = torch.cuda.is_available() and torch.cuda.memory_allocated() > 0
    before = torch.cuda.memory_allocated() if on_gpu else 0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    if process:
        process.restart()
    model.run(torch.full((1, 3, side, side), 0.5))
    taken = torch.cuda.max_memory_allocated() - before if on_gpu else 0
    return taken or (process.peak() * MIB if process else 0.0)


def tiling_effect(model: Model, tile: int = 128) -> float:
    """Measure how much tiles change the result of a network that sees the whole image.

    The embedded astronaut with noise of 10 % of full scale, cut to the size of two by two tiles, 384×384 pixels as a
    rule, is restored in tiles and whole. Tiles too large for this photograph are made smaller, which increases the
    effect.

    Args:
        model: the network.
        tile: side of a tile in pixels.

    Returns:
        The largest difference between the two results anywhere, in gray levels of 255.
    """
    (photo,) = (to_tensor(photo.pixels) for photo in embedded_photos("test") if photo.name == "astronaut")
    stride, overlap = model.receptive_field.stride, _overlap(model.receptive_field)
    largest = (photo.shape[-1] // 2 - overlap) // stride * stride
    tiling = tiling_for(model, 0, max(1, min(tile, largest)))
    side = 2 * (tiling.tile + overlap)
    draws = torch.Generator().manual_seed(0)
    noisy = (photo + 0.1 * torch.randn(photo.shape, generator=draws)).clamp(0, 1)[..., :side, :side]
    difference = restore_tiled(model, noisy, tiling) - model.run(noisy)
    return 255 * float(difference.abs().max())
