"""Diagnoses that may explain why one method generalises and another does not.

A diagnosis does not change the training: it evaluates a copy of the objective, so that nothing is counted, and leaves
parameters, method and the state of the method as they are.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jvp

from ..methods import Batch, Episode, Objective, Params
from ..methods.gradients import loss_and_gradient
from ..methods.params import accumulate, norm, relative_distance, zeros_like

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
        net_biases: the value of `net_bias`, with the same keys as `losses`. None where a layer has no forward-mode
            derivative.
    """

    gradient_cosine: float | None
    losses: dict[str, float]
    distance: float
    net_biases: dict[str, float] | None


def diagnose(objective: Objective, params: Params, start: Params, episode: Episode) -> Diagnosis:
    """Diagnose the network at `params` under the n confounders of an episode.

    Costs n gradient evaluations, one a confounder, and the net bias of each, about a third of an evaluation in batches
    of 8: 5.3 evaluations for n = 4. `objective.tally` counts none of them. The query is not drawn, nothing random is
    drawn, and memory does not grow with n.

    Args:
        objective: the loss as a function of the parameters.
        params: the parameters θ.
        start: the parameters θ_0 from which training started.
        episode: a batch under every confounder.

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
        if length := norm(slope):
            n += 1
            accumulate(directions, slope, divisor=length)
    try:
        batches = zip(names, episode.confounders, strict=True)
        biases = {name: net_bias(uncounted, params, batch) for name, batch in batches}
    except RuntimeError:  # an autograd function of the network's own that is differentiable backwards alone
        biases = None
    # ‖Σ_i u_i‖² of unit vectors u_i is n and the cosine of every ordered pair.
    cosine = (norm(directions) ** 2 - n) / (n * (n - 1)) if n > 1 else None
    travelled = float(relative_distance({name: start[name] for name in params}, params))
    return Diagnosis(cosine, losses, travelled, biases)


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
