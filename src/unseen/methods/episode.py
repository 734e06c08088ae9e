"""The input of a training method: batches of pairs, and the episode that holds them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import overload

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Distorted images and the clean images that they were made from.

    Attributes:
        distorted: float (B, C, H, W) in [0, 1]; smaller than `clean` where the task is to enlarge.
        clean: float (B, C, H, W) in [0, 1].
        name: the confounder that made the distorted images; empty for the mixture batch.

    Raises:
        ValueError: `distorted` and `clean` do not hold the same number of images.
    """

    distorted: Tensor
    clean: Tensor
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.distorted) != len(self.clean):
            raise ValueError(f"{len(self.distorted)} distorted images for {len(self.clean)} clean ones")

    def __len__(self) -> int:
        return len(self.clean)

    def pieces(self, n: int) -> list[Batch]:
        """The batch in `n` pieces of equal size, in order; itself for one. Raises ValueError for another remainder."""
        if n == 1:
            return [self]
        if len(self) % n:
            raise ValueError(f"accumulate: {n} pieces of equal size cannot be made of {len(self)} images")
        pairs = zip(self.distorted.chunk(n), self.clean.chunk(n), strict=True)
        return [Batch(distorted, clean, self.name) for distorted, clean in pairs]


BatchOrMaker = Batch | Callable[[], Batch]
"""A batch, or a function that makes one."""


class LazyBatches(Sequence[Batch]):
    """Batches of which some may be functions that make a batch: each is called when its batch is first used.

    Attributes:
        seconds: the time that making batches took so far.
    """

    def __init__(self, batches: Sequence[BatchOrMaker]):
        self._batches = list(batches)
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self._batches)

    def extend(self, batches: Iterable[BatchOrMaker]) -> None:
        """Add batches, or functions that make them, at the end."""
        self._batches.extend(batches)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        batch = self._batches[index]
        if not isinstance(batch, Batch):
            started = time.perf_counter()
            batch = self._batches[index] = batch()
            self.seconds += time.perf_counter() - started
        return batch


class Episode:
    """One draw of the training distribution, from which a method makes one gradient.

    A function that makes a batch may take the batch's place: it is called when the method first uses the batch, so that
    an unused batch is never made.

    Args:
        confounders: element i is the batch under distortion d_i, the set D of the paper; counterfactual when all
            share one clean content.
        query: the mixture batch I_d, of its own content, each image under a confounder drawn evenly.
        generator: the randomness that a method may use (order, mixing); None is torch's global generator.
        progress: the share of the training's budget that was spent before this step, in [0, 1).
        more: a function that makes the i-th mixture batch beside the query, i from 1; None where there is no other.

    Attributes:
        notes: scalars by name that the method writes for the log, such as its curvature ratio; tensors are read only
            when a line of the log is written, so that a step waits for no GPU.
    """

    def __init__(
        self,
        confounders: Sequence[BatchOrMaker],
        query: BatchOrMaker,
        generator: torch.Generator | None = None,
        progress: float = 0.0,
        more: Callable[[int], Batch] | None = None,
    ):
        self.confounders = LazyBatches(confounders)
        self._mixtures = LazyBatches([query])
        self._more = more
        self.generator = generator
        self.progress = progress
        self.notes: dict[str, float | Tensor] = {}

    def in_random_order(self) -> Iterator[Batch]:
        """The confounders' batches in an order drawn from `generator`, each made when its turn comes."""
        for i in torch.randperm(len(self.confounders), generator=self.generator).tolist():
            yield self.confounders[i]

    @property
    def query(self) -> Batch:
        """The mixture batch I_d."""
        return self._mixtures[0]

    def mixtures(self, n: int) -> Sequence[Batch]:
        """The first n mixture batches, the query and others like it, each of its own content and draws.

        Raises:
            ValueError: the episode was given no way to make more than the query.
        """
        present = len(self._mixtures)
        if n > present:
            if self._more is None:
                raise ValueError(f"{n} mixture batches are asked for, and the episode has the query alone")
            self._mixtures.extend(partial(self._more, i) for i in range(present, n))
        return self._mixtures[:n]

    @property
    def seconds(self) -> float:
        """The seconds that making this episode's batches took so far."""
        return self.confounders.seconds + self._mixtures.seconds
