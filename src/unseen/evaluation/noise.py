"""The noise level of an image, estimated from the image alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # who decodes a photograph has no need of PyTorch
    from torch import Tensor

Crop = NDArray[np.float32]
"""(h, w, 3) in [0, 1]."""
Blocks = NDArray[np.float32]
"""(n, h, w, 3) in [0, 1], or their wavelet coefficients."""

WAVELET = np.array([-0.4829629131445341, 0.8365163037378077, -0.2241438680420134, -0.1294095225512603], np.float32)
"""Filter of detail of Daubechies' wavelet of two vanishing moments (Ten Lectures on Wavelets, 1992, table 6.1)."""

MEDIAN_OF_NORMAL = 0.6744897501960817
"""The median of the absolute value of a standard normal variable."""

BLOCK = 64
"""Side of the blocks in which noise is estimated separately, pixels."""

SMALLEST = 16
"""Side in pixels below which nothing is estimated: the median would be that of a few dozen coefficients."""

CLIPPED = 0.5
"""Share of black or white values (0 or 1) above which a block is left out: clipping hides the noise."""

FLAT = 0.25
"""Share of exactly flat pixels from which noise of a gray level or more is not believed: a camera's is nowhere flat."""

PLACES, SIDE = 9, 256
"""Number of places of a photograph where its noise is estimated, and their side in pixels."""
ROWS = 16
"""Rows that are read together: of a wide photograph, as many as it is high may take more memory than there is."""


def estimate_noise(crops: Iterable[Crop]) -> float:
    """Estimate the standard deviation σ of white Gaussian noise.

    Per block of at most 64×64 pixels, the median absolute wavelet coefficient at the finest scale, divided by that of
    a standard normal (Donoho & Johnstone, Ideal spatial adaptation by wavelet shrinkage, Biometrika 1994, section 4.2;
    scikit-image's `estimate_sigma`), averaged over channels. Texture raises this value and never lowers it, so the
    lower quartile over blocks is taken. For signal-dependent noise the estimate lies between the lowest and the highest
    σ in the image; for correlated noise, as after JPEG or demosaicking, it is too low.

    Args:
        crops: crops of one image, float32 (h, w, 3) in [0, 1]. Crops with a side below 16 pixels, and blocks that are
            mostly black or white, are left out.

    Returns:
        σ in gray levels of 255; nan where every crop and block is left out.
    """
    sigmas = [sigma for crop in crops for sigma in _sigmas(_blocks(crop))]
    return 255 * float(np.quantile(sigmas, 0.25)) if sigmas else math.nan


