"""Sharpness-aware minimisation: the loss is to be low in a whole neighbourhood of θ."""

from __future__ import annotations

from typing import ClassVar

from .episode import Episode
from .gradients import gradient
from .method import Method, require_positive
from .objective import Objective
from .params import Params, add_scaled, norm
from .search_space import LogUniform


class SAM(Method):
    """SAM, sharpness-aware minimisation: the gradient at the nearby point of highest loss (Foret et al., ICLR 2021).

    Foret, Kleiner, Mobahi, Neyshabur: Sharpness-Aware Minimization for Efficiently Improving Generalization.

        min_θ max_{‖ε‖ ≤ ρ} L(f_{θ+ε}(I_d), I_c)

    whose inner maximum is taken to first order, equation (2) with p = 2, and whose gradient is that of
    equation (3), with the dependence of ε̂ on θ left out (algorithm 1):

        ε̂ = ρ ∇_θ L / ‖∇_θ L‖,   g = ∇L at θ + ε̂

    Both gradients are of the same batch, the query. The norm is over all parameters together.

    Departures: no weight decay, which the paper adds to L. Where each of several processes trains on its own share
    (`--sync meta`), each computes its own ε̂: the paper's m-sharpness, with m the images of one process.

    Args:
        rho: ρ, the radius of the neighbourhood, in units of θ, above zero; the paper's 0.05.

    Raises:
        ValueError: for a ρ that is not above zero, or not finite.
    """

    cost = "2"
    ranges: ClassVar = {"rho": LogUniform(5e-3, 0.5)}

    def __init__(self, rho: float = 0.05):
        require_positive("SAM", rho=rho)
        self.rho = rho

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇L at θ + ε̂ on the query: two gradient evaluations."""
        uphill = gradient(objective, params, episode.query)
        worst = add_scaled(params, self.rho / max(norm(uphill), 1e-12), uphill)
        return gradient(objective, worst, episode.query)
