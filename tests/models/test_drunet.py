"""The residual U-Net that reads the noise: its map, its strength, its own loss."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.gradients import parameters_of
from torch import Tensor

from unseen.core.errors import UserError
from unseen.core.registry import build
from unseen.methods import Batch, Params, objective_for
from unseen.methods.gradients import loss_and_gradient
from unseen.models.backbones import BACKBONES
from unseen.models.backbones.drunet import CELL, LEAST_DEVIATION, MAP_CHANNELS, OWN_WEIGHT, DRUNetSmall


def tiny(bias: bool = False) -> DRUNetSmall:
    """A small network in float64 of which no part is near zero."""
    torch.manual_seed(0)
    network = DRUNetSmall(features=3, levels=2, bias=bias).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3)
    return network


def images(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 2), (8, 8), (13, 21)])
def test_it_keeps_any_size_and_follows_the_scale_of_an_image(size: tuple[int, int]) -> None:
    network, x = tiny(), images(2, 3, *size)
    restored = network(x)
    assert restored.shape == x.shape
    assert not torch.allclose(restored, x)
    torch.testing.assert_close(network(0.3 * x), 0.3 * restored, rtol=1e-10, atol=1e-12)


def test_strength_is_a_factor_of_the_map_image_by_image() -> None:
    network, x = tiny(), images(2, 3, 12, 12)
    torch.testing.assert_close(network(x, torch.ones(())), network(x), rtol=0, atol=0)
    both = network(x, torch.tensor([0.0, 2.0]))
    for i, strength in enumerate((0.0, 2.0)):
        torch.testing.assert_close(both[i], network(x[i : i + 1], torch.tensor(strength))[0], rtol=1e-12, atol=1e-14)
        assert not torch.allclose(both[i], network(x)[i])


def test_the_map_is_a_deviation_of_each_colour_and_of_gray() -> None:
    read = tiny().noise_map(images(2, 3, 13, 21))
    assert read.shape == (2, MAP_CHANNELS, 16 // CELL, 24 // CELL)
    assert read.min() >= 0


def test_the_map_is_read_in_float32_where_the_rest_is_in_bfloat16() -> None:
    network, x = tiny().float(), images(2, 3, 24, 20).float()
    read, restored = network.noise_map(x), network(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network.noise_map(x), read)
        assert not torch.equal(network(x), restored)


def test_its_own_loss_compares_deviations_with_those_of_the_noise() -> None:
    network = tiny()
    clean = torch.full((1, 3, 32, 32), 0.5, dtype=torch.float64)
    signs = (torch.arange(32) % 2 * 2 - 1).double()  # noise whose deviation is known: ±a, of one sign in all colours
    noisy = clean + 0.1 * signs
    read = network.noise_map(noisy).square()
    expected = ((read + LEAST_DEVIATION**2) / (0.01 + LEAST_DEVIATION**2)).log().div(2).square().mean()
    torch.testing.assert_close(network.own_loss(noisy, clean), OWN_WEIGHT * expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("bias", [False, True])
def test_the_objective_adds_the_own_loss_which_alone_trains_the_reader(bias: bool) -> None:
    network = tiny(bias)
    clean = images(2, 3, 8, 8)
    batch = Batch(clean + 0.1 * images(2, 3, 8, 8, seed=2), clean)
    objective, params = objective_for(network, "log_mse"), parameters_of(network)
    value, gradient = loss_and_gradient(objective, params, batch)
    own = network.own_loss(batch.distorted, batch.clean)
    restored = objective.loss(network(batch.distorted), clean)
    torch.testing.assert_close(value, (restored + own).detach(), rtol=1e-12, atol=0)

    readers = {name: p for name, p in params.items() if name.startswith("reader.")}
    others = {name: p for name, p in params.items() if name not in readers}

    def own_loss(values: Params) -> float:
        return float(torch.func.functional_call(Own(network), {f"of.{n}": p for n, p in values.items()}, (batch,)))

    def whole(values: Params) -> float:
        return float(objective({**params, **values}, batch).detach())

    check_along_random_directions(gradient, own_loss, readers)
    check_along_random_directions(gradient, whole, others)


def check_along_random_directions(gradient: Params, value: Callable[[Params], float], params: Params) -> None:
    """Compare slopes with central differences, each parameter along a direction that no error is orthogonal to."""
    for name, tensor in params.items():
        direction = torch.randn_like(tensor)
        before, after = (value({**params, name: tensor + step * direction}) for step in (-1e-6, 1e-6))
        scale = float(gradient[name].norm() * direction.norm())
        assert scale > 0
        slope = float((gradient[name] * direction).sum())
        assert (after - before) / 2e-6 == pytest.approx(slope, rel=0, abs=1e-6 * scale), name


class Own(torch.nn.Module):
    """A network's own loss as its output."""

    def __init__(self, of: DRUNetSmall) -> None:
        super().__init__()
        self.of = of

    def forward(self, batch: Batch) -> Tensor:
        return self.of.own_loss(batch.distorted, batch.clean)


@pytest.mark.parametrize("loss", ["log_mse", "sqrt_rmse"])
def test_losses_by_image_weigh_every_image_by_its_own_error(loss: str) -> None:
    clean = torch.zeros(2, 3, 4, 4, dtype=torch.float64)
    restored = clean + torch.tensor([0.01, 0.1], dtype=torch.float64).view(2, 1, 1, 1)
    restored.requires_grad_()
    (gradient,) = torch.autograd.grad(objective_for(tiny(), loss).loss(restored, clean), restored)
    floor = 1 / (12 * 255**2)
    for i, error in enumerate((0.01, 0.1)):
        squared = error**2 + floor
        by_hand = error / 48 / squared if loss == "log_mse" else error / 48 / 4 * squared**-0.75
        expected = torch.full((3, 4, 4), by_hand, dtype=torch.float64)
        torch.testing.assert_close(gradient[i], expected, rtol=1e-12, atol=0)


def test_it_starts_as_the_identity() -> None:
    x = images(1, 3, 12, 20).float()
    torch.testing.assert_close(DRUNetSmall(features=4, levels=2)(x), x, rtol=0, atol=0)


@pytest.mark.parametrize("setting", ["features=0", "levels=0", "blocks=0", "bottom=0"])
def test_sizes_that_are_none_are_refused(setting: str) -> None:
    with pytest.raises(UserError, match="backbone"):
        build(f"drunet_small:{setting}", BACKBONES, "backbone", torch.nn.Module)
