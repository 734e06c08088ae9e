"""Limits on the work that a file of weights asks for: its size bounds the network that is built for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registration
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from ..core.errors import UserError

LARGEST_HEADER = 2**25
"""Most bytes of the header of a safetensors file: half a million tensors, or the diagnoses of a long training."""

MOST_DIGITS = 4
"""Most digits of a whole number among the settings of a built-in network."""

SLACK_NAMES, SLACK_VALUES = 1000, 10_000_000
"""Tensors, and numbers in them, that a network may have beyond its weights: masks and tables of positions."""


def require_weights(path: Path, *, safetensors: bool) -> None:
    """Check the first bytes of a file of weights, before a library reads the rest.

    Args:
        path: the file.
        safetensors: whether the file will be read as safetensors, whatever its name.

    Raises:
        UserError: naming the file, where it is text, or its safetensors header is too large.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if text := _text(start):
        raise UserError(
            f"{path}: holds text, {text!r}, and no weights; was the file itself downloaded, and not a page?"
        )
    if safetensors and int.from_bytes(start[:8], "little") > LARGEST_HEADER:
        raise UserError(f"{path}: its header is larger than {LARGEST_HEADER >> 20} MiB, or damaged")


def _text(start: bytes) -> str:
    """The first words of a file that begins with text, such as a page of HTML or a pointer of Git LFS; else none."""
    shown = start.decode("utf-8", errors="ignore").split("\n")[0].strip()
    plain = all(byte >= 32 or byte in b"\t\n\r" for byte in start)
    return shown if plain and len(start) > 8 and start[:1] != b"{" and shown.isprintable() else ""


def require_small_settings(spec: str, field: str) -> None:
    """Check the whole numbers in a spec of a built-in network, which may stand for loops that make no tensor.

    Raises:
        UserError: naming the field, for a number of more digits than `MOST_DIGITS`.
    """
    number = re.search(rf"(?<![\d.])\d{{{MOST_DIGITS + 1},}}(?![\d.])", spec)
    if number:
        raise UserError(f"{field}: {spec!r:.100}: {number[0]:.20} is too large for a setting of a network")


class TooLargeError(ValueError):
    """Error for a network that has more weights than the file which it is built for."""


@contextmanager
def building_for(tensors: Mapping[str, Any]) -> Iterator[None]:
    """Refuse, while the network of a file is built, all that is far larger than the file's tensors.

    A tensor that could be large is planned without its numbers before it is made, so that a width of a million costs
    no memory; parameters and buffers are counted as they are registered, so that a million layers cost no time.

    Args:
        tensors: the tensors of the file by name.

    Raises:
        TooLargeError: within the block.
    """
    numbers = sum(prod(value.shape) for value in tensors.values() if isinstance(value, Tensor))
    limit = Limit(4 * len(tensors) + SLACK_NAMES, 4 * numbers + SLACK_VALUES)
    hooks = [
        registration.register_module_parameter_registration_hook(limit.count),
        registration.register_module_buffer_registration_hook(limit.count),
    ]
    try:
        with limit:
            yield
    finally:
        for hook in hooks:
            hook.remove()


class Limit(TorchFunctionMode):
    """Watches what a network is built of.

    Args:
        names: most parameters and buffers.
        values: most numbers in all of them, and in any tensor.
    """

    def __init__(self, names: int, values: int) -> None:
        super().__init__()
        self.names, self.values = names, values
        self.registered = self.numbers = 0
        self.thread = get_ident()

    def count(self, module: nn.Module, name: str, value: Tensor | None) -> None:
        """Count a parameter or a buffer. Raises TooLargeError where there are too many."""
        if get_ident() != self.thread:  # the hooks of PyTorch are called for every thread
            return
        self.registered += 1
        self.numbers += 0 if value is None else value.numel()
        if self.registered > self.names or self.numbers > self.values:
            raise TooLargeError("has far more weights than the file holds")

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if prod(map(_factor, tree_leaves((args, kwargs)))) > self.values:  # else no result can have so many numbers
            for planned in tree_leaves(_planned(function, args, kwargs)):
                if isinstance(planned, Tensor) and planned.numel() > self.values:
                    raise TooLargeError("makes a tensor that is far larger than the file")
        return function(*args, **kwargs)


def _factor(value: Any) -> float:
    """How many times more numbers an operation can make for an argument: by broadcasting, repeating, or as a size."""
    if isinstance(value, Tensor):
        return max(value.numel(), 1)
    return max(abs(value), 1) if isinstance(value, int | float) else 1


def _planned(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of an operation without its numbers; none where it depends on numbers, or makes no tensor."""
    try:
        if any(isinstance(value, Tensor) for value in tree_leaves((args, kwargs))):
            return function(*tree_map(_on_meta, args), **tree_map(_on_meta, kwargs))
        return function(*args, **kwargs | {"device": "meta"})
    except (RuntimeError, NotImplementedError, TypeError):
        return ()


def _on_meta(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device="meta")
