"""What a training method is given: batches of pairs, and the episode that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Params = Mapping[str, Tensor]
"""Parameters, or anything shaped like them (gradients, vectors), by name."""


@dataclass(frozen=True)
class Batch:
    """Distorted images and the clean ones they came from, float (B, C, H, W) in [0, 1].

    `name` says which confounder made them; the mixture batch has none.
    Raises ValueError where the two do not hold the same number of images.
    """

    distorted: Tensor
    clean: Tensor
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.distorted) != len(self.clean):
            raise ValueError(f"{len(self.distorted)} distorted images for {len(self.clean)} clean ones")

    def __len__(self) -> int:
        return len(self.clean)


@dataclass(frozen=True)
class Episode:
    """One draw of the training distribution, from which a method makes one gradient.

    confounders: element i is the batch under distortion d_i, the set D of the paper;
        counterfactual when all share one clean content.
    query: the mixture batch I_d, of its own content, each image under a confounder drawn evenly.
    generator: the randomness that a method may use (order, mixing); None is torch's global one.
    notes: scalars that a method wants to see in the log, such as its curvature ratio.
    """

    confounders: Sequence[Batch]
    query: Batch
    generator: torch.Generator | None = None
    notes: dict[str, float] = field(default_factory=dict)
