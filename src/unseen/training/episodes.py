"""Episodes: a batch under every confounder, and the mixture batch, drawn step by step."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor

from ..core.randomness import generator
from ..core.shares import ALONE, Shares
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
    shares: Shares = ALONE,
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
        shares: the share of each batch that is made here. What is random is drawn for the whole batch, so that the
            shares of all processes together are the batch that one process would make.
    """
    seed, rank, step = key

    @cache
    def clean(purpose: str | int) -> Tensor:
        picks = patches.picks(batch, generator(seed, "content", rank, step, purpose))
        return patches.at(shares.own(picks)).to(device)

    def under(i: int) -> Batch:
        drawn = confounders[i].sample(generator(seed, "distortion", rank, step, i), batch)
        images = clean(0 if content == "counterfactual" else i)
        own = {name: shares.own(values) for name, values in drawn.items()}
        return Batch(*confounders[i].make(images, own), confounders[i].name)

    def mixed(i: int) -> Batch:
        draws = generator(seed, "distortion", rank, step, mixture_name(i))
        return mixture(confounders, clean(mixture_name(i)), draws, shares)

    makers = [partial(under, i) for i in range(len(confounders))]
    return Episode(makers, partial(mixed, 0), generator(seed, "method", rank, step), more=mixed)


def mixture_name(i: int) -> str:
    """The name of the i-th mixture batch of an episode in all that is drawn for it: `query`, then `query.1` and on."""
    return f"query.{i}" if i else "query"


def mixture(confounders: Sequence[Confounder], clean: Tensor, draws: torch.Generator, shares: Shares = ALONE) -> Batch:
    """The batch I_d: each of n clean images (n, C, H, W) under a confounder that is drawn evenly.

    Args:
        confounders: the confounders to draw from.
        clean: the clean images of this share of the batch.
        draws: the generator of all that is random, which draws for the whole batch.
        shares: the share of the batch that is made here.
    """
    here = len(clean)
    first = shares.rank * here
    picks = torch.randint(len(confounders), (here * shares.world,), generator=draws).tolist()
    places: list[int] = []
    pairs = []
    for i, confounder in enumerate(confounders):
        chosen = [image for image, pick in enumerate(picks) if pick == i]
        if chosen:
            drawn = confounder.sample(draws, len(chosen))
            own = slice(bisect_left(chosen, first), bisect_left(chosen, first + here))
            if place := [image - first for image in chosen[own]]:
                places += place
                pairs.append(confounder.make(clean[place], {name: values[own] for name, values in drawn.items()}))
    order = sorted(range(here), key=places.__getitem__)
    distorted, originals = (torch.cat(images)[order] for images in zip(*pairs, strict=True))
    return Batch(distorted, originals)
