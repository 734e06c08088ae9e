"""Any network within a wrapper that shows it every noise at one strength: f(a·x + b) = a·f(x) + b for noisy images.

Wang, Morel, *Can a Single Image Denoising Neural Network Handle All Levels of Gaussian Noise?*, IEEE Signal
Processing Letters 21(9), 2014, bring an image by a linear change to the one noise level of a network; Immerkær, *Fast
Noise Variance Estimation*, Computer Vision and Image Understanding 64(2), 1996, has the estimate. That the change is a
local one, made in training as well, is ours.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ...core.registry import Wrapped
from .normalised import Normalised
from .shared import small

SHOWN_DEVIATION = 0.1
"""Deviation of the noise in what the wrapped network is given, in units of the range: strong, but within its range."""

RADIUS = 12
"""Pixels to each side over which mean and deviation are taken: some six hundred in all, enough for a few percent."""

LEAST_DEVIATION = 0.5 / 255
"""Deviation that stands for every weaker noise, in units of the range: rounding to 8 bits alone has 0.29/255."""


def local_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and deviation of the noise, around each pixel of (B, C, H, W): two maps, each (B, 1, H, W).

    Both are means over all channels and over the window of `RADIUS` pixels to each side, as far as it lies within
    the image.
    The deviation is that of white noise with the same mean absolute second difference across rows and columns
    (Immerkær 1996): √(π/2)/6 · mean |[1, −2, 1]ᵀ[1, −2, 1] ∗ x|. Fine texture counts as noise.
    """
    differences = _second_difference(_second_difference(images, 2), 3).abs() * (math.pi / 2) ** 0.5 / 6
    maps = torch.cat((images.mean(1, keepdim=True), differences.mean(1, keepdim=True)), dim=1)
    for _ in range(2):  # along the rows, turned, and once more: twice as fast as along the columns
        maps = F.avg_pool2d(maps, (1, 2 * RADIUS + 1), 1, (0, RADIUS), count_include_pad=False)
        maps = maps.transpose(2, 3).contiguous()
    mean, deviation = maps.unbind(1)
    return mean[:, None], deviation[:, None].clamp(min=LEAST_DEVIATION)


class UnitNoise(Normalised):
    """A network that sees noise of one strength only, whatever that of the image (after Wang and Morel 2014).

    f(x) = s·g((x − m)/s) + m, with the mean m and ten times the deviation of the noise, s, around each pixel
    (`local_statistics`): g sees noise of deviation 0.1 (`SHOWN_DEVIATION`) on images of varied contrast, where a bare
    network sees noise of varied strength. Images vary in contrast anyway, so that noise beyond the seen degrees is, to
    g, nothing new. f(a·x + b) = a·f(x) + b for a > 0 as long as the noise is above `LEAST_DEVIATION`; below it s is
    constant, and f does as g does.

    Both maps are local means of the image itself: tiles have those of the whole image.

    Args:
        network: g; maps (B, C, H, W) to (B, C, scale·H, scale·W).

    Raises:
        UserError: for a network that is `Normalised` itself.
    """

    own_radius: ClassVar[int] = RADIUS + 1

    def shift_and_scale(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shift m and scale s of (B, C, H, W), each (B, 1, H, W)."""
        mean, deviation = local_statistics(x)
        return mean, deviation / SHOWN_DEVIATION


@small("plain:features=4,depth=3")
def unit_noise_of(backbone: Wrapped) -> UnitNoise:
    """Any backbone with all noise at one strength: `unit_noise:plain:features=8` (ours, after Wang and Morel 2014).

    Args:
        backbone: the network that is wrapped; in a spec, all that follows the colon.
    """
    return UnitNoise(backbone)


def _second_difference(images: Tensor, dim: int) -> Tensor:
    """[1, −2, 1] along `dim` of (B, C, H, W), the last pixels repeated: the same shape."""
    size = images.shape[dim]
    padded = F.pad(images, (0, 0, 1, 1) if dim == 2 else (1, 1, 0, 0), mode="replicate")
    return padded.narrow(dim, 0, size) - 2 * images + padded.narrow(dim, 2, size)
