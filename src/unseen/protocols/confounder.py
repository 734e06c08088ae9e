"""Confounders: the distortions at their degrees, and the recorded pairs, that a protocol names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.errors import UserError
from ..core.registry import name_of
from ..data.patches import Patches
from ..distortions import Choice, Distortion, Enlarged, Faded, GrayKept, Sequence
from ..distortions.distortion import Parameters, degree_in_words
from ..distortions.spec import COMPOSITIONS, PAIRS, parse_distortion
from .levels import Level, Split


@dataclass(frozen=True, eq=False)
class Confounder(ABC):
    """A named source of pairs of a distorted and a clean image: one entry of a protocol.

    Attributes:
        name: the entry as the protocol states it, such as `gaussian_noise:30`.
    """

    name: str

    @property
    @abstractmethod
    def kind(self) -> str:
        """The distortion's name, without its degree."""

    @property
    @abstractmethod
    def degree(self) -> float | str:
        """The degree as a table shows it: a number, or words where no single number describes the severity."""

    def level(self, split: Split) -> Level:
        """Return the level that this confounder makes in a protocol that gives it the role `split`."""
        return Level(split, self.kind, self.degree)

    @abstractmethod
    def overlaps(self, other: Confounder) -> bool:
        """Return whether both could make the same degree of the same distortion."""

    @abstractmethod
    def sample(self, draws: torch.Generator, n: int) -> Parameters:
        """Draw all that is random of n pairs, as tensors by name, each with n as its first dimension.

        Raises:
            ValueError: recorded pairs of which no patches are loaded.
        """

    @abstractmethod
    def make(self, clean: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Make pairs to train on from what was drawn.

        Args:
            clean: clean images, float (n, C, H, W) in [0, 1].
            parameters: a draw of `sample` for these n images.

        Returns:
            n distorted images and their clean originals, both float in [0, 1].
        """

    def pair(self, clean: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw and make a pair for each clean image, as `make` does."""
        return self.make(clean, self.sample(draws, len(clean)))


@dataclass(frozen=True, eq=False)
class Synthetic(Confounder):
    """One distortion at one degree or range (`gaussian_noise:30`), which can be applied to any clean image.

    Attributes:
        distortion: the distortion, or the composition of several.
    """

    distortion: Distortion

    @property
    def kind(self) -> str:
        """The name of the distortion; of a composition, the names joined by its sign."""
        for sign in COMPOSITIONS:
            if sign in self.name:
                return sign.join(name_of(component) for component in self.name.split(sign))
        return name_of(self.name)

    @property
    def degree(self) -> float | str:
        """The degree of the distortion: a number, or words for a range or a composition."""
        degree = self.distortion.degree
        return float(degree) if isinstance(degree, int | float) else degree_in_words(degree)

    def overlaps(self, other: Confounder) -> bool:
        """Return whether either distortion says that it could make a degree of the other."""
        if not isinstance(other, Synthetic):
            return False
        return self.distortion.overlaps(other.distortion) or other.distortion.overlaps(self.distortion)

    def sample(self, draws: torch.Generator, n: int) -> Parameters:
        """Draw the parameters of the distortion."""
        return self.distortion.sample(draws, n)

    def make(self, clean: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return the clean images distorted, each by its own draw, and the same clean images."""
        return self.distortion.apply(clean, parameters), clean


@dataclass(frozen=True, eq=False)
class Recorded(Confounder):
    """Recorded pairs, `pairs:NAME`; the user says where the files lie, separately for training and for tests.

    Attributes:
        patches: the patches to train on; None until they are loaded.
    """

    patches: Patches | None = None

    @property
    def kind(self) -> str:
        """The word `pairs`."""
        return PAIRS

    @property
    def degree(self) -> str:
        """The name of the set of pairs."""
        return self.name.partition(":")[2].strip()

    def overlaps(self, other: Confounder) -> bool:
        """Return whether both name the same set, in capitals or not."""
        return isinstance(other, Recorded) and self.degree.casefold() == other.degree.casefold()

    def sample(self, draws: torch.Generator, n: int) -> Parameters:
        """Draw the places of n patches, as `picks`."""
        return {"picks": self._loaded().picks(n, draws)}

    def make(self, clean: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return the recorded patches at the drawn places, and their own clean patches.

        The content of `clean` is not used, since recorded patches have their own.
        """
        recorded, own = self._loaded().pairs_at(parameters["picks"])
        return recorded.to(clean.device), own.to(clean.device)

    def _loaded(self) -> Patches:
        if self.patches is None:
            raise ValueError(f"{self.name}: no pairs to train on were loaded")
        return self.patches


def parse_confounder(spec: str, field: str) -> Confounder:
    """Make a confounder from its entry in a protocol.

    Args:
        spec: `name:settings`, several of these joined by ` > `, ` & ` or ` | ` (see `COMPOSITIONS`), or `pairs:NAME`.
        field: the place in a file, for messages.

    Raises:
        UserError: if the text describes no confounder.
    """
    if name_of(spec) == PAIRS:
        if not spec.partition(":")[2].strip():
            raise UserError(f"{field}: {spec!r:.100}: needs the name of a set, as in pairs:rain100l")
        if any(sign.strip() in spec for sign in COMPOSITIONS):
            shown = f"{field}: {spec!r:.100}"
            raise UserError(f"{shown}: recorded pairs cannot be joined, and >, & and | are in no set's name")
        return Recorded(spec)
    return Synthetic(spec, parse_distortion(spec, field))


def enlarged(confounder: Confounder) -> Confounder:
    """Return the confounder with its output enlarged bicubically to the size of the clean image."""
    if isinstance(confounder, Synthetic):
        return replace(confounder, distortion=Enlarged(confounder.distortion))
    return confounder


def gray_kept(confounder: Confounder) -> Confounder:
    """Return the confounder under which photographs without colour stay so."""
    if isinstance(confounder, Synthetic):
        return replace(confounder, distortion=GrayKept(confounder.distortion))
    return confounder


def widened(confounders: tuple[Confounder, ...]) -> tuple[Confounder, ...]:
    """Return the confounders, and each synthetic one again, either followed by another or faded, drawn for every image.

    Recorded pairs stay as they are: beside synthetic ones, an even mixture has fewer of them than before. Between two
    distortions that shrink, the image is enlarged to its size again.

    Raises:
        UserError: where there is no synthetic one.
    """
    synthetic = [c for c in confounders if isinstance(c, Synthetic)]
    if not synthetic:
        raise UserError("method: widens seen distortions, and all that this protocol has are recorded pairs")
    second = Choice(tuple(c.distortion for c in synthetic))
    more = [Choice((Sequence((_as_large(c.distortion), second)), Faded(c.distortion))) for c in synthetic]
    return (*confounders, *(Synthetic(f"{c.name} widened", m) for c, m in zip(synthetic, more, strict=True)))


def _as_large(distortion: Distortion) -> Distortion:
    """The distortion, with its output enlarged to the size of the clean image where it shrinks."""
    return distortion if distortion.scale == 1 else Enlarged(distortion)
