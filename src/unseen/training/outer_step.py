"""The outer step: the weights move by the method's gradient, at the rate of the schedule."""

from __future__ import annotations

import math

from torch import Tensor

from ..methods import Params
from ..methods.params import laid_out_as, shortened
from .run import TrainingRun


def take_step(run: TrainingRun, gradient: Params, lr: float) -> Tensor | int:
    """Take one step of the outer optimiser at learning rate `lr`, and return whether the gradient was clipped."""
    clipped: Tensor | int = 0
    if run.config.clip:
        gradient, clipped = shortened(gradient, run.config.clip)
    if run.average:
        run.average.add(run.parameters)
    for name, parameter in run.parameters.items():
        parameter.grad = laid_out_as(parameter, gradient[name])
    for group in run.outer.param_groups:
        group["lr"] = lr
    run.outer.step()
    return clipped


def lr_factor(schedule: str, progress: float, warmup: float = 0.0) -> float:
    """The share of the learning rate when the share `progress`, in [0, 1], of the budget is spent.

    The share rises evenly from 0 to 1 while the share `warmup` of the budget is spent; the schedule has the rest.
    """
    if progress < warmup:
        return progress / warmup
    progress = (progress - warmup) / (1 - warmup)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 0.5 if schedule == "published" and progress >= 2 / 3 else 1.0
