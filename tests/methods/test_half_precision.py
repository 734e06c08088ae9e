"""Objectives that multiply in bfloat16: how near their gradients are, and what stays as it is to the last bit.

Processors without bfloat16 imitate it, with the same roundings.
"""

from __future__ import annotations

import pytest
import torch
from support.gradients import again, episode_of, equal, parameters_of, relative_error, smooth_network
from torch import Tensor, nn

from unseen.methods import METHODS, Batch, Episode, Params, objective_for
from unseen.methods.gradients import finite_difference_product, gradient_and_hessian, hessian_vector_product

TOLERANCE = 0.03
"""Relative error of a gradient: some roundings by 2⁻⁹ one after another, 0.2 to 1 % in all on these networks."""

INNER_ADAM = 0.1
"""The same where an inner Adam without memory takes little more than the signs of a gradient, of which some flip."""


def network_of() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(8, 3, 3, padding=1))


def episode(n: int = 3, seed: int = 1) -> Episode:
    double = episode_of(n, seed, (4, 3, 16, 16))

    def single(batch: Batch) -> Batch:
        return Batch(batch.distorted.float(), batch.clean.float())

    drawn = Episode([single(batch) for batch in double.confounders], single(double.query), double.generator)
    drawn.progress = 0.5
    return drawn


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_float32_and_near_those_of_float32(method: str) -> None:
    network = network_of()
    params = parameters_of(network)
    exact = METHODS[method]().gradient(objective_for(network), params, episode())
    half = METHODS[method]().gradient(objective_for(network, bf16=True), params, episode())
    assert {value.dtype for value in half.values()} == {torch.float32}
    tolerance = INNER_ADAM if method in ("dil_sf", "dil_pf") else TOLERANCE
    assert 0 < relative_error(half, exact) < tolerance  # 0: nothing would have been rounded


def test_the_network_multiplies_in_bfloat16_and_the_loss_does_not() -> None:
    types: list[torch.dtype] = []

    class Watched(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            result = super().forward(x)
            types.append(result.dtype)
            return result

    def loss(restored: Tensor, clean: Tensor) -> Tensor:
        types.append(restored.dtype)
        return restored.mean()

    network = nn.Sequential(Watched(3, 4, 3, padding=1), nn.Conv2d(4, 3, 1))
    objective = objective_for(network, loss, bf16=True)
    restored, features = objective.restore_with_features(parameters_of(network), episode().query)
    assert float(objective.judge({}, restored, episode().query)) == float(restored.mean())
    assert types == [torch.bfloat16, torch.bfloat16, torch.float32]  # the first pass finds the last layer
    assert restored.dtype is features.dtype is torch.float32


def vector_like(params: Params) -> Params:
    draws = torch.Generator().manual_seed(3)
    return {name: torch.randn(value.shape, generator=draws) for name, value in params.items()}


def test_products_with_a_hessian_are_those_of_float32_to_the_last_bit() -> None:
    network = smooth_network().float()
    params, batch = parameters_of(network), episode().query
    vector = vector_like(params)
    for pieces in (1, 2):
        exact, half = (objective_for(network, "l2", pieces, bf16=bf16) for bf16 in (False, True))
        for product in (hessian_vector_product, finite_difference_product):
            assert equal(product(half, params, batch, vector), product(exact, params, batch, vector))
        (slope, hessian), (same, as_well) = (gradient_and_hessian(o, params, batch) for o in (exact, half))
        assert equal(same, slope)
        assert equal(as_well(vector), hessian(vector))
        assert half.tally.images == exact.tally.images


def test_float64_is_left_alone() -> None:
    """Autocast is for float32; a float64 objective would lose nothing by it, and gains nothing."""
    network = smooth_network()
    params, drawn = parameters_of(network), episode_of(2)
    exact = METHODS["erm"]().gradient(objective_for(network), params, drawn)
    assert equal(METHODS["erm"]().gradient(objective_for(network, bf16=True), params, again(drawn)), exact)
