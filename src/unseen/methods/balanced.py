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

    In expectation this is ERM's gradient. Here every step has every confounder equally often, where chance decides in
    ERM's mixture; and all confounders share one content where the batches are counterfactual. A step sees the same
    batches, at the same cost, as a step of serial first-order DIL: so a gain of DIL over balanced ERM does not come
    from the batches.
    """

    cost = "n"
    capturable = True

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """(1/n) Σ_i ∇_θ L on the batch of confounder i: n gradient evaluations."""
        return mean_gradient(objective, params, episode.confounders)
