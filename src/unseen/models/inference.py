"""Inference: moves a network to a device, and restores a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def on_device(network: nn.Module, device: str) -> nn.Module:
    """Move a network to a device, its weights channels last in memory, which is half again as fast on a CPU."""
    network = network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4:  # Module.to(memory_format=...) would fail for parameters of five dimensions
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


@torch.inference_mode()
def restore_batch(network: nn.Module, distorted: Tensor, device: str) -> Tensor:
    """Restore a batch, float (B, 3, H, W) in [0, 1]: the output on the CPU, without gradients."""
    restored: Tensor = network(distorted.to(device))
    return restored.cpu()
