"""Distortions by too little light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .distortion import (
    Distortion,
    Parameters,
    Range,
    normal_fields,
    per_image,
    power,
    require_within,
    sample_range,
    sample_seeds,
)


@dataclass(frozen=True)
class LowLight(Distortion):
    """Short exposure in linear light, with shot and read noise (after Lv et al. 2021; Brooks et al. 2019).

    The image is taken to linear light x by the inverse sRGB curve. A sensor at exposure e records e x + σ z with σ² =
    shot · e x + read², z standard normal. The recorded light is clipped to [0, 1] and taken back by the sRGB curve.
    Nothing brightens it again, and the result is in [0, 1].

    Darkening and adding noise is how Lv, Li & Lu, "Attention guided low-light image enhancement with a large scale
    low-light simulation dataset", IJCV 129, 2021, make their images, with a gamma curve in place of the exposure; the
    normal law for photon counts and read-out is that of Brooks et al., "Unprocessing images for learned raw denoising",
    CVPR 2019, section 3.1. There is no colour filter array: noise is white in every channel.

    Attributes:
        exposure: share of the light that is left, 0.001 to 1, or a range. It is the degree: a LOWER value is stronger.
        shot: variance of the photon noise for each unit of recorded light, which is one over the number of photons that
            make white. 0 to 0.1, or a range. Brooks et al. find 0.0001 to 0.012 in real cameras.
        read: standard deviation of the read-out noise in units of white, 0 to 0.1, or a range.

    Raises:
        ValueError: for values outside these ranges.
    """

    degree_unit: ClassVar[str] = "share of the light left (less is stronger)"

    exposure: Range
    shot: Range = 1e-3
    read: Range = 1e-3

    def __post_init__(self) -> None:
        require_within("exposure", self.exposure, 0.001, 1)
        require_within("shot", self.shot, 0, 0.1)
        require_within("read", self.read, 0, 0.1)

    @property
    def degree(self) -> Range:
        """The exposure: the lower, the stronger."""
        return self.exposure

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw exposure, noise levels and the seed of the noise: `exposure`, `shot`, `read`, `seed`."""
        return {
            "exposure": sample_range(self.exposure, generator, n),
            "shot": sample_range(self.shot, generator, n),
            "read": sample_range(self.read, generator, n),
            "seed": sample_seeds(generator, n),
        }

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Darken the images in linear light, and add the sensor's noise."""
        exposure, shot, read = (per_image(parameters[name], clean) for name in ("exposure", "shot", "read"))
        light = exposure * linear_from_srgb(clean)
        recorded = light + (shot * light + read**2).sqrt() * normal_fields(parameters["seed"], clean)
        return srgb_from_linear(recorded.clamp(0, 1))


def linear_from_srgb(encoded: Tensor) -> Tensor:
    """Convert sRGB values in [0, 1] to linear light in [0, 1] (IEC 61966-2-1)."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, power((encoded + 0.055) / 1.055, 2.4))


def srgb_from_linear(light: Tensor) -> Tensor:
    """Convert linear light in [0, 1] to sRGB values; the inverse of `linear_from_srgb`."""
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * power(light, 1 / 2.4) - 0.055)
