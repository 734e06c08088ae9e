"""Algebra of parameter dictionaries: weights, gradients and directions as vectors of one space.

Nothing here is recorded by autograd. `accumulate` works in place, so that a sum over confounders needs the memory of
one term, however many terms there are; every other function leaves its arguments as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

Params = Mapping[str, Tensor]
"""Tensors by parameter name: parameters, or anything shaped like them (gradients, directions)."""


@torch.no_grad()
def zeros_like(a: Params) -> Params:
    """The zero vector of the space of `a`."""
    return {name: torch.zeros_like(value) for name, value in a.items()}


@torch.no_grad()
def add_scaled(a: Params, factor: float | Tensor, b: Params) -> Params:
    """The sum a + factor · b."""
    return {name: value + factor * b[name] for name, value in a.items()}


@torch.no_grad()
def subtract(a: Params, b: Params) -> Params:
    """The difference a − b."""
    return {name: value - b[name] for name, value in a.items()}


@torch.no_grad()
def divide(a: Params, divisor: float) -> Params:
    """The quotient a / divisor."""
    return {name: value / divisor for name, value in a.items()}


@torch.no_grad()
def interpolate(a: Params, b: Params, share: float) -> Params:
    """The point a + share · (b − a) between `a`, at a share of 0, and `b`, at 1."""
    return dict(zip(b, torch._foreach_lerp([a[name] for name in b], list(b.values()), share), strict=True))


@torch.no_grad()
def accumulate(total: Params, term: Params, factor: float | Tensor = 1.0, divisor: float = 1.0) -> None:
    """Add factor · term / divisor to the tensors of `total`, in place."""
    for name, value in total.items():
        value.add_(factor * term[name] / divisor)


def mean(terms: Iterable[Params], n: int, like: Params) -> Params:
    """(1/n) Σ terms, in the memory layout of `like`; each of the n terms is drawn after those before it were added."""
    total = zeros_like(like)
    for term in terms:
        accumulate(total, term, divisor=n)
    return total


@torch.no_grad()
def length(a: Params) -> Tensor:
    """‖a‖, the Euclidean norm over all parameters together, as a scalar on their device, which nothing waits for."""
    norms: list[Tensor] = [torch.linalg.vector_norm(value) for value in a.values()]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total


@torch.no_grad()
def shortened(a: Params, longest: float) -> tuple[Params, Tensor]:
    """`a`, scaled down to the norm `longest` if it is longer, and whether it was, a scalar of 0 or 1."""
    norm = length(a)
    factor = longest / norm.clamp_min(longest)
    return dict(zip(a, torch._foreach_mul(list(a.values()), factor), strict=True)), norm > longest


def norm(a: Params) -> float:
    """‖a‖ as a number, for which a GPU is waited for."""
    return float(length(a))


def relative_distance(start: Params, end: Params) -> Tensor:
    """‖end − start‖ / ‖start‖: the length of a step, as a share of the norm of its start."""
    return length(subtract(start, end)) / length(start).clamp_min(1e-12)
