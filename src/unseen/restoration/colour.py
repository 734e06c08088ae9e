"""Colours of large areas, which a restoration must not move: their shift measured, and taken back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

REACH = 16
"""Radius in pixels of the squares over which colours are averaged: the noise of a mean is a 33rd of a pixel's."""

CLIPPED = 0.5 / 255
"""Values this near to black or white count as clipped. Not exactly 0 and 1: the probe of Stein's estimate adds 1e-3."""

CLIPPING_BIAS = 0.8
"""Shift of a mean by clipping, in σ, as a multiple of the share of clipped values: an upper bound where noise clips.

For a true value z σ above black, the share is c = Φ(-z) and the shift φ(z) - z c: at most 0.4 σ, at c = 1/2."""


def colour_shift(before: Tensor, after: Tensor, noise_level: Tensor, step: int = 1) -> Tensor:
    """Shift of the mean colour around each pixel, where noise and rounding do not explain it.

    Clipping moves the mean of noise towards the middle of the range, and a restoration may undo that. Of the rest of
    the difference of two means over squares of 33 pixels, up to two standard deviations of the mean's noise and a gray
    level are expected. From twice that on the difference counts in full, in between it fades in.

    Args:
        before: images before restoration, float (B, C, H, W) in [0, 1].
        after: images after restoration, of the same shape.
        noise_level: σ of each image of `before`, (B, 1, 1, 1), gray levels of 255.
        step: pixels from one place to the next where the shift is computed, 1 to `REACH`.

    Returns:
        (B, C, ⌈H/step⌉, ⌈W/step⌉), in units of the range; exactly 0 where no more than expected has moved.
    """

    def bias(clipped: Tensor) -> Tensor:
        if not clipped.any():  # as a rule, and it is the same
            return torch.zeros(())
        return CLIPPING_BIAS * noise_level / 255 * local_mean(clipped.float(), step).clamp(max=0.5)

    difference = local_mean(after - before, step)
    expected = (2 * noise_level / (2 * REACH + 1) + 1) / 255
    raised = (difference - bias(before >= 1 - CLIPPED)).clamp(min=0)
    lowered = (-difference - bias(before <= CLIPPED)).clamp(min=0)
    return _beyond(raised, expected) - _beyond(lowered, expected)


def local_mean(images: Tensor, step: int = 1) -> Tensor:
    """Mean over the square of `REACH` pixels to either side, or what of it lies within the image, every `step` pixels.

    With a `step` above 1 the squares are made up of smaller ones of `step` pixels.
    """
    if step > 1:
        images = F.avg_pool2d(images, step, ceil_mode=True)
    return _row_means(_row_means(images, REACH // step).mT, REACH // step).mT


def _row_means(images: Tensor, radius: int) -> Tensor:
    """Mean over `radius` pixels to either side in each row, of a difference of running sums."""
    length = images.shape[-1]
    sums = F.pad(F.pad(images.cumsum(-1), (radius + 1, 0, 0, 0)), (0, radius, 0, 0), mode="replicate")
    places = torch.arange(length)
    counts = (places + radius + 1).clamp(max=length) - (places - radius).clamp(min=0)
    return (sums[..., 2 * radius + 1 :] - sums[..., :length]) / counts


def _beyond(shift: Tensor, expected: Tensor) -> Tensor:
    return torch.minimum(shift, 2 * (shift - expected).clamp(min=0))
