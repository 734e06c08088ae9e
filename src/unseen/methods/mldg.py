"""Meta-learning for domain generalisation: steps on some confounders are to help on the others."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Literal

import torch

from .balanced import mean_gradient
from .dil import Hvp, relative_length
from .episode import Batch, Episode, Params
from .gradients import norm
from .inner_optimiser import SGD
from .method import Method
from .objective import Objective
from .search_space import LogUniform
from .second_order import HESSIAN_PRODUCTS


class MLDG(Method):
    """MLDG: a virtual step on some confounders is to help on the rest, split anew in each step (Li et al. 2018).

    Li, Yang, Song, Hospedales: Learning to Generalize: Meta-Learning for Domain Generalization, AAAI 2018,
    algorithm 1. The confounders are split at random into meta-train S and meta-test T; L_i is the loss under d_i:

        min_θ F(θ) + β G(φ),   φ = θ − α ∇F(θ),   F = (1/|S|) Σ_{i∈S} L_i,   G = (1/|T|) Σ_{j∈T} L_j

    Order 2 is its gradient, ∇F(θ) + β (I − αH) ∇G(φ), with H = (1/|S|) Σ_{i∈S} H_i the Hessian of F at θ, through
    Hessian-vector products one confounder at a time, so that memory does not grow with n. Order 1 leaves αH out, as
    DomainBed does. As α vanishes both become ∇F + β∇G, plain gradients at θ.

    DIL is its kin: it has no F, and tests on the query, the mixture of all confounders, where MLDG tests on those
    that the virtual step did not see. Without F and with the query as T, S = {i} gives the i-th of the n terms of
    which the gradient of DIL's (4), `dil_ss`, is the mean, and S = all confounders gives that of (5), `dil_ps`.

    Departures: none in the equation. Where batches are counterfactual, S and T show the same clean content.

    inner_lr: α, above zero. DomainBed's is the outer learning rate, here 1e-3 by default.
    beta: β, at least zero; 1 as in DomainBed.
    meta_test: |T|, at least one; at least one confounder more than that is needed.
    order: 1 or 2.
    hvp: how order 2 comes by its Hessian-vector products, as for DIL.
    Raises ValueError for other values, and for an episode of too few confounders.
    """

    ranges = MappingProxyType({"inner_lr": LogUniform(1e-4, 1e-2), "beta": LogUniform(0.1, 10)})

    def __init__(
        self,
        inner_lr: float = 1e-3,
        beta: float = 1.0,
        meta_test: int = 1,
        order: Literal[1, 2] = 2,
        hvp: Hvp = "exact",
    ):
        if not 0 < inner_lr < math.inf:
            raise ValueError(f"MLDG: inner_lr {inner_lr!r} is not above zero, or not finite")
        if not 0 <= beta < math.inf:
            raise ValueError(f"MLDG: beta {beta!r} is below zero, or not finite")
        if meta_test < 1:
            raise ValueError(f"MLDG: meta_test {meta_test!r} is below one")
        if order not in (1, 2):
            raise ValueError(f"MLDG: order {order!r} is neither 1 nor 2")
        if hvp not in HESSIAN_PRODUCTS:
            raise ValueError(f"MLDG: hvp {hvp!r}: {' or '.join(HESSIAN_PRODUCTS)}")
        if order == 1 and hvp != "exact":
            raise ValueError(f"MLDG: order 1 has no Hessian-vector products to take by {hvp}")
        self.inner = SGD(inner_lr)
        self.beta = beta
        self.meta_test = meta_test
        self.order = order
        self.hvp = HESSIAN_PRODUCTS[hvp]

    def check(self, objective: Objective, params: Params, batch: Batch) -> None:
        """Raises ValueError where order 2 would be wrong: see `unseen.methods.second_order`."""
        if self.order == 2:
            self.hvp.check(objective, params, batch)

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The gradient above: n gradient evaluations (order 1), n + 2|S| (order 2).

        Notes as `virtual_step` how far the step went, ‖φ − θ‖ / ‖θ‖, and as `curvature` what it weighs, α‖Hv‖ / ‖v‖.
        """
        n = len(episode.confounders)
        if n <= self.meta_test:
            raise ValueError(f"MLDG: needs more than {self.meta_test} confounders, to train on some and test on others")
        order = torch.randperm(n, generator=episode.generator).tolist()
        meta_test = [episode.confounders[i] for i in order[: self.meta_test]]
        meta_train = [episode.confounders[i] for i in order[self.meta_test :]]
        before = mean_gradient(objective, params, meta_train)
        phi = self.inner.step(params, before)
        episode.notes["virtual_step"] = relative_length(params, phi)
        after = mean_gradient(objective, phi, meta_test)
        if self.order == 2:
            after = self._through_the_step(objective, params, meta_train, after, episode)
        return {name: value + self.beta * after[name] for name, value in before.items()}

    def _through_the_step(
        self, objective: Objective, params: Params, meta_train: list[Batch], vector: Params, episode: Episode
    ) -> Params:
        """(I − αH) v."""
        bent = {name: torch.zeros_like(value) for name, value in params.items()}
        for batch in meta_train:
            for name, product in self.hvp.product(objective, params, batch, vector).items():
                bent[name] += product / len(meta_train)
        episode.notes["curvature"] = self.inner.lr * norm(bent) / max(norm(vector), 1e-12)
        return {name: value - self.inner.lr * bent[name] for name, value in vector.items()}
