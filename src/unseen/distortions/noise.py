"""Noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .distortion import Distortion, Parameters, normal_fields, sample_range, sample_seeds


@dataclass(frozen=True)
class GaussianNoise(Distortion):
    """Additive white Gaussian noise, independent in every pixel and channel, by σ in gray levels of 255.

    sigma: standard deviation, 0 to 255, or a range [low, high] drawn evenly, one value an image.
    clip: keep the result in [0, 1], as the DIL benchmark does (Li et al. 2023). Clipped and unclipped are
        different benchmarks: clipping moves the mean of dark and bright areas.
    Raises ValueError for a σ outside 0 to 255 and for an empty range.
    """

    sigma: float | tuple[float, float]
    clip: bool = True

    def __post_init__(self) -> None:
        low, high = self.sigma if isinstance(self.sigma, tuple) else (self.sigma, self.sigma)
        if not 0 <= low <= high <= 255:
            raise ValueError(f"sigma {self.sigma} is not within 0 to 255, low before high")

    @property
    def degree(self) -> float | tuple[float, float]:
        return self.sigma

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        return {"sigma": sample_range(self.sigma, generator, n), "seed": sample_seeds(generator, n)}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        sigma = (parameters["sigma"] / 255).to(clean).view(-1, 1, 1, 1)
        noisy = clean + sigma * normal_fields(parameters["seed"], clean)
        return noisy.clamp(0, 1) if self.clip else noisy
