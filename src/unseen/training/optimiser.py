"""The outer optimiser, which moves the weights by the method's gradient."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from .config import TrainingOptions


def outer_optimiser(config: TrainingOptions, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser that the options name, over the parameters that are trained.

    Its kernels go through memory as it lies, so that gradients and moments have to lie as their parameters do.
    """
    parameters = list(parameters)
    fused = all(p.is_contiguous() or p.is_contiguous(memory_format=torch.channels_last) for p in parameters)
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=fused
        )
    if config.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=fused)
    return torch.optim.Adam(parameters, lr=config.lr, fused=fused)
