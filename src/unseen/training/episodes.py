"""Episodes: a batch under every confounder, and the mixture batch, drawn step by step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor

from ..core.randomness import generator
from ..data.patches import Patches
from ..methods import Batch, Episode
from ..protocols.confounder import Confounder

Content = Literal["counterfactual", "independent"]


def draw_episode(
    confounders: Sequence[Confounder],
    patches: Patches,
    batch: int,
    content: Content,
    key: tuple[int, int, int],
    device: torch.device,
) -> Episode:
    """Draw the episode of one step: a batch under every confounder, and the mixture batch.

    Each batch is drawn when the method first asks for it, by a generator of its own.

    Args:
        confounders: the set D of the paper, n confounders.
        patches: the source of clean patches.
        batch: the number of images in a batch.
        content: `counterfactual` gives every confounder the same clean patches, as the paper's principle asks;
            `independent` gives each confounder its own, as the published code did. The noise is independent either
            way, and recorded pairs bring their own content.
        key: (seed, rank, step), from which every random draw descends.
        device: the device of the batches.
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
    return Episode(makers, query, generator(seed, "method", rank, step))


def mixture(confounders: Sequence[Confounder], clean: Tensor, draws: torch.Generator) -> Batch:
    """The batch I_d: each of n clean images (n, C, H, W) under a confounder that is drawn evenly."""
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
