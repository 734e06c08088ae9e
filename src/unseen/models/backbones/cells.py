"""Means over squares of pixels: of cells side by side, and around each pixel."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def cell_means(x: Tensor, side: int) -> Tensor:
    """Means over cells of side×side pixels, (B, C, H, W) → (B, C, H/side, W/side).

    As `avg_pool2d`, whose time for three channels is more than twice this. H and W are multiples of `side`.
    """
    batch, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(batch, height // side, side, width * channels).mean(2)
    return rows.reshape(batch, height // side, width // side, side, channels).mean(3).permute(0, 3, 1, 2)


def mean_around(x: Tensor, radius: int) -> Tensor:
    """Means over the 2·radius + 1 pixels to each side of each pixel of (B, C, H, W), of those within the image.

    By sums of sums, down and then across: a few additions of all pixels, where `avg_pool2d` takes six times as long.

    Args:
        x: images, or maps.
        radius: a power of 2.
    """
    for dim in (-2, -1):
        x = _sums_along(x, radius, dim)
    down = _sums_along(x.new_ones((1, 1, x.shape[-2], 1)), radius, -2)
    across = _sums_along(x.new_ones((1, 1, 1, x.shape[-1])), radius, -1)
    return x / down / across


def _sums_along(x: Tensor, radius: int, dim: int) -> Tensor:
    """Sums over the 2·radius + 1 pixels around each one along a dimension, of those within the image."""
    padded = F.pad(x, (radius, radius) if dim == -1 else (0, 0, radius, radius))
    sums, size = padded, 1
    while size < 2 * radius:
        length = sums.shape[dim] - size
        sums = sums.narrow(dim, 0, length) + sums.narrow(dim, size, length)
        size *= 2
    length = x.shape[dim]
    return sums.narrow(dim, 0, length) + padded.narrow(dim, size, length)
