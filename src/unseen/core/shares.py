"""Equal shares of every batch, held by processes that compute one gradient together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shares:
    """The share of this process in every batch, and means over all shares: here of one process, which holds all images.

    A process that belongs to several overrides `mean` and `gather`. All processes must call them alike, in one order.

    Attributes:
        rank: the number of this process, from 0; its images come after those of the processes before it.
        world: the number of processes, each with as many images as every other.
    """

    rank: int = 0
    world: int = 1

    def mean(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The mean of each tensor over all processes, not differentiable; the same bits in every process."""
        return list(tensors)

    def gather(self, values: Tensor) -> Tensor:
        """The rows of all processes, in their order."""
        return values

    def own(self, rows: Tensor) -> Tensor:
        """The rows of this process, of a tensor with a row for each image of the whole batch."""
        n = len(rows) // self.world
        return rows[self.rank * n : (self.rank + 1) * n]

    def pooled(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes, which can be differentiated, more than once.

        Where every process then computes the same function of this mean, and the mean over all processes is taken of
        the gradients, the result is the gradient of that function.
        """
        pooled: Tensor = value if self.world == 1 else _Mean.apply(value, self)
        return pooled


ALONE = Shares()
"""The whole of every batch."""


class _Mean(torch.autograd.Function):
    """A mean over processes, whose derivative is the mean over processes of what flows back."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, shares: Shares) -> Tensor:
        ctx.shares = shares
        return shares.mean([value])[0]

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        return ctx.shares.pooled(slopes[0]), None
