"""Distortions that shrink images, followed by enlargement to the size of the clean images."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.tensors import enlarge
from .distortion import Distortion, Parameters, Range


@dataclass(frozen=True)
class Enlarged(Distortion):
    """A distortion that shrinks, and then bicubic enlargement: the input of a network that keeps sizes.

    Attributes:
        distortion: the distortion that shrinks, with a `scale` above 1. Enlarged values may overshoot at edges, and are
            clipped to [0, 1].
    """

    distortion: Distortion

    @property
    def degree(self) -> Range | str:
        """The degree of the distortion that shrinks."""
        return self.distortion.degree

    @property
    def family(self) -> Hashable:
        """The family of the distortion that shrinks, marked as enlarged."""
        return ("enlarged", self.distortion.family)

    def overlaps(self, other: Distortion) -> bool:
        """Return whether the other distortion is enlarged as well, and both distortions that shrink overlap."""
        return isinstance(other, Enlarged) and self.distortion.overlaps(other.distortion)

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw the parameters of the distortion that shrinks."""
        return self.distortion.sample(generator, n)

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Distort and shrink the images, and enlarge them to their original size."""
        return enlarge(self.distortion.apply(clean, parameters), self.distortion.scale)
