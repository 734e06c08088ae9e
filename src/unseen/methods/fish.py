"""Gradient matching by first-order steps."""

from __future__ import annotations

from typing import ClassVar

from .dil import DIL
from .inner_optimiser import SGD
from .search_space import LogUniform


class Fish(DIL):
    """Fish: plain steps on all confounders in random order, so that their gradients come to agree (Shi et al. 2022).

    Shi, Seely, Torr, Siddharth, Hannun, Usunier, Synnaeve: Gradient Matching for Domain Generalization, ICLR 2022,
    algorithm 1, with L_i the loss under confounder d_i:

        θ̃ ← θ;   for each i, in random order:  θ̃ ← θ̃ − α ∇L_i(θ̃);   θ ← θ + ε (θ̃ − θ)

    The gradient is (θ − θ̃)/(αn). In the mean over the orders it is, up to terms in α², the gradient of

        (1/n) Σ_i L_i − (α/2n) Σ_{i<j} ⟨∇L_i, ∇L_j⟩

    so that, beside the losses, the gradients' inner products are raised; no second derivative is taken.

    This *is* DIL, serial and of first order, with inner SGD, and nothing is added here. `dil_sf` has an inner Adam
    whose second moments outlive the iteration, and gives θ − θ̃ as it is; DomainBed's Fish too has an inner Adam with
    a lasting state, and is nearer to `dil_sf` than to algorithm 1.

    Departures: the outer optimiser takes the last step. The paper's step is plain descent at a rate of εαn.

    Args:
        inner_lr: α, above zero. The share of the inner products in the gradient grows with α, and is small where α is
            far below one over the curvature.

    Raises:
        ValueError: for other values.
    """

    cost = "n"
    ranges: ClassVar = {"inner_lr": LogUniform(1e-4, 1e-2)}

    def __init__(self, inner_lr: float = 1e-3):
        super().__init__("serial", 1, inner_lr, SGD)
