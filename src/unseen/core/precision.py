"""Precision of a network's arithmetic, and which devices multiply in bfloat16 by themselves."""

from __future__ import annotations

from typing import Literal, TypeAlias

Precision: TypeAlias = Literal["fp32", "bf16", "auto"]
"""Number format of a network's weights and activations; `auto` for bf16 only where it is fast and known to lose
nothing."""

CPU_FEATURES = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")
"""Instructions that multiply bfloat16, by their names in `torch.cpu.get_capabilities`: of x86-64, then of ARM."""


def native_bf16(device: str) -> bool:
    """Whether a device multiplies bfloat16 by instructions of its own; others imitate it, slower than float32.

    Args:
        device: the device by its name in PyTorch, not `auto`.

    Returns:
        Whether it does; false where PyTorch cannot tell, as older versions on processors.
    """
    import torch

    if device.startswith("cuda"):
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(feature, False) for feature in CPU_FEATURES)
