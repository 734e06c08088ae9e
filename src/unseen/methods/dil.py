"""Distortion Invariant representation Learning, all four variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from .episode import Batch, Episode, Params
from .gradients import gradient, norm
from .inner_optimiser import SGD, Adam, InnerOptimiser
from .method import Method
from .objective import Objective
from .search_space import LogUniform
from .second_order import HESSIAN_PRODUCTS

Hvp = Literal["exact", "finite-difference"]


class DIL(Method):
    """Li, Li, Jin, Lan, Chen: Learning Distortion Invariant Representation for Image Restoration from A
    Causality Perspective, CVPR 2023.

    The intervention of confounder d_i is a virtual update on its images alone, equation (3):

        φ_i = θ − α ∇_θ L(f_θ(I_{d_i}), I_c)

    and θ is trained so that the virtually updated network restores the mixture I_d (the query):

        serial,   (4):  min_θ E (1/n) Σ_i L(f_{φ_i}(I_d), I_c)
        parallel, (5):  min_θ E L(f_φ̄(I_d), I_c),   φ̄ = θ − α ∇_θ (1/n) Σ_i L(f_θ(I_{d_i}), I_c)

    Order 2 is the gradient of these, through Hessian-vector products one confounder at a time, so that
    memory does not grow with n. Order 1 follows Reptile: the steps are taken one after another, and
    where they lead is the gradient; serial, one step on each d_i in random order (the query is not used);
    parallel, the step to φ̄ and one more on the query.

    Departures: (4) is a mean, not a sum, so that the learning rate does not depend on n.

    sampling: serial or parallel interventions.
    order: 1 or 2.
    inner_lr: α, the virtual learning rate.
    inner: the optimiser that takes the virtual steps, SGD or Adam (of `unseen.methods`).
    hvp: how order 2 comes by its Hessian-vector products, exactly or by finite differences of gradients;
        these are for smooth networks, under smooth losses, that cannot be differentiated twice.
    Raises ValueError for other values, and for order 2 through anything but SGD.
    """

    ranges = MappingProxyType({"inner_lr": LogUniform(1e-5, 1e-2)})

    def __init__(
        self,
        sampling: Literal["serial", "parallel"] = "serial",
        order: Literal[1, 2] = 1,
        inner_lr: float = 1e-4,
        inner: Callable[[float], InnerOptimiser] = SGD,
        hvp: Hvp = "exact",
    ):
        variants = {
            ("serial", 1): self._serial_first,
            ("parallel", 1): self._parallel_first,
            ("serial", 2): self._serial_second,
            ("parallel", 2): self._parallel_second,
        }
        if (sampling, order) not in variants:
            raise ValueError(f"DIL: sampling {sampling!r}, order {order!r}: serial or parallel, 1 or 2")
        if not inner_lr > 0:
            raise ValueError(f"DIL: inner_lr {inner_lr!r} is not above zero")
        self.inner = inner(inner_lr)
        if order == 2 and not isinstance(self.inner, SGD):
            raise ValueError("DIL: order 2 differentiates through plain SGD steps only")
        if hvp not in HESSIAN_PRODUCTS:
            raise ValueError(f"DIL: hvp {hvp!r}: {' or '.join(HESSIAN_PRODUCTS)}")
        if order == 1 and hvp != "exact":
            raise ValueError(f"DIL: order 1 has no Hessian-vector products to take by {hvp}")
        self.order = order
        self.hvp = HESSIAN_PRODUCTS[hvp]
        self.variant = variants[sampling, order]

    def check(self, objective: Objective, params: Params, batch: Batch) -> None:
        """Raises ValueError where order 2 would be wrong: see `unseen.methods.second_order`."""
        if self.order == 2:
            self.hvp.check(objective, params, batch)

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The meta-gradient: n gradient evaluations (sf), n + 1 (pf), 4n (ss), 3n + 1 (ps).

        Notes as `virtual_step` how far the intervention went, ‖φ − θ‖ / ‖θ‖: after all n steps (sf), to φ̄ (pf, ps),
        or to φ_i in the mean over the confounders (ss).
        """
        return self.variant(objective, params, episode)

    def _serial_first(self, objective: Objective, params: Params, episode: Episode) -> Params:
        phi = params
        for i in torch.randperm(len(episode.confounders), generator=episode.generator).tolist():
            phi = self.inner.step(phi, gradient(objective, phi, episode.confounders[i]))
        episode.notes["virtual_step"] = relative_length(params, phi)
        return self.inner.pseudo_gradient(params, phi, len(episode.confounders))

    def _parallel_first(self, objective: Objective, params: Params, episode: Episode) -> Params:
        phi = self._mean_step(objective, params, episode)
        phi = self.inner.step(phi, gradient(objective, phi, episode.query))
        return self.inner.pseudo_gradient(params, phi, 2)

    def _serial_second(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """(1/n) Σ_i (I − αH_i) ∇L(φ_i), H_i the Hessian on confounder i at θ."""
        n, alpha = len(episode.confounders), self.inner.lr
        total = {name: torch.zeros_like(value) for name, value in params.items()}
        curvature = virtual_step = 0.0
        for batch in episode.confounders:
            phi = self.inner.step(params, gradient(objective, params, batch))
            virtual_step += relative_length(params, phi) / n
            outer = gradient(objective, phi, episode.query)
            bent = self.hvp.product(objective, params, batch, outer)
            curvature += alpha * norm(bent) / max(norm(outer), 1e-12) / n
            for name in total:
                total[name] += (outer[name] - alpha * bent[name]) / n
        episode.notes |= {"curvature": curvature, "virtual_step": virtual_step}
        return total

    def _parallel_second(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """(I − αH̄) ∇L(φ̄), H̄ the mean Hessian over the confounders at θ."""
        n, alpha = len(episode.confounders), self.inner.lr
        outer = gradient(objective, self._mean_step(objective, params, episode), episode.query)
        bent = {name: torch.zeros_like(value) for name, value in params.items()}
        for batch in episode.confounders:
            for name, product in self.hvp.product(objective, params, batch, outer).items():
                bent[name] += product / n
        episode.notes["curvature"] = alpha * norm(bent) / max(norm(outer), 1e-12)
        return {name: value - alpha * bent[name] for name, value in outer.items()}

    def _mean_step(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """φ̄ of equation (5)."""
        n = len(episode.confounders)
        mean = {name: torch.zeros_like(value) for name, value in params.items()}
        for batch in episode.confounders:
            for name, slope in gradient(objective, params, batch).items():
                mean[name] += slope / n
        phi = self.inner.step(params, mean)
        episode.notes["virtual_step"] = relative_length(params, phi)
        return phi

    def state_dict(self) -> dict[str, Tensor]:
        return self.inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.inner.load_state_dict(state)


def relative_length(start: Params, end: Params) -> float:
    """‖φ − θ‖ / ‖θ‖, of a step from θ to φ."""
    return norm({name: end[name].detach() - value.detach() for name, value in start.items()}) / max(norm(start), 1e-12)


def dil_sf(inner_lr: float = 1e-4) -> DIL:
    """DIL, serial, first order, inner Adam with a lasting state: the published form (Li et al. 2023)."""
    return DIL("serial", 1, inner_lr, Adam)


def dil_pf(inner_lr: float = 1e-4) -> DIL:
    """DIL, parallel, first order, inner Adam with a lasting state (Li et al. 2023)."""
    return DIL("parallel", 1, inner_lr, Adam)


def dil_ss(inner_lr: float = 1e-4, hvp: Hvp = "exact") -> DIL:
    """DIL, serial, second order, the gradient of equation (4) through inner SGD (Li et al. 2023)."""
    return DIL("serial", 2, inner_lr, SGD, hvp)


def dil_ps(inner_lr: float = 1e-4, hvp: Hvp = "exact") -> DIL:
    """DIL, parallel, second order, the gradient of equation (5) through inner SGD (Li et al. 2023)."""
    return DIL("parallel", 2, inner_lr, SGD, hvp)
