"""A smaller distorted image, brought back to the size of the clean one."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.tensors import enlarge
from .distortion import Distortion, Parameters, Range


@dataclass(frozen=True)
class Enlarged(Distortion):
    """A distortion that shrinks, and then bicubic enlargement: what a network that keeps sizes is given.

    distortion: one whose `scale` is above 1. Values may overshoot at edges, and are clipped to [0, 1].
    """

    distortion: Distortion

    @property
    def degree(self) -> Range | str:
        return self.distortion.degree

    @property
    def family(self) -> Hashable:
        return ("enlarged", self.distortion.family)

    def overlaps(self, other: Distortion) -> bool:
        return isinstance(other, Enlarged) and self.distortion.overlaps(other.distortion)

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        return self.distortion.sample(generator, n)

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        return enlarge(self.distortion.apply(clean, parameters), self.distortion.scale)
