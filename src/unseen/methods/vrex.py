"""V-REx: risks that vary little between the confounders."""

from __future__ import annotations

import math
from types import MappingProxyType

import torch
from torch import Tensor

from .episode import Episode, Params
from .gradients import loss_and_gradient
from .method import Method
from .objective import Objective
from .search_space import LogUniform


class VREx(Method):
    """V-REx: the mean risk of the confounders and β times the variance of their risks (Krueger et al. 2021).

    Krueger, Caballero, Jacobsen, Zhang, Binas, Zhang, Le Priol, Courville: Out-of-Distribution Generalization via
    Risk Extrapolation (REx), ICML 2021, the objective R_V-REx, with L_i the loss under confounder d_i:

        min_θ L̄ + β Var,   L̄ = (1/n) Σ_i L_i,   Var = (1/n) Σ_i (L_i − L̄)²

    Since the deviations sum to zero, L̄ itself adds nothing to the gradient of Var, and

        g = (1/n) Σ_i (1 + 2β (L_i − L̄)) ∇_θ L_i

    A confounder that is better than the mean by more than 1/(2β) is weighed negatively: trained against, so that the
    risks become equal. This is the extrapolation of the name; but not every distortion can be restored equally well.

    Departures: a mean of risks where the paper has a sum, so that the learning rate does not depend on n; the outer
    Adam is not reset when the penalty sets in.

    beta: β, at least zero, in units of 1/loss. The default is meant for L1 on images in [0, 1], whose risks lie
        between about 0.02 and 0.05: it weighs the ends by 0.1 and 1.9, nearly as unevenly as it can be without
        training against any. (DomainBed has 10, for cross-entropies near 1.) L2 is smaller, and needs more.
    anneal: the share of the budget, in [0, 1), that is spent before the penalty sets in, zero until then; by
        `episode.progress`. None by default: the published ones are needed by penalties of 1e4 (DomainBed: 0.1).
    Raises ValueError for other values.
    """

    ranges = MappingProxyType({"beta": LogUniform(1, 1e3)})

    def __init__(self, beta: float = 30.0, anneal: float = 0.0):
        if not 0 <= beta < math.inf:
            raise ValueError(f"VREx: beta {beta!r} is below zero, or not finite")
        if not 0 <= anneal < 1:
            raise ValueError(f"VREx: anneal {anneal!r} is not within [0, 1)")
        self.beta = beta
        self.anneal = anneal

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The gradient above: n gradient evaluations; two sums of gradients are kept, however many n is."""
        n, losses = len(episode.confounders), list[Tensor]()
        mean = {name: torch.zeros_like(value) for name, value in params.items()}
        tilted = {name: torch.zeros_like(value) for name, value in params.items()}
        for batch in episode.confounders:
            loss, slope = loss_and_gradient(objective, params, batch)
            losses.append(loss)
            excess = loss - losses[0]  # not over the mean, which the last loss makes known; `offset` makes up for it
            for name in mean:
                mean[name] += slope[name] / n
                tilted[name] += excess * slope[name] / n
        risks = torch.stack(losses)
        episode.notes["risk_variance"] = float(risks.var(correction=0))
        beta = self.beta if episode.progress >= self.anneal else 0.0
        offset = (risks - risks[0]).mean()
        return {name: mean[name] + 2 * beta * (tilted[name] - offset * mean[name]) for name in mean}
