"""Gradient variances that are the same under every confounder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..core.shares import Shares
from .episode import Batch, Episode
from .gradients import derivative, mean_gradient, whole_derivative
from .method import Method, require_nonnegative, require_share
from .objective import Objective
from .params import Params
from .search_space import LogUniform, Uniform


class Fishr(Method):
    """Fishr: the gradients of single images vary by the same amount under every confounder (Rame et al. 2022).

    Rame, Dancette, Cord: Fishr: Invariant Gradient Variances for Out-of-Distribution Generalization, ICML 2022, with
    L_i the loss under confounder d_i, and n confounders:

        min_θ (1/n) Σ_i L_i + λ (1/n) Σ_i ‖v̂_i − (1/n) Σ_j v̂_j‖²

    v_i is the variance, weight by weight, of the gradients that the images of confounder i give, each by itself, to
    the weights ω of the network's last layer (the paper's classifier): v_i = Σ_b (g_b − ḡ)² / (B − 1), g_b = ∇_ω L_b.
    The paper takes v_i for the diagonal of the Hessian, by way of Fisher's information: where the v_i are equal, the
    landscapes of the loss are. Few images make v_i noisy, so that it is smoothed over the steps, v̂_i ← γ v̂_i + v_i,
    where only the newest term depends on θ.

    g_b is a function of θ, so that the penalty is differentiated twice; but only from the last layer's weights onwards
    to the loss. From the last layer back, the gradients of penalty and loss share one pass through the network. The
    passes through the last layer, one an image, are not counted as gradient evaluations: with them a step takes a tenth
    (`rrdb_small`) to 45 % (`plain`) more processor time than the loss alone.

    Departures: v_i has 1/(B − 1), as the paper writes it, where the paper's code has 1/B; smoothing begins when the
    penalty sets in, where the code begins at the first step; the outer Adam is not reset when the penalty sets in. Each
    process smooths the variances of its own batches.

    Args:
        penalty_weight: λ, at least zero. The default makes the penalty's slope a seventh of the loss's or more, under
            L1 on images in [0, 1] (`plain`, `rrdb_small`). (DomainBed has 1000, for cross-entropies.)
        ema: γ, in [0, 1); the default is DomainBed's. v̂ is a sum, as in DomainBed: a larger γ makes the penalty larger.
        anneal: the share of the budget, in [0, 1), that is spent before the penalty sets in, zero until then; by
            `episode.progress`. The default is DomainBed's, 1500 of 5000 steps.

    Raises:
        ValueError: for other values, for batches of one image, for a network whose last layer does not take images
            one by one, and for an episode of another number of confounders than the state's.
    """

    cost = "n"
    takes_whole_batches = True
    ranges: ClassVar = {"penalty_weight": LogUniform(1, 1e3), "ema": Uniform(0.9, 0.99)}

    def __init__(self, penalty_weight: float = 100.0, ema: float = 0.95, anneal: float = 0.3):
        require_nonnegative("Fishr", penalty_weight=penalty_weight)
        require_share("Fishr", ema=ema, anneal=anneal)
        self.penalty_weight = penalty_weight
        self.ema = ema
        self.anneal = anneal
        self.variances = torch.empty(0)  # v̂: a row for each confounder, a column for each weight of the last layer

    def check(self, objective: Objective, params: Params, batch: Batch) -> None:
        """Refuse a batch or network whose variance of gradients does not exist or cannot be differentiated.

        Raises:
            ValueError: for a batch of one image, and for a network whose last layer does not take images one by one.
            RuntimeError: where the last layer cannot be differentiated twice.
        """
        if len(batch) * objective.shares.world < 2:
            raise ValueError("Fishr: one image has no variance: needs batches of at least two")
        uncounted = objective.uncounted()
        derivative(lambda leaves: loss_and_variance(uncounted, leaves, batch)[1].sum(), params)

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The gradient of the objective above: n evaluations, in one graph, since the penalty needs all v_i at once."""
        if episode.progress < self.anneal:
            return mean_gradient(objective, params, episode.confounders)
        n = len(episode.confounders)
        if len(self.variances) not in (0, n):
            raise ValueError(f"Fishr: has {len(self.variances)} confounders' variances, not of {n}: keep to one set")

        def penalised(leaves: Params) -> Tensor:
            losses, variances = zip(
                *(loss_and_variance(objective, leaves, batch) for batch in episode.confounders), strict=True
            )
            smoothed = torch.stack(variances)
            if len(self.variances):
                smoothed = self.ema * self.variances + smoothed
            penalty = (smoothed - smoothed.mean(0)).square().sum(1).mean()
            self.variances = smoothed.detach()
            episode.notes["penalty"] = float(penalty.detach())
            return torch.stack(losses).mean() + self.penalty_weight * penalty

        return whole_derivative(objective, penalised, params)

    def state_dict(self) -> dict[str, Tensor]:
        """The smoothed variances v̂; nothing before the penalty has set in."""
        return {"variances": self.variances} if len(self.variances) else {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore v̂. Raises ValueError for the state of another method."""
        if set(state) - {"variances"}:
            raise ValueError(f"Fishr: keeps variances alone, but the state has {', '.join(sorted(state))}")
        self.variances = state.get("variances", torch.empty(0))


def loss_and_variance(objective: Objective, leaves: Params, batch: Batch) -> tuple[Tensor, Tensor]:
    """The loss of a batch, and the variances over its images of the gradients to the last layer's weights.

    The last layer is the layer with weights in `leaves` that runs last, which need not be the last registered one.

    Returns:
        L, a scalar, and the variances, one for each weight, of shape (weights,). Both can be differentiated.

    Raises:
        ValueError: the last layer does not take images one by one, or its output is changed in place.
    """
    latest: list[_LayerRun] = []
    holders = {name.rpartition(".")[0] for name in leaves}
    layers = [(name, layer) for name, layer in objective.network.named_modules() if name in holders]
    hooks = [layer.register_forward_hook(_keep(name, latest)) for name, layer in layers if not list(layer.children())]
    try:
        restored = objective.restore(leaves, batch)
    finally:
        for hook in hooks:
            hook.remove()
    run = latest[0]
    if not len(run.input) == len(run.output) == len(batch):
        raise ValueError(f"Fishr: {run.name}, the last layer, does not take the images one by one")
    if run.output._version != run.version:
        raise ValueError(f"Fishr: the output of {run.name}, the last layer, is changed in place")
    weights = {key.rpartition(".")[2]: value for key, value in leaves.items() if key.rpartition(".")[0] == run.name}
    images = [slice(b, b + 1) for b in range(len(batch))]
    losses = [objective.loss(restored[image], batch.clean[image]) for image in images]
    (slopes,) = torch.autograd.grad(torch.stack(losses).sum(), run.output, create_graph=True)
    gradients = []
    for image in images:
        output = functional_call(run.layer, weights, (run.input[image].to(restored.dtype),))
        slope = slopes[image].to(output.dtype)  # from bfloat16, if the objective multiplies in it
        by_weight = torch.autograd.grad(output, list(weights.values()), slope, create_graph=True)
        gradients.append(torch.cat([gradient.flatten() for gradient in by_weight]))
    return objective.judge(leaves, restored, batch), _variance(torch.stack(gradients), objective.shares)


def _variance(values: Tensor, shares: Shares) -> Tensor:
    """The variance of each column of values (images, weights), over the images of all shares."""
    if shares.world == 1:
        return values.var(0)
    n = len(values) * shares.world
    deviations = values - shares.pooled(values.mean(0))
    return shares.pooled(deviations.square().mean(0)) * (n / (n - 1))


class _LayerRun(NamedTuple):
    """One call of a layer; `version` is the output's version right after the call, another one means a later change."""

    name: str
    layer: nn.Module
    input: Tensor
    output: Tensor
    version: int


def _keep(name: str, latest: list[_LayerRun]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    """A forward hook that makes the call of the hooked layer the only element of `latest`."""

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        latest[:] = [_LayerRun(name, layer, inputs[0], output, output._version)]

    return hook
