"""Several processes that train one network, started by torchrun: what they exchange, and how.

There is no wrapper around the network: gradients come from `torch.autograd.grad`, which does not run the hooks of
DistributedDataParallel, and a virtual update needs the gradient of the whole batch in the middle of a step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from ..core.errors import UserError, one_line
from ..core.shares import Shares
from ..methods import Params


class StepReport(NamedTuple):
    """What a process has to say of a step; of several processes, the mean of what they say, which is a tensor.

    Attributes:
        stop: whether the process was asked to stop, 0 or 1.
        seconds: the time of the step.
        waiting: the time within `seconds` that went into drawing and distorting images.
        loss: the sum of the losses.
    """

    stop: float | Tensor
    seconds: float | Tensor
    waiting: float | Tensor
    loss: float | Tensor


class Ranks(Shares):
    """This process among all processes that train one network."""

    def mean(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The mean of each tensor over all processes, in one exchange; the same bits in every process."""
        if self.world == 1:
            return list(tensors)
        bucket = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        self._reduce(bucket)
        parts = torch.split(bucket.div_(self.world), [tensor.numel() for tensor in tensors])
        return [torch.empty_like(t).copy_(part.view_as(t)) for t, part in zip(tensors, parts, strict=True)]

    def gather(self, values: Tensor) -> Tensor:
        """The rows of all processes, in their order; every process has as many."""
        if self.world == 1:
            return values
        values = values.contiguous()
        rows = [torch.empty_like(values) for _ in range(self.world)]
        with self._answering():
            dist.all_gather(rows, values)
        return torch.cat(rows)

    def agree(self, gradient: Params, report: StepReport, *, exact: bool) -> tuple[Params, StepReport]:
        """Bring a step together: the mean of the reports, and of the gradients where those are of each process alone.

        Both go in one exchange.

        Args:
            gradient: the method's gradient.
            report: what this process has to say of the step.
            exact: whether the gradient is that of all processes already.
        """
        if self.world == 1:
            return gradient, report
        names = [] if exact else list(gradient)
        like = next(iter(gradient.values()))
        numbers = torch.stack([torch.as_tensor(value).to(like) for value in report])
        *means, numbers = self.mean([*(gradient[name] for name in names), numbers])
        return {**gradient, **dict(zip(names, means, strict=True))}, StepReport(*numbers)

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process, so that all processes stop together."""
        if self.world == 1:
            return flag
        total = torch.tensor(float(flag))
        self._reduce(total)
        return bool(total > 0)

    def states(self, state: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """In the first process the states of all processes, on the CPU, in their order; in the others that state."""
        own = {name: value.cpu() for name, value in state.items()}
        if self.world == 1:
            return [own]
        gathered: list[dict[str, Tensor]] = [own] * self.world
        with self._answering():
            dist.gather_object(own, gathered if self.rank == 0 else None)
        return gathered

    def _reduce(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes."""
        with self._answering():
            dist.all_reduce(tensor)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Say in one line that another process has ended, where an exchange fails."""
        try:
            yield
        except RuntimeError as error:
            reason = f"the others do not answer, one has probably ended: {one_line(error)}"
            raise UserError(f"process {self.rank} of {self.world}: {reason}") from error


PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: the first one validates alone. The end of a process is seen at once."""

ONE = Ranks()
"""The only process."""


@contextmanager
def process_group(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started together with this process; without torchrun, return this one alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ONE
        return
    backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    try:
        dist.init_process_group(backend, timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        advice = "start the processes with torchrun, or unset WORLD_SIZE to train with one"
        raise UserError(f"WORLD_SIZE: {world} processes cannot meet: {one_line(error):.200}; {advice}") from error
    try:
        yield Ranks(dist.get_rank(), world)
    finally:
        dist.destroy_process_group()
