"""Networks that follow the scale of an image, or its scale and shift: exactly, in training as well, and up to where."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from support.backbones_table import WRAPPERS
from support.gradients import episode_of, parameters_of
from torch import Tensor, nn
from torch.func import functional_call

from unseen.core.errors import UserError
from unseen.core.registry import build
from unseen.methods import METHODS, Batch, Episode, Params, objective_for
from unseen.methods.erm import ERM
from unseen.methods.gradients import gradient, loss_and_gradient
from unseen.methods.second_order import check_second_order
from unseen.models.backbones import BACKBONES, WNE, ZOO, NormalisationEquivariantCNN, PlainCNN
from unseen.models.backbones.normalisation_equivariant import AffineConv, sort_pairs

SIZES = pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 1), (7, 5), (12, 12)])
RESIDUAL = pytest.mark.parametrize("residual", [True, False])


def as_made(network: nn.Module) -> nn.Module:
    return network


def at_random(network: nn.Module) -> nn.Module:
    """All parameters drawn anew: weights that sum to anything, t outside [0, 1] or inside, biases that matter."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.1, 0.5)
    return network


def after_training(network: nn.Module) -> nn.Module:
    """Five steps of ERM, each parameter by a twentieth."""
    objective = objective_for(network)
    for step in range(5):
        descend(network, ERM().gradient(objective, parameters_of(network), episode_of(1, seed=step)), 0.05)
    return network


@torch.no_grad()
def descend(network: nn.Module, slopes: Params, length: float) -> None:
    for name, parameter in network.named_parameters():
        parameter.sub_(length * slopes[name].sign())


STATES = pytest.mark.parametrize("state", [as_made, at_random, after_training])
State = Callable[[nn.Module], nn.Module]


def plain_ne(residual: bool = True, channels: int = 3) -> NormalisationEquivariantCNN:
    torch.manual_seed(0)
    return NormalisationEquivariantCNN(features=6, depth=4, residual=residual, channels=channels).double()


def plain(residual: bool = True, bias: bool = False) -> PlainCNN:
    torch.manual_seed(0)
    return PlainCNN(features=6, depth=4, bias=bias, residual=residual).double()


def images(*size: int) -> Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def departure(network: nn.Module, x: Tensor, a: float, b: float = 0.0) -> float:
    """‖f(a·x + b) − (a·f(x) + b)‖ / ‖a·f(x) + b‖."""
    with torch.no_grad():
        expected = a * network(x) + b
        return float((network(a * x + b) - expected).norm() / expected.norm())


# Scale and shift


@RESIDUAL
@STATES
@SIZES
@pytest.mark.parametrize(("a", "b"), [(1, 0.3), (0.01, 0), (0.2, 0.7), (30, -4), (1, -5)])
def test_normalisation_equivariant(size: tuple[int, int], state: State, residual: bool, a: float, b: float) -> None:
    assert departure(state(plain_ne(residual)), images(*size), a, b) < 1e-12


@RESIDUAL
def test_it_follows_no_negative_scale(residual: bool) -> None:
    assert departure(at_random(plain_ne(residual)), images(9, 9), -1) > 0.01


@RESIDUAL
@SIZES
def test_flat_images_stay_as_they_are(size: tuple[int, int], residual: bool) -> None:
    flat = torch.full((1, 3, *size), 0.4, dtype=torch.float64)
    torch.testing.assert_close(at_random(plain_ne(residual))(flat), flat, rtol=1e-12, atol=0)


def test_float32_follows_up_to_rounding() -> None:
    difference = departure(plain_ne().float(), images(16, 16).float(), 0.2, 0.7)
    assert 0 < difference < 1e-5


@pytest.mark.parametrize("make", [plain, plain_ne])
def test_clipping_ends_it(make: Callable[[], nn.Module]) -> None:
    """Of what comes in, as noise is clipped by a file; the same goes for what comes out."""
    network, x = at_random(make()), images(9, 9)
    with torch.no_grad():
        clipped, scaled = network((1.5 * x).clamp(0, 1)), 1.5 * network(x)
    assert (clipped - scaled).norm() > 0.01 * scaled.norm()


# Scale alone


