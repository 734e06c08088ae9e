"""V-REx: risks that vary little between the confounders."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .episode import Episode
from .gradients import loss_and_gradient
from .method import Method, require_nonnegative, require_share
from .objective import Objective
from .params import Params, accumulate, add_scaled, zeros_like
from .search_space import LogUniform


class VREx(Method):
    """V-REx: minimises the mean risk of the confounders plus β times the variance of their risks (Krueger et al. 2021).

    Krueger, Caballero, Jacobsen, Zhang, Binas, Zhang, Le Priol, Courville: Out-of-Distribution Generalization via
    Risk Extrapolation (REx), ICML 2021, the objective R_V-REx, with L_i the loss under confounder d_i:

        min_θ L̄ + β Var,   L̄ = (1/n) Σ_i L_i,   Var = (1/n) Σ_i (L_i − L̄)²

    Since the deviations sum to zero, L̄ itself adds nothing to the gradient of Var, and

        g = (1/n) Σ_i (1 + 2β (L_i − L̄)) ∇_θ L_i

    A confounder whose risk is below the mean by more than 1/(2β) is weighed negatively: its risk is raised, so that the
    risks become equal. This is the extrapolation of the name; but not every distortion can be restored equally well.

    Departures: a mean of risks where the paper has a sum, so that the learning rate does not depend on n; the outer
    Adam is not reset when the penalty sets in.

    Args:
        beta: β, at least zero, in units of 1/loss. The default is meant for L1 on images in [0, 1], whose risks lie
            between about 0.02 and 0.05: the lowest risk is then weighed by 0.1 and the highest by 1.9, nearly as
            unevenly as possible without a negative weight. (DomainBed has 10, for cross-entropies near 1.) Risks under
            L2 are smaller, and need a larger β.
        anneal: the share of the budget, in [0, 1), that is spent before the penalty sets in, zero until then; by
            `episode.progress`. 0 by default: only penalty weights such as the published 1e4 need it (DomainBed: 0.1).

    Raises:
        ValueError: for other values.
    """

    cost = "n"
    capturable = True
    ranges: ClassVar = {"beta": LogUniform(1, 1e3)}

    def __init__(self, beta: float = 30.0, anneal: float = 0.0):
        require_nonnegative("VREx", beta=beta)
        require_share("VREx", anneal=anneal)
        self.beta = beta
        self.anneal = anneal
        self.capturable &= anneal == 0  # else the weight of the penalty changes once

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The gradient g above: n gradient evaluations; two sums of gradients are kept, whatever n is."""
        # g = ∇L̄ + β∇Var without holding n graphs. L̄ depends on the last loss, so deviations are taken from
        # the first loss, and then moved: Σ_i (L_i − L̄) ∇L_i = Σ_i (L_i − L_1) ∇L_i − (L̄ − L_1) Σ_i ∇L_i.
        n, losses = len(episode.confounders), list[Tensor]()
        mean, excess = zeros_like(params), zeros_like(params)
        for batch in episode.confounders:
            loss, slope = loss_and_gradient(objective, params, batch)
            losses.append(loss)
            accumulate(mean, slope, divisor=n)  # (1/n) Σ_i ∇L_i
            accumulate(excess, slope, loss - losses[0], divisor=n)  # (1/n) Σ_i (L_i − L_1) ∇L_i
        risks = torch.stack(losses)
        episode.notes["risk_variance"] = risks.var(correction=0)
        beta = self.beta if episode.progress >= self.anneal else 0.0
        deviations = add_scaled(excess, -(risks - risks[0]).mean(), mean)  # (1/n) Σ_i (L_i − L̄) ∇L_i
        return add_scaled(mean, 2 * beta, deviations)
