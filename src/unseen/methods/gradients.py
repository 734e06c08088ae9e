"""First- and second-order products: of a scalar function of named tensors, and of an objective on a batch.

Everything here takes `params` by value: the tensors are detached, so that no graph reaches the caller's
network, and a product holds the graph of one batch only, or of one piece of it where the objective accumulates.
Products with a Hessian are in the type of the parameters: bfloat16 has too few digits for second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..core.shares import Shares
from .convolution import FastSecondDerivatives
from .episode import Batch
from .objective import Change, Objective
from .params import Params, add_scaled, divide, mean, norm, subtract, zeros_like

Function = Callable[[Params], Tensor]
"""A scalar function of tensors by name."""

Hessian = Callable[[Params], Params]
"""The function v ↦ H v of a Hessian H at one point."""

_LOSS = ""
"""The name of the loss among the derivatives by parameter name; no parameter has it."""

STEP = 1e-4
"""The step of a finite difference to either side, as a share of ‖θ‖. A shorter step loses too much of the difference
to rounding in float32; a longer one brings in derivatives of higher order (docs/method.md)."""


def gradient(objective: Objective, params: Params, batch: Batch, at_last: Change | None = None) -> Params:
    """∇_θ L at `params` on one batch, its features changed by `at_last` if given: one gradient evaluation."""
    return loss_and_gradient(objective, params, batch, at_last)[1]


def loss_and_gradient(
    objective: Objective, params: Params, batch: Batch, at_last: Change | None = None
) -> tuple[Tensor, Params]:
    """L, detached, and ∇_θ L at `params` on one batch, as of `gradient`: one gradient evaluation."""

    def slope(piece: Batch) -> Params:
        loss, of_piece = value_and_derivative(lambda leaves: objective(leaves, piece, at_last), params)
        return {**of_piece, _LOSS: loss}

    like = {**params, _LOSS: batch.clean.new_zeros(())}
    of_batch = dict(over_batch(objective, like, batch, slope))
    return of_batch.pop(_LOSS), of_batch


def over_batch(objective: Objective, params: Params, batch: Batch, term: Callable[[Batch], Params]) -> Params:
    """A vector that is a mean over the images of a batch: computed of it at once, or of its pieces one by one.

    Here the pieces and the shares of a batch are brought together, the latter in one exchange: every gradient and every
    product of an objective is a mean by this function, or by `pooled`.

    Args:
        objective: the objective, whose `accumulate` is the number of pieces.
        params: the parameters, whose memory layout a mean over pieces gets.
        batch: the batch.
        term: the function that computes the vector of some images; it is called in their order.
    """
    pieces = batch.pieces(objective.accumulate)
    own = term(batch) if len(pieces) == 1 else mean(map(term, pieces), len(pieces), params)
    return pooled(objective.shares, own)


def pooled(shares: Shares, own: Params) -> Params:
    """The mean of a vector over all shares of a batch, in one exchange."""
    return own if shares.world == 1 else dict(zip(own, shares.mean(list(own.values())), strict=True))


def mean_over_batches(
    objective: Objective, params: Params, batches: Sequence[Batch], term: Callable[[Objective, Batch], Params]
) -> Params:
    """The mean of a vector over batches, computed one at a time, so that memory does not grow with their number.

    Args:
        objective: the objective.
        params: the parameters, whose memory layout the mean gets.
        batches: the batches.
        term: the function that computes the vector of a batch, of the share that is here: one exchange serves all.
    """
    here = objective.of_this_share()
    return pooled(objective.shares, mean((term(here, batch) for batch in batches), len(batches), params))


def mean_gradient(objective: Objective, params: Params, batches: Sequence[Batch]) -> Params:
    """(1/n) Σ_i ∇_θ L at `params` on n batches, one at a time."""
    return mean_over_batches(objective, params, batches, lambda here, batch: gradient(here, params, batch))


def gradient_and_hessian(objective: Objective, params: Params, batch: Batch) -> tuple[Params, Hessian]:
    """∇_θ L and H = ∇²_θ L at `params` on one batch, exact, reverse over reverse.

    Returns:
        ∇_θ L, which takes one gradient evaluation, and the function v ↦ H v, which differentiates the graph of that
        gradient. A product takes two evaluations more: where a gradient is three convolutions a layer, forward and
        backward, the second backward pass is six. The graph is freed by the first product, so that there is but one.
        An objective that accumulates keeps no graph, computes the gradient anew for the product, and counts the same.
    """
    if objective.accumulate == 1:
        slope, product = _piece_expansion(objective, params, batch)
        return pooled(objective.shares, slope), lambda vector: pooled(objective.shares, product(vector))
    objective = objective.exact()
    uncounted = objective.uncounted()

    def hessian(vector: Params) -> Params:
        objective.tally.images += 2 * len(batch)
        return hessian_vector_product(uncounted, params, batch, vector)

    return gradient(objective, params, batch), hessian


def hessian_vector_product(objective: Objective, params: Params, batch: Batch, vector: Params) -> Params:
    """H v with H = ∇²_θ L at `params` on one batch, exact: three gradient evaluations."""

    def product(piece: Batch) -> Params:
        return _piece_expansion(objective, params, piece)[1](vector)

    return over_batch(objective, params, batch, product)


def _piece_expansion(objective: Objective, params: Params, piece: Batch) -> tuple[Params, Hessian]:
    """∇_θ L and v ↦ H v on some images at once, as of `gradient_and_hessian`."""
    objective = objective.exact()
    slope, hessian = expansion(lambda leaves: objective(leaves, piece), params)

    def counted(vector: Params) -> Params:
        objective.tally.images += 2 * len(piece)
        return hessian(vector)

    return slope, counted


def gradient_and_difference(objective: Objective, params: Params, batch: Batch) -> tuple[Params, Hessian]:
    """∇_θ L at `params` on one batch, and the function v ↦ H v by `finite_difference_product`."""
    return gradient(objective, params, batch), partial(finite_difference_product, objective, params, batch)


def finite_difference_product(objective: Objective, params: Params, batch: Batch, vector: Params) -> Params:
    """H v from plain gradients on both sides of `params`, `STEP` away from it: two gradient evaluations.

    For smooth networks under smooth losses: kinks within the step count as curvature.
    """
    objective = objective.exact()

    def product(piece: Batch) -> Params:
        return central_difference(lambda leaves: objective(leaves, piece), params, vector, STEP)

    return over_batch(objective, params, batch, product)


def whole_derivative(objective: Objective, function: Function, point: Params) -> Params:
    """The gradient at a point of the mean over all shares of a function, which sees the images of this share."""
    return pooled(objective.shares, derivative(function, point))


def derivative(function: Function, point: Params) -> Params:
    """The gradient of a function at a point."""
    return value_and_derivative(function, point)[1]


def value_and_derivative(function: Function, point: Params) -> tuple[Tensor, Params]:
    """The value of a function at a point, detached, and the gradient of the function at that point."""
    leaves = _leaves(point)
    value = function(leaves)
    return value.detach(), _backward([value], leaves)


def expansion(function: Function, point: Params) -> tuple[Params, Hessian]:
    """The gradient of a function at a point, and its Hessian there as a function v ↦ H v, which may be called once."""
    leaves = _leaves(point)
    with FastSecondDerivatives():
        slope = _backward([function(leaves)], leaves, keep_graph=True)

    def hessian(vector: Params) -> Params:
        return _backward(list(slope.values()), leaves, [vector[name] for name in leaves])

    return {name: value.detach() for name, value in slope.items()}, hessian


def second_derivative(function: Function, point: Params, vector: Params) -> Params:
    """The Hessian of a function at a point, times a vector, by differentiating twice."""
    return expansion(function, point)[1](vector)


def central_difference(function: Function, point: Params, vector: Params, step: float) -> Params:
    """The Hessian of a function at a point p, times a vector v, by a central difference of gradients.

    (∇(p + εv) − ∇(p − εv)) / 2ε, where ε makes ‖εv‖ the share `step` of ‖p‖ (of 1 where p is zero).
    """
    length = norm(vector)
    if length == 0:
        return zeros_like(point)
    epsilon = step * (norm(point) or 1.0) / length
    after, before = (derivative(function, add_scaled(point, sign * epsilon, vector)) for sign in (1, -1))
    return divide(subtract(after, before), 2 * epsilon)


def _leaves(point: Params) -> Params:
    return {name: value.detach().requires_grad_() for name, value in point.items()}


def _backward(
    outputs: Sequence[Tensor], leaves: Params, weights: Sequence[Tensor] | None = None, keep_graph: bool = False
) -> Params:
    """Σ_j weights_j · ∂outputs_j/∂leaves; zero for whatever the outputs do not depend on.

    With `keep_graph` the result can be differentiated again.
    """
    no_weights: list[Tensor | None] = [None] * len(outputs)
    pairs = [
        (output, weight)
        for output, weight in zip(outputs, weights or no_weights, strict=True)
        if output.requires_grad  # a slope that is constant in θ carries no graph
    ]
    if not pairs:
        return zeros_like(leaves)
    slopes = torch.autograd.grad(
        [output for output, _ in pairs],
        list(leaves.values()),
        grad_outputs=[weight for _, weight in pairs],
        create_graph=keep_graph,
        materialize_grads=True,
    )
    return dict(zip(leaves, slopes, strict=True))
