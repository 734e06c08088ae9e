"""Why one method generalises and another does not: what a network does under each confounder, and to which end.

None of it is training. It asks a copy of the objective, so that nothing is counted, and leaves the parameters, the
method and its state alone.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jvp

from ..methods import Batch, Episode, Objective, Params
from ..methods.dil import relative_length
from ..methods.gradients import loss_and_gradient, norm
from ..methods.objective import Tally

IMAGES = 4
"""How many images of each confounder's batch the net bias is averaged over."""


@dataclass(frozen=True)
class Diagnosis:
    """A network at θ, on one episode. Plain numbers: `dataclasses.asdict` of it can be written as JSON.

    gradient_cosine: mean over pairs of confounders of cos(∇L_i, ∇L_j), in [−1, 1]: 1 where all of them pull one way,
        below 0 where what helps one harms another. None where fewer than two have a gradient at all.
    losses: L by the confounder's name; by its place, from 0, where it has none.
    distance: ‖θ − θ_0‖ / ‖θ_0‖, how far training has come from its start.
    net_biases: see `net_bias`, by confounder likewise. None where a layer has no forward-mode derivative.
    """

    gradient_cosine: float | None
    losses: dict[str, float]
    distance: float
    net_biases: dict[str, float] | None


def diagnose(objective: Objective, params: Params, start: Params, episode: Episode) -> Diagnosis:
    """What the network at `params`, trained from `start`, does under the confounders of an episode.

    Costs n gradient evaluations, one a confounder, and the net bias for each, about a third of one in batches of 8:
    5.3 for n = 4. None is counted in `objective.tally`. The query is not asked for, nothing random is drawn, and
    memory does not grow with n.
    Raises KeyError where `start` lacks one of `params`.
    """
    aside = copy.copy(objective)
    aside.tally = Tally()
    names = [batch.name or str(i) for i, batch in enumerate(episode.confounders)]
    losses = {}
    directions = {name: torch.zeros_like(value) for name, value in params.items()}  # Σ_i ∇L_i / ‖∇L_i‖
    n = 0
    for name, batch in zip(names, episode.confounders, strict=True):
        loss, slope = loss_and_gradient(aside, params, batch)
        losses[name] = float(loss)
        if length := norm(slope):
            n += 1
            for key in directions:
                directions[key] += slope[key] / length
    try:
        biases = {name: net_bias(aside, params, batch) for name, batch in zip(names, episode.confounders, strict=True)}
    except RuntimeError:  # an autograd function of the network's own that is differentiable backwards alone
        biases = None
    # ‖Σ_i u_i‖² of unit vectors u_i is n and the cosine of every ordered pair.
    cosine = (norm(directions) ** 2 - n) / (n * (n - 1)) if n > 1 else None
    return Diagnosis(cosine, losses, relative_length({name: start[name] for name in params}, params), biases)


def net_bias(objective: Objective, params: Params, batch: Batch) -> float:
    """‖b_y‖ / ‖f(y)‖, averaged over the first `IMAGES` distorted images y of a batch.

    Around y the network is affine to first order: f(y) = A_y y + b_y with A_y = J_f(y), and b_y its net bias, what it
    adds whatever it is shown. Networks fail beyond the noise that they were trained on where b_y takes over; without
    additive constants b_y = 0 (Mohan, Kadkhodaie, Simoncelli, Fernandez-Granda: Robust and interpretable blind image
    denoising via bias-free convolutional neural networks, ICLR 2020). There it stands beside the residual y − f(y);
    here beside f(y), which is there at any scale of enlargement.

    One forward pass that carries a derivative along y, counted as a forward pass, whatever the size of J_f.
    Raises RuntimeError where a layer has no forward-mode derivative.
    """
    few = Batch(batch.distorted[:IMAGES], batch.clean[:IMAGES])

    def restore(images: Tensor) -> Tensor:
        return objective.restore(params, Batch(images, few.clean))

    # PyTorch itself uses what it warns of, the first time.
    with torch.no_grad(), warnings.catch_warnings(action="ignore", category=FutureWarning):
        restored, along = jvp(restore, (few.distorted,), (few.distorted,))[:2]
    biases, wholes = (found.flatten(1).norm(dim=1) for found in (restored - along, restored))
    return float((biases / wholes.clamp_min(1e-12)).mean())
