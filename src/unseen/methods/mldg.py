"""Meta-learning for domain generalisation: steps on some confounders should help on the others."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from .episode import Batch, Episode
from .gradients import mean_gradient
from .inner_optimiser import SGD
from .method import Method, require_nonnegative, require_positive
from .objective import Objective
from .params import Params, add_scaled, relative_distance
from .search_space import LogUniform
from .second_order import Hvp, hessian_product, through_step


class MLDG(Method):
    """MLDG: a virtual step on some confounders should help on the others, split anew in each step (Li et al. 2018).

    Li, Yang, Song, Hospedales: Learning to Generalize: Meta-Learning for Domain Generalization, AAAI 2018,
    algorithm 1. The confounders are split at random into meta-train S and meta-test T; L_i is the loss under d_i:

        min_θ F(θ) + β G(φ),   φ = θ − α ∇F(θ),   F = (1/|S|) Σ_{i∈S} L_i,   G = (1/|T|) Σ_{j∈T} L_j

    Order 2 is the gradient of this objective, ∇F(θ) + β (I − αH) ∇G(φ), with H = (1/|S|) Σ_{i∈S} H_i the Hessian of F
    at θ, through Hessian-vector products one confounder at a time, so that memory does not grow with n. Order 1 leaves
    αH out, as DomainBed does. As α vanishes both become ∇F + β∇G, plain gradients at θ.

    DIL is related: it has no F, and tests on the query, the mixture of all confounders, where MLDG tests on the
    confounders that the virtual step did not see. Without F and with the query as T, S = {i} gives term i of the n
    terms whose mean is the gradient of DIL's (4), `dil_ss`; S = all confounders gives the gradient of (5), `dil_ps`.

    Departures: none in the equation. Where batches are counterfactual, S and T show the same clean content.

    Args:
        inner_lr: α, above zero. DomainBed sets α to the outer learning rate, whose default is 1e-3 here.
        beta: β, at least zero; 1 as in DomainBed.
        meta_test: |T|, at least one; an episode needs at least one confounder more.
        order: the order of the gradient, 1 or 2.
        hvp: how order 2 computes its Hessian-vector products, as for DIL.

    Raises:
        ValueError: for other values, and for an episode of too few confounders.
    """

    cost = "n + 3(n − 1)"
    ranges: ClassVar = {"inner_lr": LogUniform(1e-4, 1e-2), "beta": LogUniform(0.1, 10)}

    def __init__(
        self,
        inner_lr: float = 1e-3,
        beta: float = 1.0,
        meta_test: int = 1,
        order: Literal[1, 2] = 2,
        hvp: Hvp = "exact",
    ):
        require_positive("MLDG", inner_lr=inner_lr)
        require_nonnegative("MLDG", beta=beta)
        if meta_test < 1:
            raise ValueError(f"MLDG: meta_test {meta_test!r} is below one")
        if order not in (1, 2):
            raise ValueError(f"MLDG: order {order!r} is neither 1 nor 2")
        self.hvp = hessian_product("MLDG", hvp, order)
        self.inner = SGD(inner_lr)
        self.beta = beta
        self.meta_test = meta_test
        self.order = order

    def check(self, objective: Objective, params: Params, batch: Batch) -> None:
        """Raise ValueError where order 2 would be wrong: see `unseen.methods.second_order`."""
        if self.order == 2:
            self.hvp.check(objective, params, batch)

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇F(θ) + β (I − αH) ∇G(φ): n gradient evaluations without H (order 1), n + 3|S| with it (order 2).

        Writes two scalars to `episode.notes`: `virtual_step`, the length of the step ‖φ − θ‖ / ‖θ‖; and, for order 2,
        `curvature`, the weight of the Hessian α‖Hv‖ / ‖v‖ with v = ∇G(φ).
        """
        n = len(episode.confounders)
        if n <= self.meta_test:
            raise ValueError(f"MLDG: needs more than {self.meta_test} confounders, to train on some and test on others")
        order = torch.randperm(n, generator=episode.generator).tolist()
        meta_test = [episode.confounders[i] for i in order[: self.meta_test]]
        meta_train = [episode.confounders[i] for i in order[self.meta_test :]]
        before = mean_gradient(objective, params, meta_train)
        phi = self.inner.step(params, before)
        episode.notes["virtual_step"] = relative_distance(params, phi)
        after = mean_gradient(objective, phi, meta_test)
        if self.order == 2:
            product = self.hvp.mean(objective, params, meta_train, after)
            after, episode.notes["curvature"] = through_step(after, product, self.inner.lr)
        return add_scaled(before, self.beta, after)
