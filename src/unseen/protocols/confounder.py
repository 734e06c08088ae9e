"""The set D of confounders, and the episodes drawn from it."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor

from .. import distortions
from ..core.errors import UserError
from ..core.randomness import generator
from ..core.registry import build, name_of
from ..data.patches import Patches
from ..distortions import DISTORTIONS, Distortion, Enlarged
from ..distortions.distortion import in_words
from ..methods import Batch, Episode

Content = Literal["counterfactual", "independent"]
PAIRS = "pairs"
COMPOSITIONS: dict[str, Callable[[tuple[Distortion, ...]], Distortion]] = {
    " > ": distortions.Sequence,
    " & ": distortions.RandomOrder,
    " | ": distortions.Choice,
}
"""How a line of a protocol joins distortions: in order, in an order drawn for each image, or one of them."""


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
        return float(degree) if isinstance(degree, int | float) else in_words(degree)

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


def parse_distortion(spec: str, field: str) -> Distortion:
    """As `parse_confounder`, distortions alone."""
    padded = f" {spec} "  # so that a sign at either end is one with nothing beside it
    signs = [sign for sign in COMPOSITIONS if sign in padded]
    if not signs:
        return _single(spec, field)
    if len(signs) > 1:
        raise UserError(f"{field}: {spec!r}: joins in two ways at once,{signs[0]}and{signs[1]}; keep to one")
    sign = signs[0].strip()
    parts = [part.strip() for part in re.split(rf"(?<= ){re.escape(sign)}(?= )", padded)]
    if not all(parts):
        raise UserError(f"{field}: {spec!r}: a distortion is missing beside {sign}")
    made = tuple(_single(part, field) for part in parts)
    try:
        return COMPOSITIONS[signs[0]](made)
    except ValueError as error:
        raise UserError(f"{field}: {spec!r}: {error}") from error


def _single(spec: str, field: str) -> Distortion:
    if name_of(spec) == PAIRS:
        raise UserError(f"{field}: {spec!r}: recorded pairs are there already, and cannot be made of other photographs")
    sign = next((sign for sign in COMPOSITIONS if sign.strip() in spec), None)
    if sign is None:
        return build(spec, DISTORTIONS, field, Distortion)
    hint = f"between distortions, put spaces around {sign.strip()}: one{sign}other"
    if sign.strip() in name_of(spec):
        raise UserError(f"{field}: {spec!r}: {hint}")
    try:
        return build(spec, DISTORTIONS, field, Distortion)
    except UserError as error:  # and not before: a part of one's own may have a setting with such a sign in it
        raise UserError(f"{error}; {hint}") from error


def enlarged(confounder: Confounder) -> Confounder:
    """The same confounder with its output brought back to the size of the clean image, bicubically."""
    if isinstance(confounder, Synthetic):
        return replace(confounder, distortion=Enlarged(confounder.distortion))
    return confounder


class DrawnEpisode(Episode):
    """An episode whose batches are drawn when they are asked for; `seconds` says how long that took."""

    def __init__(
        self,
        confounders: Sequence[Callable[[], Batch]],
        query: Callable[[], Batch],
        generator: torch.Generator,
    ):
        super().__init__([self._timed(make) for make in confounders], self._timed(query), generator)
        self.seconds = 0.0

    def _timed(self, make: Callable[[], Batch]) -> Callable[[], Batch]:
        def timed() -> Batch:
            started = time.perf_counter()
            batch = make()
            self.seconds += time.perf_counter() - started
            return batch

        return timed


def draw_episode(
    confounders: Sequence[Confounder],
    patches: Patches,
    batch: int,
    content: Content,
    key: tuple[int, int, int],
    device: torch.device,
) -> DrawnEpisode:
    """The episode of one step: a batch under every confounder, and the mixture batch.

    content: `counterfactual` gives every confounder the same clean patches, as the paper's principle asks;
        `independent` gives each its own, as the published code did. The noise is independent either way, and
        recorded pairs bring their own content.
    key: (seed, rank, step), from which everything random here descends, each batch by itself.
    """
    seed, rank, step = key

    @cache
    def clean(purpose: str | int) -> Tensor:
        return patches.draw(batch, generator(seed, "content", rank, step, purpose)).to(device)

    def under(i: int) -> Batch:
        draws = generator(seed, "distortion", rank, step, i)
        pair = confounders[i].pair(clean(0 if content == "counterfactual" else i), draws)
        return Batch(*pair, confounders[i].name)

    def query() -> Batch:
        return mixture(confounders, clean("query"), generator(seed, "distortion", rank, step, "query"))

    makers = [partial(under, i) for i in range(len(confounders))]
    return DrawnEpisode(makers, query, generator(seed, "method", rank, step))


def mixture(confounders: Sequence[Confounder], clean: Tensor, draws: torch.Generator) -> Batch:
    """The batch I_d: each image of n (n, C, H, W) under a confounder drawn evenly."""
    picks = torch.randint(len(confounders), (len(clean),), generator=draws).to(clean.device)
    places, pairs = [], []
    for i, confounder in enumerate(confounders):
        (chosen,) = torch.nonzero(picks == i, as_tuple=True)
        if len(chosen):
            places.append(chosen)
            pairs.append(confounder.pair(clean[chosen], draws))
    order = torch.cat(places).argsort()
    distorted, originals = (torch.cat(images)[order] for images in zip(*pairs, strict=True))
    return Batch(distorted, originals)
