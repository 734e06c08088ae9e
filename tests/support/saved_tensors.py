"""How much memory the graphs of a computation hold at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def peak_of(compute: Callable[[], object]) -> int:
    """The most bytes that autograd had saved at once during a computation."""
    live = _Live()
    with torch.autograd.graph.saved_tensors_hooks(live.pack, live.unpack):
        compute()
    return live.peak


class _Live:
    """Counts the bytes that autograd has saved and not yet let go."""

    def __init__(self) -> None:
        self.bytes = self.peak = 0

    def pack(self, tensor: Tensor) -> tuple[_Live, Tensor]:
        holder = _Saved(self, tensor)
        return holder  # type: ignore[return-value]

    @staticmethod
    def unpack(holder: _Saved) -> Tensor:
        return holder.tensor


class _Saved:
    def __init__(self, live: _Live, tensor: Tensor) -> None:
        self.live, self.tensor, self.size = live, tensor, tensor.numel() * tensor.element_size()
        live.bytes += self.size
        live.peak = max(live.peak, live.bytes)

    def __del__(self) -> None:
        self.live.bytes -= self.size
