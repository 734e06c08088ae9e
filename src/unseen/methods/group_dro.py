"""Group distributionally robust optimisation: the worst confounder counts most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from .episode import Episode
from .gradients import loss_and_gradient
from .method import Method, require_positive
from .objective import Objective
from .params import Params, accumulate, subtract, zeros_like
from .search_space import LogUniform


class GroupDRO(Method):
    """Group DRO: minimises the worst loss of any confounder, by weights that grow with the loss (Sagawa et al. 2020).

    Sagawa, Koh, Hashimoto, Liang: Distributionally Robust Neural Networks for Group Shifts: On the Importance of
    Regularization for Worst-Case Generalization, ICLR 2020, algorithm 1. The groups are the confounders:

        min_θ max_q Σ_i q_i E L(f_θ(I_{d_i}), I_c),   q_i ≥ 0, Σ_i q_i = 1

    q starts even, outlives the iteration, and climbs by exponentiated gradient ascent while θ descends:

        q_i ← q_i exp(η L_i) / Σ_j q_j exp(η L_j),   then   g = Σ_i q_i ∇_θ L_i

    where the update of q and the gradient g use the same L_i. The worst loss is as a rule that of the strongest
    distortion, which even the best network restores least well.

    Departures: every confounder in every step, as in the authors' code, where algorithm 1 draws one; no adjustment
    for the size of a group, since distortions are drawn without end.

    Args:
        step_size: η, above zero. q_i/q_j grows e-fold in 1/(η (L_i − L_j)) steps. The default is the authors', for
            cross-entropies near 1; at a difference of losses of 0.03, usual for L1 on images in [0, 1], e-fold growth
            takes 3 300 steps.

    Raises:
        ValueError: for other values, and for an episode of another number of confounders than the state's.
    """

    cost = "n"
    ranges: ClassVar = {"step_size": LogUniform(1e-3, 1)}

    def __init__(self, step_size: float = 0.01):
        require_positive("GroupDRO", step_size=step_size)
        self.step_size = step_size
        self.log_q = torch.empty(0)  # logarithms, which do not vanish as the weights of the best may

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """Σ_i q_i ∇_θ L_i, q updated first: n gradient evaluations."""
        n = len(episode.confounders)
        if len(self.log_q) not in (0, n):
            raise ValueError(f"GroupDRO: has weights for {len(self.log_q)} confounders, not for {n}: keep to one set")
        log_q = self.log_q if len(self.log_q) else torch.zeros(n)
        mean = zeros_like(params)
        climbed: list[Tensor] = []
        for before, batch in zip(log_q, episode.confounders, strict=True):
            loss, slope = loss_and_gradient(objective, params, batch)
            climbed.append(before + self.step_size * loss)
            # A running mean over the confounders so far, weighed by their new q: the final q depends on the last loss,
            # and waiting for it would mean keeping every gradient.
            share = torch.stack(climbed).softmax(0)[-1]
            accumulate(mean, subtract(slope, mean), share)
        self.log_q = torch.stack(climbed).log_softmax(0)
        episode.notes["largest_q"] = float(self.log_q.max().exp())
        return mean

    def state_dict(self) -> dict[str, Tensor]:
        """The logarithms of q; nothing before the first step."""
        return {"log_q": self.log_q} if len(self.log_q) else {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore q. Raises ValueError for the state of another method."""
        if set(state) - {"log_q"}:
            raise ValueError(f"GroupDRO: keeps log_q alone, but the state has {', '.join(sorted(state))}")
        log_q = state.get("log_q", torch.empty(0))
        if log_q.dim() != 1:
            raise ValueError(f"GroupDRO: log_q has the shape {tuple(log_q.shape)}, expected one number a confounder")
        self.log_q = log_q
