"""A double of a CUDA graph on the CPU: operations are recorded, and replayed into the tensors that they made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
"""Operations that wait for a tensor's value, which a graph cannot hold."""


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A recording of operations. As with a graph, Python runs once, and tensors keep their places in memory."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any], Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and keep it. Raises RuntimeError for one that reads a value."""
        if func in READS:
            raise RuntimeError(f"{func} reads a tensor's value, which a graph cannot hold")
        result = func(*args, **(kwargs or {}))
        self.steps.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        """Run all operations once more, each result written where the recorded one lies."""
        with torch.no_grad():
            for func, args, kwargs, result in self.steps:
                old = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
                inputs = {leaf.data_ptr() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
                again = [leaf for leaf in tree_leaves(func(*args, **kwargs)) if isinstance(leaf, Tensor)]
                for recorded, new in zip(old, again, strict=True):
                    if recorded.data_ptr() not in inputs and recorded.data_ptr() != new.data_ptr():
                        recorded.copy_(new)


def tape(work: Callable[[], None]) -> Callable[[], None]:
    """Record a function on a tape, and return its replay: in place of `engine.cuda_graph`."""
    work()
    recording = Tape()
    with recording:
        work()
    return recording.replay
