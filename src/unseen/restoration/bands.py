"""Large images in bands of rows, for networks that keep the rows between two bands: nothing is computed twice.

An image is cut into as many columns as threads work, which overlap as tiles do. Each thread restores one column after
the other of a band, and goes on with the next band, which is read ahead, while the last one is written. What a network
makes of a column is what it makes of the whole image, but for the rounding that tiles have too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..core.freed_memory import return_freed_memory, share_heap
from ..models.backbones.carried_rows import CarriedRows
from ..models.backbones.padded import next_multiple
from ..models.loading import Model
from ..models.receptive_field import ReceptiveField
from .tiles import READ_ROWS, Measure, Strip, Tiling, row_spans, spans

ROWS = 80
"""Most rows of a band: more take more memory than they save time at the joints."""
FEWEST_ROWS = 32
"""Rows of a band below which tiles are faster."""
AHEAD = 2
"""Bands that the threads have at a time: with one alone, whoever is done first would wait for the others."""


def banded(tiling: Tiling, field: ReceptiveField, width: int, workers: int) -> Tiling:
    """The bands that together have no more pixels than the largest window of `tiling`, for images of a width.

    Args:
        tiling: the tiles that memory allows.
        field: the receptive field of a network with a radius.
        width: width of the image, in pixels.
        workers: number of threads.

    Returns:
        Columns as wide as `tile`, in bands of `height` rows; `tiling` itself if the columns would be too narrow.
    """
    pixels, ends, stride = tiling.window**2 // workers, 2 * tiling.overlap, field.stride
    even = next_multiple(max(ends, -(-(width - ends) // workers)), stride)
    tile = min(even, (pixels // next_multiple(FEWEST_ROWS, stride) - ends) // stride * stride)
    if tile < tiling.overlap:
        return tiling
    rows = min(pixels // (tile + ends), max(ROWS, stride)) // stride * stride
    return replace(tiling, tile=tile, height=rows, is_banded=True)


def restored_bands(
    model: Model,
    read: Callable[[int, int], Strip],
    height: int,
    width: int,
    tiling: Tiling,
    workers: int,
    advance: Callable[[int], object] | None = None,
    measure: Measure | None = None,
) -> Iterator[Strip]:
    """Restore an image band by band, from top to bottom.

    At any time memory holds three bands and two strips of the result, beside what the network takes for a band.

    Args:
        model: a network of three channels that keeps sizes and takes rows.
        read: function from (top, bottom) to float32 (bottom − top, W, 3) in [0, 1], called for each row once, in order.
        height: height of the image, in pixels.
        width: width of the image, in pixels.
        tiling: width and overlap of the columns, and rows of the bands (`banded`).
        workers: number of threads.
        advance: function called after every band with the number of its columns.
        measure: function called with all pixels of the image and what they became, each once, by several threads.

    Yields:
        float32 (h, W, 3), not clipped: as many rows as are ready by then.
    """
    columns = spans(width, tiling)
    carried = [CarriedRows() for _ in columns]
    bands = row_spans(height, tiling)

    def restored(column: int, band: Strip, last: bool) -> Tensor:
        rows, span = carried[column], columns[column]
        rows.begin(last=last)
        window = torch.from_numpy(band[:, span.begin : span.end]).permute(2, 0, 1)[None]
        made = model.run(window.contiguous(memory_format=torch.channels_last), rows=rows)[..., span.kept_slice(1)]
        if measure:
            measure(*rows.together(window[..., span.kept_slice(1)], made))
        return made

    share_heap()
    working: deque[list[Future[Tensor]]] = deque()
    with _threads(min(workers, len(columns))) as threads:
        for span in bands:
            last = span is bands[-1]
            band = _read_rows(read, span.begin, span.end, width)
            left = 0 if last else AHEAD - 1
            made = [[future.result() for future in working.popleft()] for _ in range(len(working) - left)]
            if last:  # whose tensors have other sizes
                return_freed_memory()
            working.append([threads[i % len(threads)].submit(restored, i, band, last) for i in range(len(columns))])
            del band  # the threads have it
            while made:
                yield _joined(made.pop(0), advance)
        yield _joined([future.result() for future in working.popleft()], advance)
    return_freed_memory()


@contextmanager
def _threads(count: int) -> Iterator[list[ThreadPoolExecutor]]:
    """Threads that do each what it is given in order; what is not begun in the end is left undone."""
    threads = [
        ThreadPoolExecutor(1, "restoring", initializer=torch.set_num_threads, initargs=(1,)) for _ in range(count)
    ]
    try:
        yield threads
    finally:
        for thread in threads:
            thread.shutdown(wait=False, cancel_futures=True)
        for thread in threads:
            thread.shutdown()


def _read_rows(read: Callable[[int, int], Strip], top: int, bottom: int, width: int) -> Strip:
    band = np.empty((bottom - top, width, 3), np.float32)
    for first in range(top, bottom, READ_ROWS):
        last = min(first + READ_ROWS, bottom)
        band[first - top : last - top] = read(first, last)
    return band


def _joined(columns: Sequence[Tensor], advance: Callable[[int], object] | None) -> Strip:
    """The strip of the columns of a band."""
    if advance:
        advance(len(columns))
    # Not by PyTorch, whose own threads would then wait for more work at full speed, on the cores that bands need.
    return np.concatenate([column[0].permute(1, 2, 0).numpy() for column in columns], axis=1)