@RESIDUAL
@STATES
@SIZES
@pytest.mark.parametrize("a", [0.01, 0.7, 30])
def test_scale_equivariant_without_bias(size: tuple[int, int], state: State, residual: bool, a: float) -> None:
    assert departure(state(plain(residual)), images(*size), a) < 1e-12


WITHOUT_BIAS = {
    "rrdb": ["features=4,growth=3,blocks=2", "features=4,growth=3,blocks=1,scale=4"],
    "rrdb_small": ["", "scale=2"],
    "plain": ["", "residual=false", "channels=1"],
    "unet": ["features=4"],
    "drunet_small": ["features=8"],
}
"""Settings of every network of ours that can do without biases."""


def test_every_network_of_ours_can_do_without_biases_but_those_that_follow_shifts_too() -> None:
    ours = {name: part for name, part in BACKBONES.items() if name not in ZOO}
    assert {name for name, part in ours.items() if "bias" in inspect.signature(part).parameters} == set(WITHOUT_BIAS)
    assert set(ours) - set(WITHOUT_BIAS) == {"plain_ne", *WRAPPERS}


@pytest.mark.parametrize("a", [0.01, 0.7, 30])
@pytest.mark.parametrize(("name", "settings"), [(n, s) for n, several in WITHOUT_BIAS.items() for s in several])
def test_every_network_without_biases_follows_the_scale_in_float32(name: str, settings: str, a: float) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 1 if "channels=1" in settings else 3, 13, 9)
    departures = {}
    for bias in ("false", "true"):
        network = build(f"{name}:{settings},bias={bias}".replace(":,", ":"), BACKBONES, "backbone", nn.Module).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        departures[bias] = departure(network, x, a)
    assert departures["false"] < 1e-5
    assert departures["true"] > 1e-4  # the biases would have shown


@RESIDUAL
@pytest.mark.parametrize(("a", "b"), [(-1, 0), (1, 0.3)])
def test_without_bias_it_follows_no_negative_scale_and_no_shift(residual: bool, a: float, b: float) -> None:
    assert departure(at_random(plain(residual)), images(9, 9), a, b) > 0.01


@RESIDUAL
@pytest.mark.parametrize("state", [at_random, after_training])
def test_with_bias_it_follows_nothing(state: State, residual: bool) -> None:
    network = state(plain(residual, bias=True))
    assert all(value.any() for name, value in network.named_parameters() if name.endswith("bias"))
    assert departure(network, images(9, 9), 2) > 1e-3
    assert departure(network, images(9, 9), 1, 0.3) > 1e-3


# The parts


def test_kernels_sum_to_one_and_are_the_nearest_that_do() -> None:
    conv = AffineConv(3, 4)
    nn.init.normal_(conv.weight, 2, 3)
    kernel = conv.kernel().double()
    torch.testing.assert_close(kernel.sum((1, 2, 3)), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-5)
    away = (kernel - conv.weight).flatten(1)
    torch.testing.assert_close(away, away[:, :1].expand_as(away), rtol=0, atol=1e-5)  # across the plane of sum one


def test_a_convolution_is_that_of_the_mirrored_image() -> None:
    conv = AffineConv(1, 1).double()
    x = images(4, 5)[:, :1]
    rows, columns = torch.tensor([1, 0, 1, 2, 3, 2]), torch.tensor([1, 0, 1, 2, 3, 4, 3])
    expected = nn.functional.conv2d(x[:, :, rows][..., columns], conv.kernel())
    torch.testing.assert_close(conv(x), expected)
    single = x[..., :1]  # 4×1: there is nothing to mirror
    expected = nn.functional.conv2d(single[:, :, [0, 0, 1, 2, 3, 3]].expand(2, 1, 6, 3), conv.kernel())
    torch.testing.assert_close(conv(single), expected)


def test_pairs_are_sorted() -> None:
    x = images(4, 4)[:, :2]
    pairs = torch.cat((x, -x), dim=1)  # channels 0 and 2 make a pair, 1 and 3
    ordered = sort_pairs(pairs)
    expected = torch.stack((x, -x)).sort(dim=0).values
    assert torch.equal(ordered, torch.cat(tuple(expected), dim=1))


