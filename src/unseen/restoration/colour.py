"""Colours of large areas, which a restoration must not move: their shift measured, and taken back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

RADII = (16, 8)
"""Radii in pixels of the squares over which colours are averaged, coarse first: over 33 pixels the noise of a mean is a
33rd of a pixel's; over 17 pixels a colour bleeds less far beyond the rim of a lamp."""
MARGIN = sum(RADII)
"""Pixels between a value and the farthest one that `with_colours_of` looks at for it."""

CLIPPED = 0.5 / 255
"""Values this near to black or white count as clipped: half a gray level of 255, less than files of 8 bits tell."""

CLIPPING_BIAS = 0.8
"""Shift of a mean by clipping, in σ, as a multiple of the share of clipped values: an upper bound where noise clips.

For a true value z σ above black, the share is c = Φ(-z) and the shift φ(z) - z c: at most 0.4 σ, at c = 1/2."""


def with_colours_of(before: Tensor, after: Tensor, noise_level: Tensor) -> Tensor:
    """Images after restoration without their shifts of colour (`colour_shift`).

    Where no colour has moved, the values are those of `after` to the bit. Arguments are those of `colour_shift`.
    """
    for radius in RADII:
        after = after - colour_shift(before, after, noise_level, radius)
    return after


def colour_shift(before: Tensor, after: Tensor, noise_level: Tensor, radius: int = RADII[0], step: int = 1) -> Tensor:
    """Shift of the mean colour around each pixel, where noise and rounding do not explain it.

    Clipping moves the mean of noise towards the middle of the range, and a restoration may undo that. Of the rest of
    the difference of two means over squares, up to two standard deviations of the mean's noise and a gray level are
    expected. From twice that on the difference counts in full, in between it fades in.

    Args:
        before: images before restoration, float (B, C, H, W) in [0, 1].
        after: images after restoration, of the same shape.
        noise_level: σ of each image of `before`, (B, 1, 1, 1), gray levels of 255.
        radius: radius of the squares, pixels.
        step: pixels from one place to the next where the shift is computed, 1 to `radius`.

    Returns:
        (B, C, ⌈H/step⌉, ⌈W/step⌉), in units of the range; exactly 0 where no more than expected has moved.
    """

    def bias(clipped: Tensor) -> Tensor:
        return CLIPPING_BIAS * noise_level / 255 * local_mean(clipped.float(), radius, step).clamp(max=0.5)

    difference = local_mean(after - before, radius, step)
    rows, columns = (_counts(length, radius // step) for length in difference.shape[-2:])
    expected = (2 * noise_level / (step * (rows[:, None] * columns).sqrt()) + 1) / 255
    if (difference.abs() <= expected).all():  # as a rule; what clipping explains would only make less of it
        return torch.zeros_like(difference)
    darkest, brightest = before.amin(), before.amax()  # mostly nothing is clipped, and comparing all takes longer
    none = torch.zeros(())
    raised = (difference - (bias(before >= 1 - CLIPPED) if brightest >= 1 - CLIPPED else none)).clamp(min=0)
    lowered = (-difference - (bias(before <= CLIPPED) if darkest <= CLIPPED else none)).clamp(min=0)
    return _beyond(raised, expected) - _beyond(lowered, expected)


def local_mean(images: Tensor, radius: int, step: int = 1) -> Tensor:
    """Mean over the square of `radius` pixels to either side, or what of it lies within the image, every `step` pixels.

    With a `step` above 1 the squares are made up of smaller ones of `step` pixels.
    """
    if step > 1:
        images = F.avg_pool2d(images, step, ceil_mode=True)
    return _row_means(_row_means(images, radius // step).mT, radius // step).mT


def _row_means(images: Tensor, radius: int) -> Tensor:
    """Mean over `radius` pixels to either side in each row, of a difference of running sums."""
    length = images.shape[-1]
    sums = F.pad(F.pad(images.cumsum(-1), (radius + 1, 0, 0, 0)), (0, radius, 0, 0), mode="replicate")
    return (sums[..., 2 * radius + 1 :] - sums[..., :length]) / _counts(length, radius)


def _counts(length: int, radius: int) -> Tensor:
    """The number of pixels of a row within `radius` of each: (length,)."""
    places = torch.arange(length)
    return (places + radius + 1).clamp(max=length) - (places - radius).clamp(min=0)


def _beyond(shift: Tensor, expected: Tensor) -> Tensor:
    return torch.minimum(shift, 2 * (shift - expected).clamp(min=0))
