"""What is said where the memory does not suffice for a step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import UserError
from ..methods import Method
from .config import TrainConfig

ALLOCATION_FAILED = re.compile(r"out of memory|not enough memory|can(?:'t|not) allocate memory|ALLOC_FAILED")
"""What the messages of PyTorch's allocators and of the libraries beneath it have in common, on any device."""


@contextmanager
def memory_advice(config: TrainConfig, method: Method) -> Iterator[None]:
    """Say in one line what takes less memory, if the `with` body runs out of memory; other errors pass.

    Args:
        config: the options of the training.
        method: the training method.

    Raises:
        UserError: there was too little memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or ALLOCATION_FAILED.search(str(error))):
            raise
        remedies = "".join(f", {remedy}" for remedy in remedies_for(config, method))
        patches = f"{config.batch} patches of {config.patch}×{config.patch}"
        raise UserError(
            f"batch: out of memory on {config.device} with {patches}; what was saved before is kept. "
            f"Take another --out and less: a smaller --batch or --patch{remedies}"
        ) from error


def remedies_for(config: TrainConfig, method: Method) -> list[str]:
    """The options that save memory, and that the training does not yet have, as they are given."""
    divisors = (n for n in range(config.accumulate + 1, config.batch + 1) if config.batch % n == 0)
    pieces = None if method.takes_whole_batches else next(divisors, None)
    accumulate = [f"--accumulate {pieces}"] if pieces else []
    return accumulate + ["--precision bf16"] * (config.precision != "bf16")
