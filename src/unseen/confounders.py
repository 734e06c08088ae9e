"""The set D of confounders, and the episodes drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .data.patches import Patches
from .distortions import DISTORTIONS, Distortion
from .methods import Batch, Episode
from .parts import build, name_of
from .randomness import generator

Content = Literal["counterfactual", "independent"]


@dataclass(frozen=True, eq=False)
class Confounder:
    """One distortion at one degree or range, under the name it has in a protocol (`gaussian_noise:30`)."""

    name: str
    distortion: Distortion

    @classmethod
    def parse(cls, spec: str, field: str) -> Confounder:
        """From `name:settings`. Raises UserError, naming `field`, where it describes no distortion."""
        return cls(spec, build(spec, DISTORTIONS, field, Distortion))

    @property
    def kind(self) -> str:
        """The distortion's name, without its degree."""
        return name_of(self.name)

    @property
    def degree(self) -> float | str:
        """The distortion's degree as a table shows it: a number, or words."""
        degree = self.distortion.degree
        return "{:g}-{:g}".format(*degree) if isinstance(degree, tuple) else degree

    def distort(self, clean: Tensor, draws: torch.Generator) -> Tensor:
        """The clean images, float (n, C, H, W) in [0, 1], each under its own draw of this confounder."""
        return self.distortion.apply(clean, self.distortion.sample(draws, len(clean)))


def draw_episode(
    confounders: Sequence[Confounder],
    patches: Patches,
    batch: int,
    content: Content,
    key: tuple[int, int, int],
    device: torch.device,
) -> Episode:
    """The episode of one step: a batch under every confounder, and the mixture batch.

    content: `counterfactual` gives every confounder the same clean patches, as the paper's principle asks;
        `independent` gives each its own, as the published code did. The noise is independent either way.
    key: (seed, rank, step), from which everything random here descends.
    """
    seed, rank, step = key
    contents = generator(seed, "content", rank, step)
    draws = generator(seed, "distortion", rank, step)
    clean = patches.draw(batch, contents).to(device)
    batches = []
    for confounder in confounders:
        batches.append(Batch(confounder.distort(clean, draws), clean, confounder.name))
        if content == "independent":
            clean = patches.draw(batch, contents).to(device)
    return Episode(
        confounders=batches,
        query=mixture(confounders, patches.draw(batch, contents).to(device), draws),
        generator=generator(seed, "method", rank, step),
    )


def mixture(confounders: Sequence[Confounder], clean: Tensor, draws: torch.Generator) -> Batch:
    """The batch I_d: each clean image (n, C, H, W) under a confounder drawn evenly."""
    picks = torch.randint(len(confounders), (len(clean),), generator=draws)
    distorted = torch.empty_like(clean)
    for i, confounder in enumerate(confounders):
        chosen = picks == i
        if chosen.any():
            distorted[chosen.to(clean.device)] = confounder.distort(clean[chosen.to(clean.device)], draws)
    return Batch(distorted, clean)
