"""The set D of confounders, and the episodes drawn from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.errors import UserError
from ..core.registry import name_of
from ..data.patches import Patches
from ..distortions import Distortion, Enlarged
from ..distortions.distortion import degree_in_words
from ..distortions.spec import COMPOSITIONS, PAIRS, parse_distortion
from .levels import Level, Split


@dataclass(frozen=True, eq=False)
class Confounder(ABC):
    """A named source of pairs: what one line of a protocol states."""

    name: str

    @property
    @abstractmethod
    def kind(self) -> str:
        """The distortion's name, without its degree."""

    @property
    @abstractmethod
    def degree(self) -> float | str:
        """The degree as a table shows it: a number, or words."""

    def level(self, split: Split) -> Level:
        """The level that this confounder is in a protocol where its role is `split`."""
        return Level(split, self.kind, self.degree)

    @abstractmethod
    def overlaps(self, other: Confounder) -> bool:
        """Whether both could make one and the same degree."""

    @abstractmethod
    def pair(self, clean: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """As many distorted images as there are clean ones, float (n, C, H, W) in [0, 1], and their clean originals."""


@dataclass(frozen=True, eq=False)
class Synthetic(Confounder):
    """One distortion at one degree or range (`gaussian_noise:30`), given to any clean image."""

    distortion: Distortion

    @property
    def kind(self) -> str:
        for sign in COMPOSITIONS:
            if sign in self.name:
                return sign.join(name_of(part) for part in self.name.split(sign))
        return name_of(self.name)

    @property
    def degree(self) -> float | str:
        degree = self.distortion.degree
        return float(degree) if isinstance(degree, int | float) else degree_in_words(degree)

    def overlaps(self, other: Confounder) -> bool:
        if not isinstance(other, Synthetic):
            return False
        return self.distortion.overlaps(other.distortion) or other.distortion.overlaps(self.distortion)

    def pair(self, clean: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """The clean images, each under its own draw, and the same clean images."""
        return self.distortion.apply(clean, self.distortion.sample(draws, len(clean))), clean


@dataclass(frozen=True, eq=False)
class Recorded(Confounder):
    """Pairs that were recorded, `pairs:NAME`: the user says where they are, for training and for tests apart.

    `patches` are those to train on, None until they are loaded. Real pairs bring their own content.
    """

    patches: Patches | None = None

    @property
    def kind(self) -> str:
        return PAIRS

    @property
    def degree(self) -> str:
        """The name of the set."""
        return self.name.partition(":")[2].strip()

    def overlaps(self, other: Confounder) -> bool:
        return isinstance(other, Recorded) and self.degree.casefold() == other.degree.casefold()

    def pair(self, clean: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Recorded patches and their own clean ones: what is to be restored was recorded with its content."""
        if self.patches is None:
            raise ValueError(f"{self.name}: no pairs to train on were loaded")
        recorded, own = self.patches.draw_pairs(len(clean), draws)
        return recorded.to(clean.device), own.to(clean.device)


def parse_confounder(spec: str, field: str) -> Confounder:
    """From `name:settings`, several of these joined by ` > `, ` & ` or ` | ` (see `COMPOSITIONS`), or `pairs:NAME`.

    Raises UserError, naming `field`, where it describes no confounder.
    """
    if name_of(spec) == PAIRS:
        if not spec.partition(":")[2].strip():
            raise UserError(f"{field}: {spec!r}: needs the name of a set, as in pairs:rain100l")
        if any(sign.strip() in spec for sign in COMPOSITIONS):
            raise UserError(f"{field}: {spec!r}: recorded pairs cannot be joined, and >, & and | are in no set's name")
        return Recorded(spec)
    return Synthetic(spec, parse_distortion(spec, field))


def enlarged(confounder: Confounder) -> Confounder:
    """The same confounder with its output brought back to the size of the clean image, bicubically."""
    if isinstance(confounder, Synthetic):
        return replace(confounder, distortion=Enlarged(confounder.distortion))
    return confounder
