"""Finite differences of gradients: how exact they are, and where kinks spoil them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.closed_forms import Sampling
from support.gradients import episode_of, parameters_of, relative_error, smooth_network
from support.networks import NAFNET, SHAPE, SWINIR, backbone, batch_of, smooth_convolutions
from torch import Tensor, nn

from unseen.core.registry import build
from unseen.methods import Batch, Method, Params, objective_for
from unseen.methods.gradients import finite_difference_product, gradient, hessian_vector_product
from unseen.methods.second_order import check_finite_differences, check_second_order

pytestmark = pytest.mark.filterwarnings("ignore:'saved_variables' is deprecated")  # spandrel's NAFNet


def random_like(params: Params) -> Params:
    draws = torch.Generator().manual_seed(5)
    return {name: torch.randn(p.shape, generator=draws, dtype=torch.float64).to(p) for name, p in params.items()}


@pytest.mark.parametrize("loss", ["l2", "huber"])
def test_finite_differences_are_exact_to_the_second_order_of_the_step(
    loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = smooth_network()
    objective, params, batch = objective_for(network, loss), parameters_of(network), episode_of(1).query
    vector = random_like(params)
    exact = hessian_vector_product(objective, params, batch, vector)
    errors = []
    for step in (1e-2, 1e-3, 1e-4):
        monkeypatch.setattr("unseen.methods.gradients.STEP", step)
        errors.append(relative_error(finite_difference_product(objective, params, batch, vector), exact))
    assert errors[0] == pytest.approx(100 * errors[1], rel=0.1)
    assert errors[1] == pytest.approx(100 * errors[2], rel=0.1)
    assert errors[2] < 1e-6


def test_finite_differences_of_a_quadratic_are_its_hessian() -> None:
    """Under l2 a linear network has the Hessian A = 2/N Σ x xᵀ: no error but that of rounding."""
    network = nn.Conv2d(3, 1, 1, bias=False).double()
    draws = torch.Generator().manual_seed(0)
    x, y = (torch.rand(2, c, 5, 5, generator=draws, dtype=torch.float64) for c in (3, 1))
    params = parameters_of(network)
    vector = random_like(params)
    pixels = x.transpose(0, 1).reshape(3, -1)
    expected = 2 / pixels.shape[1] * pixels @ pixels.T @ vector["weight"].view(3)
    found = finite_difference_product(objective_for(network, "l2"), params, Batch(x, y), vector)
    torch.testing.assert_close(found["weight"].view(3), expected, rtol=1e-9, atol=0)


def test_finite_differences_along_nothing_are_nothing() -> None:
    network = smooth_network()
    params = parameters_of(network)
    nothing = {name: torch.zeros_like(p) for name, p in params.items()}
    found = finite_difference_product(objective_for(network, "l2"), params, episode_of(1).query, nothing)
    assert not any(value.any() for value in found.values())
    start = finite_difference_product(objective_for(network, "l2"), nothing, episode_of(1).query, params)
    assert all(value.isfinite().all() for value in start.values())


class PlainLayerNorm(nn.Module):
    """NAFNet's normalisation over channels in plain operations, whose second derivatives autograd gets right."""

    def __init__(self, weight: Tensor, bias: Tensor):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
        return self.weight.view(1, -1, 1, 1) * scaled + self.bias.view(1, -1, 1, 1)


def nafnet_and_its_sound_twin() -> tuple[nn.Module, nn.Module]:
    nafnet = backbone(NAFNET)
    with torch.no_grad():
        for name, parameter in nafnet.named_parameters():
            if name.endswith(("beta", "gamma")):  # as after some training; they start at zero
                parameter.normal_(0, 0.1)
    twin = backbone(NAFNET)
    twin.load_state_dict(nafnet.state_dict())
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if type(child).__name__ == "LayerNorm2d":
                setattr(module, name, PlainLayerNorm(*(p.detach() for p in child.parameters())))
    return nafnet, twin


def test_finite_differences_are_right_where_nafnet_is_wrong() -> None:
    nafnet, twin = nafnet_and_its_sound_twin()
    check_second_order(twin, SHAPE)
    batch, params = batch_of(), parameters_of(nafnet)
    vector = gradient(objective_for(nafnet, "l2"), params, batch)
    truth = hessian_vector_product(
        objective_for(twin.double(), "l2"), doubled(params), batch_of(torch.float64), doubled(vector)
    )
    exact = hessian_vector_product(objective_for(nafnet, "l2"), params, batch, vector)
    found = finite_difference_product(objective_for(nafnet, "l2"), params, batch, vector)
    assert relative_error(doubled(exact), truth) > 0.01
    assert relative_error(doubled(found), truth) < 1e-3


def doubled(point: Params) -> Params:
    return {name: value.double() for name, value in point.items()}


def nearly_l1(restored: Tensor, clean: Tensor) -> Tensor:
    """Smooth, but not at the step of a finite difference."""
    return ((restored - clean).square() + 1e-12).sqrt().mean()


@pytest.mark.parametrize("loss", ["l2", "huber"])
@pytest.mark.parametrize("make", [smooth_convolutions, lambda: backbone(SWINIR), lambda: backbone(NAFNET)])
def test_finite_differences_suit_smooth_networks(make: Callable[[], nn.Module], loss: str) -> None:
    network = make()
    objective = objective_for(network, loss)
    check_finite_differences(objective, dict(network.named_parameters()), batch_of())
    assert objective.tally.images == 0  # a probe is no training
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("spec", ["rrdb_small", "plain:features=8,depth=20"])
def test_finite_differences_are_refused_where_kinks_spoil_them(spec: str) -> None:
    network = backbone(spec)
    params, batch = parameters_of(network), batch_of(n=4)
    objective = objective_for(network, "l2")
    vector = gradient(objective, params, batch)
    exact = hessian_vector_product(objective, params, batch, vector)
    assert relative_error(finite_difference_product(objective, params, batch, vector), exact) > 0.01
    with pytest.raises(ValueError, match=r"off by [\d.e+]+ %.* the network has kinks"):
        check_finite_differences(objective, params, batch)


@pytest.mark.parametrize("loss", ["l1", nearly_l1])
def test_finite_differences_are_refused_for_losses_with_kinks(loss: str | Callable[[Tensor, Tensor], Tensor]) -> None:
    """Even where no residual is near its kink yet, as where the network starts far below every image."""
    network = smooth_convolutions()
    with torch.no_grad():
        dict(network.named_parameters())["2.bias"].fill_(-9)
    with pytest.raises(ValueError, match="need a smooth loss"):
        check_finite_differences(objective_for(network, loss), parameters_of(network), batch_of())


@pytest.mark.parametrize("sampling", ["serial", "parallel"])
def test_both_products_give_the_same_gradient_each_counted_at_its_cost(sampling: Sampling) -> None:
    network = smooth_network()
    params, episode = parameters_of(network), episode_of(3)
    found: list[Params] = []
    images = []
    for hvp in ("exact", "finite-difference"):
        objective = objective_for(network, "l2")
        method = build(f"unseen.methods.DIL:sampling={sampling},order=2,inner_lr=0.5,hvp={hvp}", {}, "method", Method)
        found.append(method.gradient(objective, params, episode))
        images.append(objective.tally.images)
        assert episode.notes["curvature"] > 0.01  # the products matter here
    assert images == [2 * count for count in ((12, 12) if sampling == "serial" else (13, 10))]
    assert 0 < relative_error(found[1], found[0]) < 1e-5
