"""Colours under transparent pixels, where a file holds whatever its writer left: black, as a rule.

A network that sees them mixes them into the rim of what is visible. It is given the colours of the rim instead, spread
under what is fully transparent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

SPREAD = 32
"""The distance in pixels up to which colours are spread."""
_RADII = (1, 2, 4, 8, 16, SPREAD)
"""Half sides of the squares over which visible colours are averaged: of the smallest that holds any."""
_COLUMNS = 1024
"""Columns that are worked on at a time."""


def spread_colours(colours: Pixels, alpha: Pixels) -> Pixels:
    """Replace colours that nobody sees by the mean of the visible colours around them, weighted by alpha.

    Colours farther than `SPREAD` pixels from all that is visible stay as they are, and so do all visible ones.

    Args:
        colours: float32 (H, W, C).
        alpha: float32 (H, W, 1) in [0, 1].
    """
    spread = colours
    for left in range(0, colours.shape[1], _COLUMNS):
        right = left + _COLUMNS
        if not (alpha[:, left:right] == 0).any():
            continue
        if spread is colours:
            spread = colours.copy()
        first = max(left - SPREAD, 0)
        block = slice(first, right + SPREAD)
        spread[:, left:right] = _spread(colours[:, block], alpha[:, block])[:, left - first : right - first]
    return spread


def _spread(colours: Pixels, alpha: Pixels) -> Pixels:
    weighted = np.concatenate([colours * alpha, alpha], axis=2, dtype=np.float64)
    sums = np.pad(weighted.cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))
    hidden = alpha[..., 0] == 0
    spread = colours.copy()
    rows, columns = np.arange(len(alpha)), np.arange(alpha.shape[1])
    for radius in _RADII:
        top, bottom = np.maximum(rows - radius, 0), np.minimum(rows + radius + 1, len(alpha))
        left, right = np.maximum(columns - radius, 0), np.minimum(columns + radius + 1, alpha.shape[1])
        lower, upper = sums[bottom], sums[top]
        mean = lower[:, right] - lower[:, left] - upper[:, right] + upper[:, left]
        filled = hidden & (mean[..., -1] > 1e-6)  # differences of sums are not exactly 0
        spread[filled] = mean[filled, :-1] / mean[filled, -1:]
        hidden &= ~filled
    return spread


def spreading_reader(read: Callable[[int, int], Pixels], height: int) -> Callable[[int, int], Pixels]:
    """Make a function that reads rows in order, as `read` does, with colours spread under what is transparent.

    Args:
        read: function from (top, bottom) to float32 (bottom - top, W, C) in [0, 1], alpha last, called in order.
        height: number of rows in all.
    """
    buffer: Pixels | None = None
    begin = 0  # the first row in the buffer

    def read_spread(top: int, bottom: int) -> Pixels:
        nonlocal buffer, begin
        first, last = max(top - SPREAD, 0), min(bottom + SPREAD, height)
        if buffer is None:
            buffer, begin = read(first, last), first
        elif begin + len(buffer) < last:
            buffer = np.concatenate([buffer[first - begin :], read(begin + len(buffer), last)])
            begin = first
        rows = slice(top - begin, bottom - begin)
        context = slice(first - begin, last - begin)
        spread = spread_colours(buffer[context, :, :-1], buffer[context, :, -1:])[top - first : bottom - first]
        return np.concatenate([spread, buffer[rows, :, -1:]], axis=2)

    return read_spread
