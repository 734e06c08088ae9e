"""Invariant risk minimisation, in its practical form IRMv1."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from .episode import Batch, Episode
from .gradients import derivative, pooled
from .method import Method, require_nonnegative, require_share
from .objective import Objective
from .params import Params, mean
from .search_space import LogUniform


class IRM(Method):
    """IRMv1: one gain on the restored image should be right under every confounder (Arjovsky et al. 2019).

    Arjovsky, Bottou, Gulrajani, Lopez-Paz: Invariant Risk Minimization, arXiv 1907.02893, 2019, (IRMv1), with L_i
    the loss under confounder d_i:

        min_θ (1/n) Σ_i (L_i(f_θ) + λ D_i²),   D_i = ∂/∂w L_i(w · f_θ) at w = 1

    The whole network is the representation, and the scalar w the predictor on top: for a restorer, a gain on the
    output image; a gain of 1 leaves the image as it is. D_i is negative where a higher gain would lower the loss under
    d_i, positive where a lower gain would; the penalty is zero where a gain of 1 is best under every confounder. The
    gradient of the penalty, 2λ D_i ∇_θ D_i, differentiates the loss twice, but the network once: any network will do.
    Under L1 ∇_θ D_i = ∇_θ L_i almost everywhere, so that IRM weighs the confounders by 1 + 2λ D_i.

    Departures: a mean over confounders where the paper has a sum, so that the learning rate does not depend on n;
    D_i² of the whole batch, where the paper's code multiplies the D_i of two halves, which is unbiased; the outer
    Adam is not reset, nor the loss divided by λ, when the penalty sets in.

    Args:
        penalty_weight: λ, at least zero, in units of 1/loss. D_i is zero for a black image too, a false minimum. Under
            L1, D_i cannot fall below minus the mean of the restored image, about −1/2 at worst, so that the default, 1,
            is nearly the greatest λ that weighs no confounder negatively and makes no minimum of the black image.
            (DomainBed has 100, for cross-entropies.)
        anneal: the share of the budget, in [0, 1), that is spent before the penalty sets in, zero until then; by
            `episode.progress`. 0 by default; with λ far above 1 the network must first leave the black image behind
            (DomainBed: 0.1).

    Raises:
        ValueError: for other values.
    """

    cost = "n"
    takes_whole_batches = True
    ranges: ClassVar = {"penalty_weight": LogUniform(0.1, 100)}

    def __init__(self, penalty_weight: float = 1.0, anneal: float = 0.0):
        require_nonnegative("IRM", penalty_weight=penalty_weight)
        require_share("IRM", anneal=anneal)
        self.penalty_weight = penalty_weight
        self.anneal = anneal

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The gradient of the objective above: n evaluations. Loss and penalty share one pass through the network."""
        weight = self.penalty_weight if episode.progress >= self.anneal else 0.0
        penalties: list[Tensor] = []

        def penalised(at: Params, batch: Batch) -> Tensor:
            restored = objective.restore(at, batch)
            gain = restored.new_ones(()).requires_grad_()
            risk = objective.judge(at, gain * restored, batch)
            (of_share,) = torch.autograd.grad(risk, gain, create_graph=True)
            slope = objective.shares.pooled(of_share)
            penalties.append(slope.detach() ** 2)
            return risk + weight * slope**2

        slopes = (derivative(partial(penalised, batch=batch), params) for batch in episode.confounders)
        result = pooled(objective.shares, mean(slopes, len(episode.confounders), params))
        episode.notes["penalty"] = float(torch.stack(penalties).mean())
        return result
