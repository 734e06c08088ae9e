"""ERM on equal shares of every confounder."""

from __future__ import annotations

from .episode import Episode
from .gradients import mean_gradient
from .method import Method
from .objective import Objective
from .params import Params


class BalancedERM(Method):
    """ERM (Vapnik 1992) on equal shares of every confounder in each step, not on a mixture drawn evenly.

        min_θ E (1/n) Σ_i L(f_θ(I_{d_i}), I_c)

    ERM's own gradient in expectation, without the chance in which confounders a batch meets, and with one content
    for all of them where the batches are counterfactual. A step sees the batches that a step of DIL, serial and of
    first order, sees, at the same cost: what DIL gains over balanced ERM is not gained by the batches.
    """

    cost = "n"

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """(1/n) Σ_i ∇_θ L on the batch of confounder i: n gradient evaluations."""
        return mean_gradient(objective, params, episode.confounders)
