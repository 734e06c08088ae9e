"""Grain of film: blotches that are strongest in the mid-tones, and nearly alike in the three colours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .distortion import (
    Distortion,
    Parameters,
    Range,
    ends,
    per_image,
    require_within,
    sample_range,
    sample_seeds,
)
from .noise import luma, smoothed_noise

LEAST = 0.25
"""Deviation in black and in white, as a share of that in mid-gray."""

COMMON = 0.8
"""Share of the variance that the channels of a colour image have in common."""


@dataclass(frozen=True)
class FilmGrain(Distortion):
    """Grain of scanned film: correlated Gaussian noise, strongest in mid-gray (a simple model of our own).

    y = x + σ(l) g, where l is the BT.601 luma of a pixel, σ(l) = σ (1/4 + 3/4 · 4 l (1 - l)) a parabola with σ in
    mid-gray and σ/4 in black and in white, and g normal noise smoothed by a Gaussian. Four fifths of the variance of
    g are the same in all channels, and a fifth is each channel's own: grain is mostly gray.

    Attributes:
        sigma: standard deviation in mid-gray in gray levels of 255, 0 to 255, or a range [low, high] drawn evenly, one
            value per image.
        size: standard deviation of the Gaussian that smooths, in pixels, above 0 and up to 10, or a range drawn evenly,
            one value per image.
        clip: keep the result in [0, 1].

    Raises:
        ValueError: for settings outside these, and by `apply` for images of other than 1 or 3 channels.
    """

    degree_unit: ClassVar[str] = "standard deviation σ in mid-gray, gray levels of 255"

    sigma: Range
    size: Range = 0.9
    clip: bool = True

    def __post_init__(self) -> None:
        require_within("sigma", self.sigma, 0, 255)
        require_within("size", self.size, 0.1, 10)

    @property
    def degree(self) -> Range:
        """σ in mid-gray, in gray levels of 255."""
        return self.sigma

    @property
    def spans(self) -> tuple[Range | str, ...]:
        """σ and size."""
        return self.sigma, self.size

    @property
    def on_device(self) -> bool:
        """True: all is tensor operations."""
        return True

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw σ, the size and the seed of the grain for each image: `sigma`, `size`, `seed`."""
        return {
            "sigma": sample_range(self.sigma, generator, n),
            "size": sample_range(self.size, generator, n),
            "seed": sample_seeds(generator, n),
        }

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Add grain to each image."""
        n, channels, height, width = clean.shape
        if channels not in (1, 3):
            raise ValueError(f"film grain is made of 1 or 3 channels, and not of {channels}")
        fields = clean.new_empty(n, channels + 1, height, width)  # one in common, before one of each channel
        grain = smoothed_noise(parameters["seed"], fields, parameters["size"], ends(self.size)[1])
        grain = math.sqrt(COMMON) * grain[:, :1] + math.sqrt(1 - COMMON) * grain[:, 1:]
        light = luma(clean)
        shape = LEAST + (1 - LEAST) * 4 * light * (1 - light)
        grainy = clean + per_image(parameters["sigma"] / 255, clean) * shape * grain
        return grainy.clamp_(0, 1) if self.clip else grainy
