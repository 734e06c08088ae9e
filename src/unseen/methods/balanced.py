"""ERM on equal shares of every confounder, and the mean gradient that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .episode import Batch, Episode, Params
from .gradients import derivative
from .method import Method
from .objective import Objective


class BalancedERM(Method):
    """ERM (Vapnik 1992) on equal shares of every confounder in each step, not on a mixture drawn evenly.

        min_θ E (1/n) Σ_i L(f_θ(I_{d_i}), I_c)

    ERM's own gradient in expectation, without the chance in which confounders a batch meets, and with one content
    for all of them where the batches are counterfactual. A step sees the batches that a step of DIL, serial and of
    first order, sees, at the same cost: what DIL gains over this is not gained by the batches.
    """

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """(1/n) Σ_i ∇_θ L on the batch of confounder i: n gradient evaluations."""
        return mean_gradient(objective, params, episode.confounders)


def mean_gradient(risk: Callable[[Params, Batch], Tensor], params: Params, batches: Sequence[Batch]) -> Params:
    """(1/n) Σ_i ∇_θ risk(θ, batch_i) at `params`, one batch at a time, so that memory does not grow with n."""

    def slope_on(batch: Batch) -> Params:
        return derivative(lambda leaves: risk(leaves, batch), params)

    total = {name: torch.zeros_like(value) for name, value in params.items()}
    for slope in map(slope_on, batches):
        for name in total:
            total[name] += slope[name] / len(batches)
    return total
