"""Several processes that train one network, started by torchrun: their gradients are averaged.

There is no wrapper around the network: gradients come from `torch.autograd.grad`, which does not run the hooks of
DistributedDataParallel, so that the gradients are averaged here, explicitly.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from ..core.errors import UserError, one_line
from ..methods import Params


@dataclass(frozen=True)
class Ranks:
    """This process among all processes that train one network.

    Attributes:
        rank: the number of this process, from 0.
        world: the number of processes.
    """

    rank: int = 0
    world: int = 1

    def average(self, gradients: Params) -> Params:
        """The mean of the gradients over all processes, in one exchange; the same bits in every process."""
        if self.world == 1:
            return gradients
        flat = torch.cat([value.reshape(-1) for value in gradients.values()])
        self._reduce(flat)
        means = torch.split(flat / self.world, [value.numel() for value in gradients.values()])
        return {name: mean.view_as(gradients[name]) for name, mean in zip(gradients, means, strict=True)}

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process, so that all processes stop together."""
        if self.world == 1:
            return flag
        total = torch.tensor(float(flag), device="cuda" if dist.get_backend() == "nccl" else "cpu")
        self._reduce(total)
        return bool(total > 0)

    def min(self, value: int) -> int:
        """The smallest `value` of all processes."""
        if self.world == 1:
            return value
        least = torch.tensor(value, device="cuda" if dist.get_backend() == "nccl" else "cpu")
        self._reduce(least, dist.ReduceOp.MIN)
        return int(least)

    def max(self, value: float) -> float:
        """The largest `value` of all processes."""
        if self.world == 1:
            return value
        most = torch.tensor(value, dtype=torch.float64, device="cuda" if dist.get_backend() == "nccl" else "cpu")
        self._reduce(most, dist.ReduceOp.MAX)
        return float(most)

    def wait(self) -> None:
        """Wait until all processes have come here."""
        self.any(False)

    def _reduce(self, tensor: torch.Tensor, operation: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> None:
        """Replace a tensor by its sum, or another reduction, over all processes."""
        try:
            dist.all_reduce(tensor, operation)
        except RuntimeError as error:
            reason = f"the others do not answer, one has probably ended: {one_line(error)}"
            raise UserError(f"process {self.rank} of {self.world}: {reason}") from error


@contextmanager
def process_group(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started together with this process; without torchrun, return this one alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Ranks(dist.get_rank(), world)
    finally:
        dist.destroy_process_group()
