"""How much memory a training takes at most, as far as the system tells."""

from __future__ import annotations

import re
from pathlib import Path

import torch

MIB = 2**20


def forget_peak(device: torch.device) -> None:
    """Measure from here on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: resets the largest resident size
    except OSError:
        return


def peak_memory(device: torch.device) -> float:
    """MiB: allocated on a GPU, else resident of the whole process, interpreter and libraries too; 0 if not told."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0
