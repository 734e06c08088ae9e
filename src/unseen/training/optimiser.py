"""The outer optimiser, which moves the weights by the method's gradient."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from .config import TrainingOptions


def outer_optimiser(config: TrainingOptions, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser that the options name, over the parameters that are trained."""
    # foreach and not fused: fused trusts that gradients lie in memory as parameters do
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, foreach=True
        )
    if config.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, foreach=True)
    return torch.optim.Adam(parameters, lr=config.lr, foreach=True)
