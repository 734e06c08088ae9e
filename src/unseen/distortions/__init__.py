"""g(I_c, d): what stands between the clean and the distorted image."""

from collections.abc import Callable

from .distortion import Distortion, Parameters, normal_fields, sample_range, sample_seeds
from .noise import GaussianNoise

DISTORTIONS: dict[str, Callable[..., Distortion]] = {
    "gaussian_noise": GaussianNoise,
}

__all__ = [
    "DISTORTIONS",
    "Distortion",
    "GaussianNoise",
    "Parameters",
    "normal_fields",
    "sample_range",
    "sample_seeds",
]
