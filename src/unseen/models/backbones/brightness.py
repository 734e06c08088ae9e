"""Brightness that a restored image keeps: the mean light around each pixel, less what clipped noise adds to it.

Foi, *Clipped noisy images: heteroskedastic modeling and practical denoising*, Signal Processing 89(12), 2009, for mean
and deviation of noise that is clipped; Foi, Trimeche, Katkovnik, Egiazarian, *Practical Poissonian-Gaussian noise
modeling and fitting for single-image raw-data*, IEEE TIP 17(10), 2008, for a variance that grows with the light. That
the mean of a network's output is set right by both, around each pixel, is ours.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from .carried_rows import Rows
from .cells import cell_means, mean_around

SIDE = 8
"""Side in pixels of the cells over which light and noise are averaged."""

STEPS = 2
"""Steps by which the light of a cell is found."""

LENGTH = 1.4
"""Length of a step, in those of Newton, which are too short: they take the deviation for given, and it falls with the
error."""

LEAST_SLOPE = 0.3
"""Least growth of the mean with the light that a step reckons with: noise as wide as the range leaves hardly any."""

COMPARED = 4
"""Cells to each side over which the noise in the light is compared with that in the dark."""

SMOOTHED = 2
"""Cells to each side of the mean by which changes of light are smoothed; it is taken twice."""

ROUNDING_DEVIATION = 0.3 / 255
"""Deviation of rounding to 8 bits, in units of the range, which is no noise that is clipped."""

LEAST_DEVIATION = 1e-4
"""Deviation, in units of the range, that stands for none."""

BEYOND = 0.3
"""How far beyond black and white the light of a cell may lie, in deviations of its noise.

Means of noise lie to both sides of the light; were they held at black, their mean would be above it."""

LEAST_CONTRAST = 1e-5
"""Variance of the light, in squared units of the range, below which little is made of its relation to the noise."""

RADIUS = STEPS * COMPARED + 2 * SMOOTHED + 1
"""Cells to each side that a change of light depends on; one of them because changes fade from cell to cell."""

HALF_NORMAL = 0.5642
"""E[max(z, 0)] over the root of E[max(z, 0)²], z standard normal: what clipping adds where there is no light at all."""


def with_kept_brightness(image: Tensor, restored: Tensor, rows: Rows) -> Tensor:
    """The restored image with the light of the image: its mean around each pixel, less what clipping added to it.

    A network takes noise that is clipped at black or white for light, and photon noise in the dark for clipped; both
    move the mean. What noise does to the mean is known, though: if the output is right, then the output, noised as
    strongly as it differs from the input and clipped, has the input's mean. Light is added so that it nearly has.

    Args:
        image: (B, C, H, W) in [0, 1], H and W multiples of `SIDE`; with `rows`, a band of it.
        restored: what a network made of it, as many rows as are ready.
        rows: the rows that are kept from band to band.

    Returns:
        The same shape as `restored`, not clipped, of as many rows as are ready.
    """
    image, restored = rows.together(image, restored)
    squares = rows.each(torch.square, image - restored)
    means = partial(cell_means, side=SIDE)
    cells = [rows.shrunk(means, pixels, SIDE) for pixels in (image, restored, squares)]
    change = rows.local(_smoothed_change, torch.cat(cells, dim=1), RADIUS - 1)
    change = rows.local(_enlarged, change, 1, scale=SIDE)
    restored, change = rows.together(restored, change)
    return restored + change


def _smoothed_change(cells: Tensor) -> Tensor:
    """(B, 3C, h, w), means of image, output and squared difference → the light to add, (B, C, h, w)."""
    change = light_change(*cells.chunk(3, dim=1))
    for _ in range(2):
        change = mean_around(change, SMOOTHED)
    return change


def _enlarged(change: Tensor) -> Tensor:
    """(B, C, h, w) → (B, C, SIDE·h, SIDE·w), without steps between cells; rows and columns at once take longer."""
    for factors in ((1, SIDE), (SIDE, 1)):
        change = F.interpolate(change, scale_factor=factors, mode="bilinear")
    return change


def light_change(image: Tensor, restored: Tensor, squares: Tensor) -> Tensor:
    """The light that each cell of a restored image lacks, by the noise that was taken from it.

    Noise of deviation s around light x, clipped to [0, 1], has the mean x + b; x is found by Newton's steps so that
    x + b is the mean of the image. s is unknown, the deviation of image and x is not, and `added_by_clipping` goes by
    that. Photon noise vanishes in the dark and is not clipped there, so that b at black is that of the part of the
    noise alone which does not depend on the light (`independent_share`).

    Args:
        image: mean light of the image, (B, C, h, w) in [0, 1].
        restored: mean light of the restored image.
        squares: mean squared difference of the two, pixel by pixel.

    Returns:
        (B, C, h, w), what to add to `restored`.
    """
    light = restored.clamp(0, 1)
    for _ in range(STEPS):
        change = light - restored
        variance = squares - 2 * change * (image - restored) + change.square()
        deviation = (variance - ROUNDING_DEVIATION**2).clamp(min=LEAST_DEVIATION**2).sqrt()
        black, white = added_by_clipping(light / deviation), added_by_clipping((1 - light) / deviation)
        black = black * independent_share(light, deviation)
        error = image - light - deviation * (black - white)
        light = light + LENGTH * error / (1 - black - white).clamp(min=LEAST_SLOPE)
        light = torch.maximum(torch.minimum(light, 1 + BEYOND * deviation), -BEYOND * deviation)
    return light - restored


def added_by_clipping(distance: Tensor) -> Tensor:
    """What clipping normal noise at a bound adds to the mean, in deviations of the clipped noise around the light.

    With z standard normal and d the distance in deviations s of the noise before it is clipped, the mean grows by
    s·(φ(d) − d·Φ(−d)), and the deviation around the light falls to s·(Φ(d) − d·φ(d) + d²·Φ(−d))^½. Their ratio as a
    function of the distance in deviations of the latter kind is this, to 0.003; to 0.03 beyond the bound.

    Args:
        distance: distance of the light from the bound, in deviations of the clipped noise; less than −`BEYOND` counts
            as −`BEYOND`.
    """
    distance = distance.clamp(min=-BEYOND)
    return HALF_NORMAL * torch.exp(-distance * (0.815 + 0.627 * distance))


def unclipped_deviation(light: Tensor, deviation: Tensor) -> Tensor:
    """The deviation of noise before it was clipped, by that after: √2 times as much where half of it is gone."""
    distance = torch.minimum(light, 1 - light) / deviation
    return deviation * (1 + (2**0.5 - 1) * torch.exp(-0.77 * distance.square()))


def independent_share(light: Tensor, deviation: Tensor) -> Tensor:
    """The share of the noise's variance that does not depend on the light: 1 for white noise, 0 for that of photons.

    The variance before clipping is taken for a·x + b, with a and b by least squares over the cells around, and over all
    channels: the share at x is b over a·x + b. Where the light hardly varies, it is 1.

    Args:
        light: light x of cells, (B, C, h, w).
        deviation: deviation of their noise, clipped.
    """
    variance = unclipped_deviation(light, deviation).square()
    products = torch.stack((light, variance, light * variance, light.square())).mean(2)
    x, v, xv, xx = mean_around(products, COMPARED).unsqueeze(2)
    slope = (xv - x * v) / (xx - x.square() + LEAST_CONTRAST)
    constant = v - slope * x
    total = constant + slope.clamp(min=0) * light
    share: Tensor = (constant / total.clamp(min=ROUNDING_DEVIATION**2)).clamp(0, 1)
    return share
