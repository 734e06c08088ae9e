"""Distortion Invariant representation Learning (DIL), in all four variants of the paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from ..core.shares import Shares
from .episode import Batch, Episode
from .gradients import gradient, mean_gradient
from .inner_optimiser import SGD, Adam, FreshAdam, InnerOptimiser
from .method import Method, require_count, require_positive
from .objective import Objective
from .params import Params, accumulate, relative_distance, zeros_like
from .search_space import LogUniform
from .second_order import Hvp, hessian_product, through_step


class DIL(Method):
    """DIL, Distortion Invariant representation Learning, in one of its four variants (Li et al., CVPR 2023).

    Li, Li, Jin, Lan, Chen: Learning Distortion Invariant Representation for Image Restoration from A Causality
    Perspective. The intervention of confounder d_i is a virtual update on its images alone, equation (3):

        φ_i = θ − α ∇_θ L(f_θ(I_{d_i}), I_c)

    and θ is trained so that the virtually updated network restores the mixture I_d (the query):

        serial,   (4):  min_θ E (1/n) Σ_i L(f_{φ_i}(I_d), I_c)
        parallel, (5):  min_θ E L(f_φ̄(I_d), I_c),   φ̄ = θ − α ∇_θ (1/n) Σ_i L(f_θ(I_{d_i}), I_c)

    Order 2 is the gradient of these objectives, through Hessian-vector products one confounder at a time, so that
    memory does not grow with n. Order 1 follows Reptile: virtual steps are taken one after another, and the way from θ
    to their end is the gradient; serial, one step on each d_i in random order (the query is not used); parallel, the
    step to φ̄ and one more on the query.

    Departures: (4) is a mean, not a sum, so that the learning rate does not depend on n.

    Args:
        sampling: serial or parallel interventions.
        order: 1 or 2.
        inner_lr: α, the virtual learning rate, above zero.
        inner: the optimiser that takes the virtual steps, SGD or Adam (of `unseen.methods`).
        hvp: how order 2 computes its Hessian-vector products: exactly, or by finite differences of gradients. The
            latter serve networks that cannot be differentiated twice, if network and loss are smooth.
        inner_steps: the number of virtual steps on the batch of each confounder, at most 256; above 1 only serially, of
            order 1.

    Raises:
        ValueError: for other values, and for order 2 through anything but SGD.
    """

    capturable = True
    ranges: ClassVar = {"inner_lr": LogUniform(1e-5, 1e-2)}

    def __init__(
        self,
        sampling: Literal["serial", "parallel"] = "serial",
        order: Literal[1, 2] = 1,
        inner_lr: float = 1e-4,
        inner: Callable[[float], InnerOptimiser] = SGD,
        hvp: Hvp = "exact",
        inner_steps: int = 1,
    ):
        variants = {
            ("serial", 1): self._serial_first,
            ("parallel", 1): self._parallel_first,
            ("serial", 2): self._serial_second,
            ("parallel", 2): self._parallel_second,
        }
        if (sampling, order) not in variants:
            raise ValueError(f"DIL: sampling {sampling!r}, order {order!r}: serial or parallel, 1 or 2")
        require_positive("DIL", inner_lr=inner_lr)
        require_count("DIL", inner_steps=inner_steps)
        if inner_steps > 1 and (sampling, order) != ("serial", 1):
            raise ValueError(f"DIL: inner_steps {inner_steps}: above 1 only serially and of order 1")
        self.inner = inner(inner_lr)
        self.inner_steps = inner_steps
        if order == 2 and not isinstance(self.inner, SGD):
            raise ValueError("DIL: order 2 differentiates through plain SGD steps only")
        self.hvp = hessian_product("DIL", hvp, order)
        self.capturable &= hvp == "exact"  # a finite difference chooses its step by what it reads
        self.order = order
        self.variant = variants[sampling, order]

    def check(self, objective: Objective, params: Params, batch: Batch) -> None:
        """Raise ValueError where order 2 would be wrong: see `unseen.methods.second_order`."""
        if self.order == 2:
            self.hvp.check(objective, params, batch)

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The meta-gradient: n gradient evaluations for each of `inner_steps` (sf), n + 1 (pf), 4n (ss), 4n + 1 (ps).

        Writes two scalars to `episode.notes`: `virtual_step`, the length of the intervention ‖φ − θ‖ / ‖θ‖, with φ the
        point after all n steps (sf), φ̄ (pf, ps), or φ_i in the mean over the confounders (ss); and, for order 2,
        `curvature`, the weight of the Hessian α‖Hv‖ / ‖v‖ with v = ∇L(φ).
        """
        return self.variant(objective, params, episode)

    def _serial_first(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The pseudo-gradient of `inner_steps` inner steps on each confounder, in random order."""
        phi = params
        for batch in self._walk(objective, episode):
            for _ in range(self.inner_steps):
                phi = self.inner.step(phi, gradient(objective, phi, batch))
        episode.notes["virtual_step"] = relative_distance(params, phi)
        return self.inner.pseudo_gradient(params, phi, len(episode.confounders) * self.inner_steps)

    def _walk(self, objective: Objective, episode: Episode) -> Iterator[Batch]:
        """The batches of the serial steps of order 1, one after another: an intervention each."""
        return episode.in_random_order()

    def _parallel_first(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The pseudo-gradient of the step to φ̄ and of one more inner step on the query."""
        phi = self._mean_step(objective, params, episode)
        phi = self.inner.step(phi, gradient(objective, phi, episode.query))
        return self.inner.pseudo_gradient(params, phi, 2)

    def _serial_second(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """(1/n) Σ_i (I − αH_i) ∇L(φ_i), H_i the Hessian on confounder i at θ."""
        n, total = len(episode.confounders), zeros_like(params)
        curvature: float | Tensor = 0.0
        virtual_step: float | Tensor = 0.0
        for batch in episode.confounders:
            before, hessian = self.hvp.expand(objective, params, batch)
            phi = self.inner.step(params, before)
            virtual_step = virtual_step + relative_distance(params, phi) / n
            slope = gradient(objective, phi, episode.query)
            term, ratio = through_step(slope, hessian(slope), self.inner.lr)
            curvature = curvature + ratio / n
            accumulate(total, term, divisor=n)
        episode.notes |= {"curvature": curvature, "virtual_step": virtual_step}
        return total

    def _parallel_second(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """(I − αH̄) ∇L(φ̄), H̄ the mean Hessian over the confounders at θ."""
        slope = gradient(objective, self._mean_step(objective, params, episode), episode.query)
        product = self.hvp.mean(objective, params, episode.confounders, slope)
        result, episode.notes["curvature"] = through_step(slope, product, self.inner.lr)
        return result

    def _mean_step(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """φ̄ of equation (5)."""
        phi = self.inner.step(params, mean_gradient(objective, params, episode.confounders))
        episode.notes["virtual_step"] = relative_distance(params, phi)
        return phi

    def state_dict(self) -> dict[str, Tensor]:
        """The state of the inner optimiser."""
        return self.inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state of the inner optimiser. Raises ValueError for the state of another optimiser."""
        self.inner.load_state_dict(state)


Inner: TypeAlias = Literal["adam", "adam_fresh", "sgd"]

INNER_OPTIMISERS: Mapping[Inner, Callable[[float], InnerOptimiser]] = {
    "adam": Adam,
    "adam_fresh": FreshAdam,
    "sgd": SGD,
}
"""The inner optimisers of `dil_sf` by name."""


class DILsf(DIL):
    """DIL, serial, first order, inner Adam with a lasting state: the published form (Li et al. 2023).

    Args:
        inner_lr: α, the virtual learning rate, above zero.
        inner: the optimiser that takes the virtual steps: `adam` keeps its second moments from iteration to iteration,
            `adam_fresh` begins each iteration anew, `sgd` is plain Reptile.
        inner_steps: the number of virtual steps on the batch of each confounder, one gradient evaluation each; at
            most 256.

    Raises:
        ValueError: for other values.
    """

    cost = "n"

    def __init__(self, inner_lr: float = 1e-4, inner: Inner = "adam", inner_steps: int = 1):
        if inner not in INNER_OPTIMISERS:
            raise ValueError(f"DIL: inner {inner!r} is none of {', '.join(INNER_OPTIMISERS)}")
        super().__init__("serial", 1, inner_lr, INNER_OPTIMISERS[inner], inner_steps=inner_steps)


class DILControl(DILsf):
    """The control of `dil_sf`: its inner steps, optimisers and images without its idea, every step on a mixture.

    The batches of the n confounders are dealt anew into n batches, so that none of them is an intervention: image j of
    batch k is image j of the confounder at place (k + j) mod n of the random order. Each image takes part once, as in
    `dil_sf`, and where the content is counterfactual, every batch has that content. What `dil_sf` gains over this
    control comes from interventions, and from nothing else.

    A batch of fewer images than confounders is a mixture of as many of them as it has images.

    Args:
        inner_lr: as of `DILsf`.
        inner: as of `DILsf`.
        inner_steps: as of `DILsf`.
    """

    def _walk(self, objective: Objective, episode: Episode) -> Iterator[Batch]:
        """Mixtures of equal shares of every confounder, one after another."""
        return dealt(list(episode.in_random_order()), objective.shares)


def dealt(batches: Sequence[Batch], shares: Shares) -> Iterator[Batch]:
    """Deal the images of n batches of equal size into n others, each with equal shares of all, as `DILControl` says.

    Args:
        batches: the shares of the batches that are here.
        shares: the share of each batch that is here, by which its images are counted as in the whole batch.
    """
    n, size = len(batches), len(batches[0])
    first = shares.rank * size
    for k in range(n):
        sources = [batches[(k + first + j) % n] for j in range(size)]
        distorted = torch.stack([source.distorted[j] for j, source in enumerate(sources)])
        yield Batch(distorted, torch.stack([source.clean[j] for j, source in enumerate(sources)]))


class DILpf(DIL):
    """DIL, parallel, first order, inner Adam with a lasting state (Li et al. 2023).

    Args:
        inner_lr: α, the virtual learning rate, above zero.
    """

    cost = "n + 1"

    def __init__(self, inner_lr: float = 1e-4):
        super().__init__("parallel", 1, inner_lr, Adam)


class DILss(DIL):
    """DIL, serial, second order, the gradient of equation (4) through inner SGD (Li et al. 2023).

    Args:
        inner_lr: α, the virtual learning rate, above zero.
        hvp: how Hessian-vector products are computed, exactly or by finite differences.
    """

    cost = "4n"

    def __init__(self, inner_lr: float = 1e-4, hvp: Hvp = "exact"):
        super().__init__("serial", 2, inner_lr, SGD, hvp)


class DILps(DIL):
    """DIL, parallel, second order, the gradient of equation (5) through inner SGD (Li et al. 2023).

    Args:
        inner_lr: α, the virtual learning rate, above zero.
        hvp: how Hessian-vector products are computed, exactly or by finite differences.
    """

    cost = "4n + 1"

    def __init__(self, inner_lr: float = 1e-4, hvp: Hvp = "exact"):
        super().__init__("parallel", 2, inner_lr, SGD, hvp)
