"""How much memory a training takes at most, as far as the system tells."""

from __future__ import annotations

import ctypes
import gc
import re
from contextlib import suppress
from pathlib import Path

import torch

MIB = 2**20


class Memory:
    """Measures from when it is made: on a GPU what is allocated there, else what the process takes beyond what it held.

    The second is known on Linux alone. What earlier work in this process left behind is given back first, so that
    one training after another is measured as if it were the first.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        gc.collect()  # a finished training is held by cycles: its photographs would be counted to the next one
        with suppress(OSError, AttributeError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)  # glibc keeps what is freed
        self.before = _status("VmRSS")
        self.restart()

    def restart(self) -> None:
        """Forget the peak, not what was there before."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")  # resets the largest resident size

    def peak(self) -> float:
        """MiB since the start, at least 0; 0 where the system does not tell."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / MIB
        return max(0.0, _status("VmHWM") - self.before)


def _status(name: str) -> float:
    """A line of the process's status, in MiB; 0 where there is none."""
    with suppress(OSError):
        found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0
