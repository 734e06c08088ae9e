"""First- and second-order products of an objective, exact, by reverse mode.

Everything here takes `params` by value: the tensors are detached, so that no graph reaches the caller's
network, and a product holds the graph of one batch only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:  # the methods import this module
    from .methods.episode import Batch, Params
    from .methods.objective import Objective


def gradient(objective: Objective, params: Params, batch: Batch) -> Params:
    """∇_θ L at `params` on one batch: one gradient evaluation."""
    leaves = _leaves(params)
    return _derivative([objective(leaves, batch)], leaves)


def hessian_vector_product(objective: Objective, params: Params, batch: Batch, vector: Params) -> Params:
    """H v with H = ∇²_θ L at `params` on one batch: two gradient evaluations, reverse over reverse."""
    leaves = _leaves(params)
    slope = torch.autograd.grad(
        objective(leaves, batch), list(leaves.values()), create_graph=True, materialize_grads=True
    )
    objective.tally.images += len(batch)  # the second backward pass; the first was counted by the objective
    return _derivative(slope, leaves, [vector[name] for name in leaves])


def norm(vector: Params) -> float:
    """The Euclidean norm over all parameters together."""
    return float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(v) for v in vector.values()])))


def _leaves(params: Params) -> Params:
    return {name: value.detach().requires_grad_() for name, value in params.items()}


def _derivative(outputs: Sequence[Tensor], leaves: Params, weights: Sequence[Tensor] | None = None) -> Params:
    """Σ_j weights_j · ∂outputs_j/∂leaves; zero for whatever the outputs do not depend on."""
    no_weights: list[Tensor | None] = [None] * len(outputs)
    pairs = [
        (output, weight)
        for output, weight in zip(outputs, weights or no_weights, strict=True)
        if output.requires_grad  # a slope that is constant in θ carries no graph
    ]
    if not pairs:
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    found = torch.autograd.grad(
        [output for output, _ in pairs],
        list(leaves.values()),
        grad_outputs=[weight for _, weight in pairs],
        materialize_grads=True,
    )
    return dict(zip(leaves, found, strict=True))
