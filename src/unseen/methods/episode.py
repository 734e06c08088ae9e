"""What a training method is given: batches of pairs, and the episode that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

Params = Mapping[str, Tensor]
"""Parameters, or anything shaped like them (gradients, vectors), by name."""


@dataclass(frozen=True)
class Batch:
    """Distorted images and the clean ones they came from, float (B, C, H, W) in [0, 1].

    The distorted ones are smaller where the task is to enlarge them.
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


class Made(Sequence[Batch]):
    """Batches, some of them yet to be made: each is made when it is first asked for, and kept."""

    def __init__(self, batches: Sequence[Batch | Callable[[], Batch]]):
        self._batches = list(batches)

    def __len__(self) -> int:
        return len(self._batches)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        batch = self._batches[index]
        if not isinstance(batch, Batch):
            batch = self._batches[index] = batch()
        return batch


class Episode:
    """One draw of the training distribution, from which a method makes one gradient.

    confounders: element i is the batch under distortion d_i, the set D of the paper;
        counterfactual when all share one clean content.
    query: the mixture batch I_d, of its own content, each image under a confounder drawn evenly.
    generator: the randomness that a method may use (order, mixing); None is torch's global one.
    progress: the share of the training's budget that was spent before this step, in [0, 1).
    notes: scalars that a method wants to see in the log, such as its curvature ratio.

    A batch may be given as a function that makes it: it is then made when a method first asks for it, so that
    in training none is made in vain.
    """

    def __init__(
        self,
        confounders: Sequence[Batch | Callable[[], Batch]],
        query: Batch | Callable[[], Batch],
        generator: torch.Generator | None = None,
    ):
        self.confounders: Sequence[Batch] = Made(confounders)
        self._query = Made([query])
        self.generator = generator
        self.progress = 0.0
        self.notes: dict[str, float] = {}

    @property
    def query(self) -> Batch:
        return self._query[0]
