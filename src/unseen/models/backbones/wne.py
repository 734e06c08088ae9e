"""Any network within a wrapper that makes it follow every change of contrast and brightness: f(a·x + b) = a·f(x) + b.

Saied, Fleuret, *Normalization Equivariance for Arbitrary Backbones, with Application to Image Denoising*, ICML 2026
(arXiv 2605.08193).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.registry import Wrapped
from .normalised import Normalised
from .shared import ReadsNoise, small

LEAST_DEVIATION = 1e-5
"""Deviation, in units of the range, that stands for that of flatter images, which cannot be divided by their own."""


def image_statistics(images: Tensor) -> Tensor:
    """Mean and deviation over all pixels and channels of each image of (B, C, H, W): (B, 2).

    The deviation is of the image itself, and no estimate for a larger one; `LEAST_DEVIATION` where it is less.
    """
    variance, mean = torch.var_mean(images, dim=(1, 2, 3), correction=0)
    return torch.stack((mean, variance.clamp(min=LEAST_DEVIATION**2).sqrt()), dim=1)


def statistics_of_strips(strips: Iterable[NDArray[np.float32]]) -> Tensor:
    """`image_statistics` of one image of which strips are read one after another, float32 (h, W, C): (1, 2)."""
    count, total, squares = 0, 0.0, 0.0
    for strip in strips:
        count += strip.size
        total += float(strip.sum(dtype=np.float64))
        squares += float(np.square(strip, dtype=np.float64).sum())
    mean = total / count
    return torch.tensor([[mean, max(squares / count - mean**2, LEAST_DEVIATION**2) ** 0.5]])


class WNE(Normalised):
    """A network that works on images of mean 0 and deviation 1 (Saied and Fleuret 2026, WNE).

    f(x) = s·g((x − m)/s) + m, with the mean m and the deviation s over all pixels and channels of the whole image
    (`image_statistics`). f(a·x + b) = a·f(x) + b for every a > 0 and every b, whatever the wrapped network g does;
    every function with this property has this form. Images of a deviation below `LEAST_DEVIATION` are the exception.

    A tile needs the numbers of the whole image.

    Args:
        network: g; maps (B, 3, H, W) to (B, 3, scale·H, scale·W).

    Raises:
        UserError: for a network that is `Normalised` itself.
    """

    def forward(self, x: Tensor, *, statistics: Tensor | None = None) -> Tensor:
        """Restore (B, 3, H, W).

        Args:
            x: the images.
            statistics: `image_statistics` of the images that `x` are tiles of, (B, 2) or (1, 2) for one image; None for
                whole images.
        """
        return self._restored(x, *self.shift_and_scale(x, statistics))

    def shift_and_scale(self, x: Tensor, statistics: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and deviation of (B, 3, H, W), or those that `statistics` holds: each (B, 1, 1, 1)."""
        mean, deviation = (image_statistics(x) if statistics is None else statistics).view(-1, 2, 1, 1, 1).unbind(1)
        return mean, deviation


class NoiseReadingWNE(WNE):
    """A `WNE` of a network that reads the noise itself (`ReadsNoise`): it takes a strength and has a noise map."""

    network: Any

    @property
    def takes_rows(self) -> bool:
        """Whether the wrapped network takes images in bands, with the rows that are kept between them."""
        return bool(getattr(self.network, "takes_rows", False))

    @property
    def bytes_per_pixel(self) -> float:
        """Memory that a run of the wrapped network takes for each pixel, in bytes; 0 if it states none."""
        return float(getattr(self.network, "bytes_per_pixel", 0.0))

    def forward(
        self, x: Tensor, strength: Tensor | None = None, *, statistics: Tensor | None = None, **settings: Any
    ) -> Tensor:
        """Restore (B, 3, H, W), as `WNE` does; `strength` and more settings are passed on to the wrapped network."""
        return self._restored(x, *self.shift_and_scale(x, statistics), strength=strength, **settings)

    def noise_map(self, x: Tensor, statistics: Tensor | None = None) -> Tensor:
        """The map of the wrapped network for (x − m)/s, times s: in units of the range of `x`."""
        mean, deviation = self.shift_and_scale(x, statistics)
        noise_map: Tensor = deviation * self.network.noise_map((x - mean) / deviation)
        return noise_map


@small("plain:features=4,depth=3")
def wne_of(backbone: Wrapped) -> WNE:
    """Any backbone on images of mean 0 and deviation 1: `wne:plain:features=8` (Saied and Fleuret 2026, WNE).

    Args:
        backbone: the network that is wrapped; in a spec, all that follows the colon.
    """
    kind = NoiseReadingWNE if isinstance(backbone, ReadsNoise) else WNE
    return kind(backbone)
