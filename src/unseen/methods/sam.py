"""Sharpness-aware minimisation."""

from __future__ import annotations

import math
from types import MappingProxyType

from .episode import Episode, Params
from .gradients import gradient, norm
from .method import Method
from .objective import Objective
from .search_space import LogUniform


class SAM(Method):
    """SAM, sharpness-aware minimisation: the gradient at the worst point nearby (Foret et al., ICLR 2021).

    Foret, Kleiner, Mobahi, Neyshabur: Sharpness-Aware Minimization for Efficiently Improving Generalization.

        min_θ max_{‖ε‖ ≤ ρ} L(f_{θ+ε}(I_d), I_c)

    whose inner maximum is taken to first order, equation (2) with p = 2, and whose gradient is that of
    equation (3), with what ε̂ itself owes to θ left out (algorithm 1):

        ε̂ = ρ ∇_θ L / ‖∇_θ L‖,   g = ∇L at θ + ε̂

    Both gradients are of the same batch, the query. The norm is over all parameters together.

    Departures: no weight decay, which the paper adds to L. Of several processes each climbs on its own batch:
    the paper's m-sharpness, with m the batch of one process.

    rho: ρ, how far to climb, in units of θ; the paper's 0.05.
    Raises ValueError for a ρ that is not above zero, or not finite.
    """

    ranges = MappingProxyType({"rho": LogUniform(5e-3, 0.5)})

    def __init__(self, rho: float = 0.05):
        if not 0 < rho < math.inf:
            raise ValueError(f"SAM: rho {rho!r} is not above zero, or not finite")
        self.rho = rho

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇L at θ + ε̂ on the query: two gradient evaluations."""
        uphill = gradient(objective, params, episode.query)
        stretch = self.rho / max(norm(uphill), 1e-12)
        worst = {name: value.detach() + stretch * uphill[name] for name, value in params.items()}
        return gradient(objective, worst, episode.query)
