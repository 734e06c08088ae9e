"""Distortions of which a share is left: weaker degrees of any kind."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from .composition import prefixed, unprefixed
from .distortion import Distortion, Parameters, degree_in_words, per_image
from .resampling import Downsample


@dataclass(frozen=True)
class Faded(Distortion):
    """A share of what another distortion does: I_c + k (I_d − I_c), with k even between 0 and 1 for every image.

    Of noise that is added, k times the noise but for clipping; of anything else a blend with the clean image. Where
    the distortion shrinks, the clean image is shrunk bicubically.

    Attributes:
        distortion: the distortion that makes I_d.
    """

    distortion: Distortion

    @property
    def degree(self) -> str:
        """The degree of the distortion, of which a share is left."""
        return f"up to {degree_in_words(self.distortion.degree)}"

    @property
    def family(self) -> Hashable:
        """The family of the distortion, marked as faded."""
        return ("faded", self.distortion.family)

    @property
    def scale(self) -> int:
        """The scale of the distortion."""
        return self.distortion.scale

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw k, `share`, and the parameters of the distortion."""
        return {"share": torch.rand(n, generator=generator), **prefixed("of", self.distortion.sample(generator, n))}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Distort the images, and blend with the clean ones."""
        distorted = self.distortion.apply(clean, unprefixed("of", parameters))
        whole = Downsample(self.scale).apply(clean, {}) if self.scale > 1 else clean
        return whole.lerp(distorted, per_image(parameters["share"], clean))
