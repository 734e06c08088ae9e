"""Peak memory of a training run, as far as the operating system measures it."""

from __future__ import annotations

import ctypes
import gc
import re
from contextlib import suppress
from pathlib import Path

import torch

MIB = 2**20


class Memory:
    """Measurement of the peak memory, from the construction on.

    On a GPU, the peak is the memory that torch allocates there. On a CPU, it is the resident size of the process beyond
    its size at the start, which only Linux measures; pages of mapped files, as those of a pack, do not count, since the
    system gives them up where memory is short. Unused memory of earlier work in this process is freed first, so
    that a later training run is measured as if it were the first.

    Args:
        device: the device of the training run.
        collect: whether to look for unused objects first, which takes a tenth of a second.
    """

    def __init__(self, device: torch.device, *, collect: bool = True) -> None:
        self.device = device
        if collect:
            gc.collect()  # cycles keep a finished training alive, whose photographs would count
        with suppress(OSError, AttributeError, TypeError):
            ctypes.CDLL(None).malloc_trim(0)  # glibc keeps freed memory
        self.before, self.files_before = _status("VmRSS"), _status("RssFile")
        self.restart()

    def restart(self) -> None:
        """Forget the peak; the size at the start stays the same."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")  # resets the largest resident size

    def peak(self) -> float:
        """Return the peak in MiB beyond the size at the start, at least 0; 0 if the system does not measure it."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / MIB
        files = max(0.0, _status("RssFile") - self.files_before)
        return max(0.0, _status("VmHWM") - self.before - files)


def _status(name: str) -> float:
    """An entry of the process's status in MiB, such as `VmRSS`; 0 where the system has none."""
    with suppress(OSError):
        match = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(match[1]) / 1024 if match else 0.0
    return 0.0
