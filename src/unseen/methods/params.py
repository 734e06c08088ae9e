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
    moved = torch._foreach_add(list(a.values()), torch._foreach_mul([b[name] for name in a], factor))
    return dict(zip(a, moved, strict=True))


@torch.no_grad()
def subtract(a: Params, b: Params) -> Params:
    """The difference a − b."""
    return dict(zip(a, torch._foreach_sub(list(a.values()), [b[name] for name in a]), strict=True))


@torch.no_grad()
def divide(a: Params, divisor: float) -> Params:
    """The quotient a / divisor."""
    return dict(zip(a, torch._foreach_div(list(a.values()), divisor), strict=True))


@torch.no_grad()
def interpolate(a: Params, b: Params, share: float) -> Params:
    """The point a + share · (b − a) between `a`, at a share of 0, and `b`, at 1."""
    return dict(zip(b, torch._foreach_lerp([a[name] for name in b], list(b.values()), share), strict=True))


@torch.no_grad()
def accumulate(total: Params, term: Params, factor: float | Tensor = 1.0, divisor: float = 1.0) -> None:
    """Add factor · term / divisor to the tensors of `total`, in place."""
    terms: list[Tensor] | tuple[Tensor, ...] = [term[name] for name in total]
    if isinstance(factor, Tensor) or factor != 1:
        terms = torch._foreach_mul(terms, factor)
    if divisor != 1:
        terms = torch._foreach_div(terms, divisor)
    torch._foreach_add_(list(total.values()), terms)


def mean(terms: Iterable[Params], n: int, like: Params) -> Params:
    """(1/n) Σ terms, in the memory layout of `like`; each of the n terms is drawn after those before it were added."""
    total = zeros_like(like)
    for term in terms:
        accumulate(total, term, divisor=n)
    return total


@torch.no_grad()
def length(a: Params) -> Tensor:
    """‖a‖, the Euclidean norm over all parameters together, as a scalar on their device, which nothing waits for."""
    total: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(a.values()))))
    return total


@torch.no_grad()
def shortened(a: Params, longest: float) -> tuple[Params, Tensor]:
    """`a`, scaled down to the norm `longest` if it is longer, and whether it was, a scalar of 0 or 1."""
    norm = length(a)
    factor = longest / norm.clamp_min(longest)
    return dict(zip(a, torch._foreach_mul(list(a.values()), factor), strict=True)), norm > longest


@torch.no_grad()
def inner_product(a: Params, b: Params) -> Tensor:
    """⟨a, b⟩ over all parameters together, as a scalar on their device, which nothing waits for."""
    return torch.stack([(value * b[name]).sum() for name, value in a.items()]).sum()


def norm(a: Params) -> float:
    """‖a‖ as a number, for which a GPU is waited for."""
    return float(length(a))


def relative_distance(start: Params, end: Params) -> Tensor:
    """‖end − start‖ / ‖start‖: the length of a step, as a share of the norm of its start."""
    return length(subtract(start, end)) / length(start).clamp_min(1e-12)


@torch.no_grad()
def laid_out_as(like: Tensor, value: Tensor) -> Tensor:
    """The tensor `value`, its elements in memory in the order of those of `like`, a tensor of its shape."""
    return value if value.stride() == like.stride() else torch.empty_like(like).copy_(value)
