"""Distortions by haze in the air between scene and camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from .distortion import (
    Distortion,
    Parameters,
    Range,
    per_image,
    require_within,
    sample_range,
    sample_seeds,
    uniform_fields,
)


@dataclass(frozen=True)
class Haze(Distortion):
    """Koschmieder haze, I = J t + A (1 - t) with t = exp(-β d) (Narasimhan & Nayar 2002; He et al. 2009).

    Narasimhan & Nayar, "Vision and the atmosphere", IJCV 48, 2002, give the physics; He, Sun & Tang, "Single image haze
    removal using dark channel prior", CVPR 2009, equations 1 and 2, give the form used here. The depth d is made up,
    see `scene_depth`; it spans the image whatever the image's size. The result is clipped to [0, 1].

    Attributes:
        beta: scattering coefficient β in units of one over the mean depth: exp(-β) of the light comes through from a
            point at mean depth. 0 (clear) to 100, or a range. RESIDE (Li et al. 2019) hazes its indoor set with 0.6 to
            1.8.
        airlight: a, gray, in the units of the image, 0 to 1, or a range. RESIDE has 0.7 to 1.

    Raises:
        ValueError: for values outside these ranges.
    """

    degree_unit: ClassVar[str] = "scattering β, per mean depth"

    beta: Range
    airlight: Range = (0.7, 1.0)

    def __post_init__(self) -> None:
        require_within("beta", self.beta, 0, 100)
        require_within("airlight", self.airlight, 0, 1)

    @property
    def degree(self) -> Range:
        """β."""
        return self.beta

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw β, A and the seed of the depth: `beta`, `airlight`, `depth_seed`."""
        return {
            "beta": sample_range(self.beta, generator, n),
            "airlight": sample_range(self.airlight, generator, n),
            "depth_seed": sample_seeds(generator, n),
        }

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Haze the images through a made-up depth."""
        depth = scene_depth(parameters["depth_seed"], clean)
        transmission = torch.exp(-per_image(parameters["beta"], clean) * depth)
        return veil(clean, transmission, per_image(parameters["airlight"], clean)).clamp(0, 1)


def veil(scene: Tensor, transmission: Tensor, airlight: Tensor) -> Tensor:
    """Mix the light of the scene that comes through with airlight in place of the rest: J t + A (1 - t)."""
    return scene * transmission + airlight * (1 - transmission)


def scene_depth(seeds: Tensor, like: Tensor) -> Tensor:
    """Make up a depth map (n, 1, H, W) for images (n, C, H, W), of mean 1 over all seeds, within 0.1 to 1.9.

    The depth falls evenly from 1.5 at the top edge to 0.5 at the bottom edge, like the depth of ground seen from a
    little above. Smooth hills are added, drawn from one seed per image: values within ±0.2 on a grid of 4 by 4.
    """
    n, _, height, width = like.shape
    grid = 2 * uniform_fields(seeds, like.new_empty(n, 1, 4, 4)) - 1
    # Bicubic weights overshoot by a factor of at most 1.375 in each direction, so that depth stays above 0:
    # 0.5 - 0.2 * 1.375² > 0.1.
    hills = F.interpolate(grid, (height, width), mode="bicubic", align_corners=True)
    rows = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    return 1.5 - rows.view(-1, 1) + 0.2 * hills
