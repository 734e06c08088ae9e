"""Inference: moves a network to a device, and restores a batch, in float32 or in bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import UserError, one_line

TRIAL_SIDE = 64
"""Side in pixels of the image on which a network is tried in bfloat16."""


def on_device(network: nn.Module, device: str) -> nn.Module:
    """Move a network to a device, its weights channels last in memory, which is half again as fast on a CPU."""
    network = network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4:  # Module.to(memory_format=...) would fail for parameters of five dimensions
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


@torch.inference_mode()
def restore_batch(network: nn.Module, distorted: Tensor, device: str, bf16: bool = False, **settings: Any) -> Tensor:
    """Restore a batch.

    Args:
        network: the network, on `device`.
        distorted: float (B, 3, H, W) in [0, 1].
        device: the device by its name in PyTorch.
        bf16: whether weights and activations are bfloat16, by autocast. The input is not, so that a residual network
            adds its output to the exact image, in float32.
        **settings: what the network gets besides the images, as its `forward` names it.

    Returns:
        The output on the CPU, without gradients; float32 under `bf16`.
    """
    # No cache of the weights in bfloat16: it would be one for all threads.
    kind = torch.device(device).type
    settings = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in settings.items()}
    with torch.autocast(kind, torch.bfloat16, cache_enabled=False) if bf16 else nullcontext():
        restored: Tensor = network(distorted.to(device), **settings)
    return restored.cpu().float() if bf16 else restored.cpu()


@torch.inference_mode()
def noise_map_of(read: Callable[..., Tensor], images: Tensor, device: str, **settings: Tensor) -> Tensor:
    """The noise map of (B, 3, H, W), on the CPU, by a network's `noise_map`; for the rest see `restore_batch`."""
    return read(images.to(device), **{name: value.to(device) for name, value in settings.items()}).cpu()


def require_bf16(network: nn.Module, name: str, device: str) -> None:
    """Raise UserError, naming the model, where a network on `device` fails in bfloat16 on a small image."""
    try:
        restore_batch(network, torch.full((1, 3, TRIAL_SIDE, TRIAL_SIDE), 0.5), device, bf16=True)
    except Exception as error:  # other people's networks may raise anything
        reason = one_line(error)[-200:]
        raise UserError(f"precision: {name} fails in bfloat16: {reason}; give --precision fp32") from error