def _sigmas(blocks: Blocks) -> list[float]:
    """For each block the mean σ over channels, in units of the range; a channel without any detail counts as 0."""
    planes = np.abs(_details(_details(blocks, 1), 2)).transpose(0, 3, 1, 2)
    sizes = np.sort(planes.reshape(*planes.shape[:2], planes.shape[2] * planes.shape[3]))
    zeros = np.count_nonzero(sizes == 0, axis=2, keepdims=True)  # flat areas, which say nothing of noise; sorted first
    last = sizes.shape[2] - 1
    middle = [np.take_along_axis(sizes, (zeros + last + up) // 2 * (zeros <= last), 2)[..., 0] for up in (0, 1)]
    medians = np.where(zeros[..., 0] <= last, (middle[0] + middle[1]) / 2, 0).astype(np.float64)
    by_block: list[float] = (medians / MEDIAN_OF_NORMAL).mean(1).tolist()
    return by_block


def _details(blocks: Blocks, axis: int) -> Blocks:
    """Every second wavelet coefficient of detail along an axis, whose ends are mirrored with their last value."""
    lines = np.moveaxis(blocks, axis, 0)
    length, count = len(lines), (len(lines) + len(WAVELET) - 1) // 2
    mirrored = np.concatenate((lines[1::-1], lines, lines[: length - 4 : -1]))
    # In this order the sums are those of PyWavelets to the bit.
    sums = WAVELET[0] * mirrored[3 : 3 + 2 * count : 2]
    for i, weight in enumerate(WAVELET[1:], start=1):
        sums += weight * mirrored[3 - i : 3 - i + 2 * count : 2]
    if length % 2:
        sums[-1] = WAVELET[2] * lines[-1] + WAVELET[1] * lines[-2] + WAVELET[0] * lines[-3] + WAVELET[3] * lines[-1]
    details: Blocks = np.moveaxis(sums, 0, axis)
    return details


def _blocks(crop: Crop) -> Blocks:
    """The blocks of a crop from which noise is estimated."""
    height, width = crop.shape[:2]
    if min(height, width) < SMALLEST:
        return np.empty((0, BLOCK, BLOCK, crop.shape[2]), np.float32)
    high, wide = min(BLOCK, height), min(BLOCK, width)
    rows, columns = height // high, width // wide
    whole = crop[: rows * high, : columns * wide].reshape(rows, high, columns, wide, -1)
    blocks = whole.swapaxes(1, 2).reshape(rows * columns, high, wide, -1)
    usable: Blocks = blocks[((blocks <= 0) | (blocks >= 1)).mean((1, 2, 3)) <= CLIPPED]
    return usable


def photo_noise(crops: Sequence[Crop]) -> float:
    """Estimate the noise level of a photograph, unless it is a drawing.

    Text and lines of drawings and screenshots read as noise (`estimate_noise`), and yet are exactly flat between them.

    Args:
        crops: crops of one image, as for `estimate_noise`.

    Returns:
        σ in gray levels of 255; nan where nothing can be estimated, and where an estimate of a gray level or more
        contradicts a `FLAT` share of pixels that equal their neighbours.
    """
    sigma = estimate_noise(crops)
    return math.nan if sigma >= 1 and flat_share(crops) >= FLAT else sigma


def flat_share(crops: Iterable[Crop]) -> float:
    """The share of pixels that equal their left and upper neighbours, in the blocks from which noise is estimated."""
    shares = [share for crop in crops for share in _flat_shares(_blocks(crop))]
    return fmean(shares) if shares else 0.0


def _flat_shares(blocks: Blocks) -> list[float]:
    pixels, above, beside = blocks[:, 1:, 1:], blocks[:, :-1, 1:], blocks[:, 1:, :-1]
    by_block: list[float] = ((pixels == above) & (pixels == beside)).all(axis=3).mean((1, 2)).tolist()
    return by_block


def sampled_crops(
    read: Callable[[int, int], Crop], height: int, width: int, count: int = PLACES, side: int = SIDE
) -> list[Crop]:
    """Read at most `count` squares spread over an image.

    There are fewer crops where they would overlap, and smaller crops if a side of the image is shorter.

    Args:
        read: function from (top, bottom) to float32 (bottom - top, W, 3) in [0, 1], called with rows in order.
        height: height of the image, pixels.
        width: width of the image, pixels.
        count: the largest number of crops.
        side: side of a crop, pixels.
    """
    down = max(1, min(math.isqrt(count), height // side))
    across = max(1, min(count // down, width // side))
    side_y, side_x = min(side, height), min(side, width)
    lefts = [(2 * x + 1) * width // (2 * across) - side_x // 2 for x in range(across)]
    crops = []
    for y in range(down):
        top = (2 * y + 1) * height // (2 * down) - side_y // 2
        pieces: list[list[Crop]] = [[] for _ in lefts]
        for first in range(top, top + side_y, ROWS):
            strip = read(first, min(first + ROWS, top + side_y))
            for left, piece in zip(lefts, pieces, strict=True):
                piece.append(strip[:, left : left + side_x].copy())
        crops += [np.concatenate(piece) for piece in pieces]
    return crops


def noise_level(image: Tensor) -> float:
    """Estimate the noise level of one image, float (1, 3, H, W) in [0, 1], as `estimate_noise` does."""
    return estimate_noise([image[0].permute(1, 2, 0).numpy()])
