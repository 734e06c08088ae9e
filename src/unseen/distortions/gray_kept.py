"""Distortions under which photographs in black and white stay in black and white."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from .distortion import Distortion, Parameters, Range

GREEN = 1
"""The channel that is kept of a distorted gray image: mosaics have it at half of their pixels, others at a quarter."""


@dataclass(frozen=True)
class GrayKept(Distortion):
    """A distortion of which an RGB image without colour gets one channel: its noise is the same in all three.

    So are black-and-white photographs made: by one sensor, or from one channel. Images with colour, even of one pixel,
    are distorted as ever. In training the images are patches: one of a colour photograph may be gray by itself.

    Attributes:
        distortion: the distortion.
    """

    distortion: Distortion

    @property
    def on_device(self) -> bool:
        """Whether the distortion is."""
        return self.distortion.on_device

    @property
    def degree(self) -> Range | str:
        """The degree of the distortion."""
        return self.distortion.degree

    @property
    def family(self) -> Hashable:
        """The family of the distortion."""
        return self.distortion.family

    @property
    def alternatives(self) -> list[tuple[Distortion, ...]]:
        """Those of the distortion: what overlaps it overlaps it in black and white as well."""
        return self.distortion.alternatives

    @property
    def scale(self) -> int:
        """The scale of the distortion."""
        return self.distortion.scale

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw the parameters of the distortion."""
        return self.distortion.sample(generator, n)

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Distort the images; of those whose channels are equal in every pixel, take the green one for all three."""
        distorted = self.distortion.apply(clean, parameters)
        if clean.shape[1] == 1:
            return distorted
        gray = (clean == clean[:, :1]).flatten(1).all(1).view(-1, 1, 1, 1)
        return torch.where(gray, distorted[:, GREEN : GREEN + 1], distorted)
