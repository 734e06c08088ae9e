"""Diagnoses that may explain why one method generalises and another does not.

A diagnosis does not change the training: it evaluates a copy of the objective, so that nothing is counted, and leaves
parameters, method and the state of the method as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jvp

from ..methods import Batch, Episode, Objective, Params
from ..methods.dil import dealt
from ..methods.gradients import finite_difference_product, gradient, loss_and_gradient
from ..methods.params import accumulate, inner_product, length, norm, relative_distance, subtract, zeros_like

IMAGES = 4
"""Images of each confounder's batch over which the net bias is averaged."""


@dataclass(frozen=True)
class Diagnosis:
    """The diagnosis of a network at θ on one episode, in plain numbers that can be written as JSON.

    Attributes:
        gradient_cosine: mean over pairs of confounders of cos(∇L_i, ∇L_j), in [−1, 1]: 1 where all gradients agree,
            below 0 where a step that helps one confounder harms another. None where fewer than two confounders have a
            gradient above zero.
        losses: the loss L by the name of the confounder; by its position, from 0, where it has no name.
        distance: ‖θ − θ_0‖ / ‖θ_0‖, the relative distance from the start of training θ_0.
        path: Σ_t ‖θ_{t+1} − θ_t‖ / ‖θ_0‖ over all outer steps, the relative length of the way; `distance` would be as
            long if the way were straight.
        gradient_curvature: the value of `gradient_curvature` on a mixture of the confounders' images; None where its
            gradient is zero.
        net_biases: the value of `net_bias` by the name of the confounder, of held-out ones too. None where a layer has
            no forward-mode derivative.
    """

    gradient_cosine: float | None
    losses: dict[str, float]
    distance: float
    path: float
    gradient_curvature: float | None
    net_biases: dict[str, float] | None


def diagnose(
    objective: Objective,
    params: Params,
    start: Params,
    episode: Episode,
    path: float = 0.0,
    held_out: Sequence[Batch] = (),
) -> Diagnosis:
    """Diagnose the network at `params` under the n confounders of an episode.

    Costs n + 3 gradient evaluations, one a confounder and three for the curvature, and the net bias of each batch,
    about a third of an evaluation in batches of 8: 8.7 evaluations for n = 4 and one held-out level. `objective.tally`
    counts none of them. The query is not drawn, nothing random is drawn, and memory grows with n by the images alone.

    Args:
        objective: the loss as a function of the parameters.
        params: the parameters θ.
        start: the parameters θ_0 from which training started.
        episode: a batch under every confounder.
        path: Σ_t ‖θ_{t+1} − θ_t‖, the length of the way from θ_0 to θ, as `PathLength` adds it up.
        held_out: batches under distortions that are not trained on, of which only the net bias is measured.

    Raises:
        KeyError: `start` lacks one of `params`.
    """
    uncounted = objective.exact().uncounted()
    names = [batch.name or str(i) for i, batch in enumerate(episode.confounders)]
    losses = {}
    directions = zeros_like(params)  # Σ_i ∇L_i / ‖∇L_i‖
    n = 0
    for name, batch in zip(names, episode.confounders, strict=True):
        loss, slope = loss_and_gradient(uncounted, params, batch)
        losses[name] = float(loss)
        if steepness := norm(slope):
            n += 1
            accumulate(directions, slope, divisor=steepness)
    try:
        batches = [*zip(names, episode.confounders, strict=True), *((batch.name, batch) for batch in held_out)]
        biases = {name: net_bias(uncounted, params, batch) for name, batch in batches}
    except RuntimeError:  # an autograd function of the network's own that is differentiable backwards alone
        biases = None
    # ‖Σ_i u_i‖² of unit vectors u_i is n and the cosine of every ordered pair.
    cosine = (norm(directions) ** 2 - n) / (n * (n - 1)) if n > 1 else None
    mixed = next(dealt(list(episode.confounders), objective.shares))
    origin = {name: start[name] for name in params}
    return Diagnosis(
        gradient_cosine=cosine,
        losses=losses,
        distance=float(relative_distance(origin, params)),
        path=path / max(norm(origin), 1e-12),
        gradient_curvature=gradient_curvature(uncounted, params, mixed),
        net_biases=biases,
    )


def gradient_curvature(objective: Objective, params: Params, batch: Batch) -> float | None:
    """The curvature of the loss along its gradient, gᵀHg / ‖g‖² with g = ∇L and H = ∇²L at θ on one batch.

    Along −g plain descent at a rate above 2 / curvature climbs. H g is a central difference of gradients over a segment
    of 10⁻⁴ ‖θ‖ to either side, so that kinks of the loss and of the network within that segment count as curvature, as
    a step feels them, and networks that cannot be differentiated twice are measured like others.

    Costs three gradient evaluations. None where the gradient is zero.
    """
    slope = gradient(objective, params, batch)
    steepness = float(inner_product(slope, slope))
    if steepness == 0:
        return None
    return float(inner_product(slope, finite_difference_product(objective, params, batch, slope))) / steepness


class PathLength:
    """The length of the way that parameters go, Σ_t ‖θ_{t+1} − θ_t‖, added up on their device, which nothing waits for.

    Args:
        params: the parameters where the way goes on.
        before: the length of the way up to there.
    """

    def __init__(self, params: Params, before: float) -> None:
        self._last = {name: value.detach().clone() for name, value in params.items()}
        device = next(iter(params.values())).device
        precise = torch.float32 if device.type == "mps" else torch.float64  # which MPS does not have
        self._length = torch.tensor(before, dtype=precise, device=device)

    def add(self, params: Params) -> None:
        """Go straight on to `params`."""
        self._length += length(subtract(params, self._last))
        for name, value in params.items():
            self._last[name].copy_(value.detach())

    def length(self) -> float:
        """The length so far, for which a GPU is waited for."""
        return float(self._length)


def net_bias(objective: Objective, params: Params, batch: Batch) -> float:
    """The relative net bias ‖b_y‖ / ‖f(y)‖, averaged over the first `IMAGES` distorted images y of a batch.

    Around y the network is affine to first order: f(y) = A_y y + b_y with A_y = J_f(y). b_y, the net bias, is the share
    of the output that does not scale with the input. Networks fail beyond the noise that they were trained on where b_y
    dominates; without additive constants b_y = 0 (Mohan, Kadkhodaie, Simoncelli, Fernandez-Granda: Robust and
    interpretable blind image denoising via bias-free convolutional neural networks, ICLR 2020). The paper divides by
    the residual y − f(y); here ‖f(y)‖ divides, which exists for networks that enlarge, too.

    Costs one forward pass that carries a derivative along y, counted as a forward pass, whatever the size of J_f.

    Raises:
        RuntimeError: a layer has no forward-mode derivative.
    """
    few = Batch(batch.distorted[:IMAGES], batch.clean[:IMAGES])

    def restore(images: Tensor) -> Tensor:
        return objective.restore(params, Batch(images, few.clean))

    # PyTorch warns here, the first time, of a deprecated function that PyTorch itself calls.
    with torch.no_grad(), warnings.catch_warnings(action="ignore", category=FutureWarning):
        restored, along = jvp(restore, (few.distorted,), (few.distorted,))[:2]
    bias, output = ((restored - along).flatten(1).norm(dim=1), restored.flatten(1).norm(dim=1))
    return float((bias / output.clamp_min(1e-12)).mean())
