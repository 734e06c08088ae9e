"""Real processes that exchange what torchrun lets processes exchange, without starting an interpreter each."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from support.forked import Forked
from unseen.training.distributed import Ranks, process_group


def in_processes(count: int, folder: Path, *works: Callable[[], Any]) -> list[list[Any]]:
    """What each function returns in each of `count` copies of this process, in the environment that torchrun gives.

    The functions are called one after the other; each may join a group of processes once.
    """
    ports = [free_port() for _ in works]

    def body(rank: int) -> int:
        of_torchrun = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count}
        os.environ.update({name: str(value) for name, value in of_torchrun.items()}, MASTER_ADDR="127.0.0.1")
        returned = []
        for port, work in zip(ports, works, strict=True):
            os.environ["MASTER_PORT"] = str(port)  # another port, or one process may still meet the former group
            returned.append(work())
        torch.save(returned, folder / f"{rank}.pt")
        return 0

    def one(rank: int) -> Forked:
        return Forked(folder / f"log-{rank}", lambda: body(rank))

    processes = [one(rank) for rank in range(count)]
    for process in processes:
        result = process.ended(120)
        assert result.code == 0, result.err
    by_process = [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(count)]
    return [list(of_work) for of_work in zip(*by_process, strict=True)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def with_ranks(work: Callable[[Ranks], Any]) -> Callable[[], Any]:
    """A function that joins the group of processes first."""

    def joined() -> Any:
        with process_group("cpu") as ranks:
            return work(ranks)

    return joined


@contextmanager
def numbers_sent() -> Iterator[list[int]]:
    """The number of elements of every tensor that is exchanged in the `with` body."""
    sent: list[int] = []
    real = dist.all_reduce

    def counted(tensor: Tensor, *options: Any, **more: Any) -> Any:
        sent.append(tensor.numel())
        return real(tensor, *options, **more)

    dist.all_reduce = counted
    try:
        yield sent
    finally:
        dist.all_reduce = real