def test_the_residual_form_is_a_mean_with_the_input() -> None:
    direct, residual = plain_ne(residual=False), plain_ne()
    residual.load_state_dict({**direct.state_dict(), "t": torch.tensor(0.3)})
    x = images(6, 6)
    torch.testing.assert_close(residual(x), 0.3 * x + 0.7 * direct(x))


def test_it_starts_near_the_identity_with_variance_kept() -> None:
    torch.manual_seed(0)
    network, x = NormalisationEquivariantCNN(), torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        assert (network(x) - x).square().mean() < 0.05 * x.var()
        variances, out = [], x
        for conv in network.convs:
            out = conv(out if out is x else sort_pairs(out))
            variances.append(float((out - out.mean((1, 2, 3), keepdim=True)).var() / x.var()))
    assert all(0.5 < variance < 2 for variance in variances)


def test_features_make_pairs() -> None:
    with pytest.raises(UserError, match=r"^backbone\.features: 7 is odd, sort pooling needs pairs: .*"):
        build("plain_ne:features=7", BACKBONES, "backbone", nn.Module)
    gray = plain_ne(channels=1)  # channels need make none
    assert departure(gray, images(5, 5)[:, :1], 0.2, 0.7) < 1e-12


# Training


NETWORKS = pytest.mark.parametrize(
    "make",
    [
        lambda: plain(bias=True),
        plain,
        lambda: plain(residual=False),
        plain_ne,
        lambda: plain_ne(residual=False),
        lambda: WNE(plain(bias=True)),
    ],
    ids=["plain", "bias-free", "bias-free direct", "plain_ne", "plain_ne direct", "wne"],
)


@NETWORKS
def test_a_gradient_reaches_every_weight(make: Callable[[], nn.Module]) -> None:
    network = make()
    slopes = ERM().gradient(objective_for(network), parameters_of(network), episode_of(1))
    assert all(slope.isfinite().all() and (slope != 0).all() for slope in slopes.values())


@NETWORKS
@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_train_them(name: str, make: Callable[[], nn.Module]) -> None:
    network = make().float()
    drawn = episode_of(3)
    batches = [Batch(b.distorted.float(), b.clean.float(), str(i)) for i, b in enumerate(drawn.confounders)]
    query = Batch(drawn.query.distorted.float(), drawn.query.clean.float())
    method, objective, params = METHODS[name](), objective_for(network), parameters_of(network)
    method.check(objective, params, query)
    slopes = method.gradient(objective, params, Episode(batches, query, torch.Generator().manual_seed(0)))
    assert slopes.keys() == params.keys()
    assert all(slope.isfinite().all() for slope in slopes.values())
    assert any(slope.any() for slope in slopes.values())


@RESIDUAL
def test_it_is_a_function_of_its_parameters_alone(residual: bool) -> None:
    network, other = plain_ne(residual), at_random(plain_ne(residual))
    assert not list(network.buffers())
    restored = functional_call(network, dict(other.named_parameters()), (images(7, 5),))
    assert torch.equal(restored, other(images(7, 5)))


@RESIDUAL
def test_second_derivatives_are_right(residual: bool) -> None:
    assert check_second_order(plain_ne(residual), (1, 3, 12, 12)) < 1e-8


def test_sums_of_weights_are_not_trained() -> None:
    """They change nothing, so that their gradient is zero: the constraint takes one direction from each output."""
    network = plain_ne()
    slopes = gradient(objective_for(network), parameters_of(network), episode_of(1).query)
    for name, slope in slopes.items():
        if name != "t":
            assert slope.sum((1, 2, 3)).abs().max() < 1e-12 * slope.abs().max() * slope[0].numel()


def test_it_learns_to_remove_noise() -> None:
    network = plain_ne()
    objective, draws, losses = objective_for(network, "l2"), torch.Generator().manual_seed(2), []
    for step in range(80):
        clean = torch.rand(4, 3, 1, 1, generator=draws, dtype=torch.float64).expand(4, 3, 8, 8)
        noise = torch.randn(clean.shape, generator=draws, dtype=torch.float64)
        batch = Batch(clean + 0.1 * noise, clean)
        loss, slopes = loss_and_gradient(objective, parameters_of(network), batch)
        losses.append(float(loss))
        descend(network, slopes, 0.01 * (1 - step / 80))
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
