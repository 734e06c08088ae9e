"""Second derivatives: which networks have wrong ones, and what finite differences are worth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from support.closed_forms import Sampling, parallel_objective, serial_objective
from support.gradients import episode_of, parameters_of
from support.networks import NAFNET, SHAPE, SWINIR, backbone, batch_of
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unseen.core.errors import UserError
from unseen.core.trust import trusting
from unseen.methods import DIL, Batch, objective_for, second_order
from unseen.methods.dil import DILpf, DILps, DILsf, DILss
from unseen.methods.second_order import SecondOrderError, check_second_order
from unseen.models.backbones import BACKBONES
from unseen.training.config import TrainConfig
from unseen.training.loop import train

pytestmark = pytest.mark.filterwarnings("ignore:'saved_variables' is deprecated")  # spandrel's NAFNet


class WrongCube(torch.autograd.Function):
    """x³ with a right gradient, but 3x² is computed where no graph is recorded: d²/dx² is taken for zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(3 * x**2)
        return x**3

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        slope: Tensor = ctx.saved_tensors[0]
        return slopes[0] * slope


class OnceCube(torch.autograd.Function):
    """The same, which says so; but autograd is not told where unused tensors are allowed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return WrongCube.forward(ctx, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        return WrongCube.backward(ctx, *slopes)


def apply(function: type[torch.autograd.Function], x: Tensor) -> Tensor:
    found: Tensor = function.apply(x)  # type: ignore[no-untyped-call,unused-ignore]
    return found


class Cube(nn.Module):
    """No parameters: its second derivatives are wrong in its input alone."""

    def __init__(self, function: type[torch.autograd.Function] = WrongCube):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return apply(self.function, x)


class NotANumber(nn.Module):
    """The root of zero squared: a gradient of 0/0."""

    def forward(self, x: Tensor) -> Tensor:
        return x + (x - x).square().sqrt()


class Attention(nn.Module):
    """A kernel of PyTorch's that has no second derivatives, on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


class Block(nn.Module):
    """conv → cube → conv; with `inside`, the cube is in its own forward and in no submodule."""

    def __init__(self, inside: bool = False, gate: float = 1.0):
        super().__init__()
        self.last = nn.Conv2d(4, 3, 1)  # made first, run last
        self.cube = nn.Identity() if inside else Cube()
        self.first = nn.Conv2d(3, 4, 1)
        self.inside = inside
        self.gate = nn.Parameter(torch.tensor(gate))

    def forward(self, x: Tensor) -> Tensor:
        x = self.cube(self.first(x))
        found: Tensor = self.gate * self.last(apply(WrongCube, x) if self.inside else x)
        return found


def test_the_wrong_function_is_silent() -> None:
    """Its gradients are right, and double backward does not complain: what the check is for."""
    x = torch.tensor([0.5, -2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: apply(WrongCube, x), (x,))
    for function in (WrongCube, OnceCube):
        (slope,) = torch.autograd.grad((apply(function, x) ** 2).sum(), x, create_graph=True)
        (bent,) = torch.autograd.grad(slope.sum(), x, allow_unused=True, materialize_grads=True)
        torch.testing.assert_close(slope, 6 * x**5)
        assert not torch.allclose(bent, 30 * x**4)


@pytest.mark.parametrize(
    ("network", "module", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 3, 1), Cube(), nn.Conv2d(3, 3, 1)), "1", "of 1 \\(Cube\\) are wrong, by"),
        (nn.Sequential(nn.Conv2d(3, 3, 1), Cube(OnceCube)), "1", "of 1 \\(Cube\\) are wrong, by 100 %"),
        (
            nn.Sequential(nn.Conv2d(3, 3, 1), Attention()),
            "1",
            "of 1 \\(Attention\\) cannot be computed: .*not implemented",
        ),
        (nn.Sequential(nn.Tanh(), Block()), "1.cube", "of 1.cube \\(Cube\\) are wrong"),
        (nn.Sequential(nn.Tanh(), Block(inside=True), Cube()), "1", "of 1 \\(Block\\) are wrong"),
        (Block(inside=True), "", "of the network itself \\(Block\\) are wrong"),
        (nn.Sequential(Block(), Block()), "0.cube", "of 0.cube"),
        (nn.Sequential(nn.Conv2d(3, 3, 1), NotANumber()), "1", "of 1 \\(NotANumber\\) are no finite numbers"),
        (Block(gate=0.0), "cube", "of cube \\(Cube\\)"),  # at its own parameters there is nothing to see
    ],
)
def test_the_first_wrong_submodule_is_named(network: nn.Module, module: str, message: str) -> None:
    with pytest.raises(SecondOrderError, match=message) as caught:
        check_second_order(network, SHAPE)
    assert caught.value.module == module
    assert "\n" not in str(caught.value)


def test_nafnet_is_refused_for_its_layer_norm() -> None:
    with pytest.raises(SecondOrderError, match=r"module.encoders.0.0.norm1 \(LayerNorm2d\) are wrong, by") as caught:
        check_second_order(backbone(NAFNET), SHAPE)
    assert 0.01 < caught.value.error < 1


class Odd(nn.Module):
    """What sound networks do: float32 by name, several returned values, keyword arguments, writing in place."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.shift = torch.zeros(3, 1, 1)  # neither parameter nor buffer

    def forward(self, x: Tensor) -> Tensor:
        self.shift = self.shift.to(x)
        x -= self.shift
        found, attention = self.inner(x, scale=2 * x)
        restored: Tensor = nn.functional.relu_(found["image"]) * attention
        return restored


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor, scale: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        attention = nn.functional.softmax(self.conv(x), dim=1, dtype=torch.float32).float()
        return {"image": self.conv(scale)}, attention * torch.ones(3, 1, 1)


def relu_and_maximum() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.MaxPool2d(2),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(8, 3, 3, padding=1),
    )


SOUND: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Conv2d(3, 3, 3, padding=1, bias=False),
    "relu and maximum": relu_and_maximum,
    "odd": Odd,
    "constant": lambda: nn.ModuleDict({"unused": nn.Linear(2, 2)}),
}


@pytest.mark.parametrize(
    "spec",
    [
        "plain",
        "rrdb_small",
        "unet:features=8",
        SWINIR,
        "drunet:nc=[8,8,8,8],nb=1",
        "rcan:n_feats=8,n_resgroups=1,reduction=4",
    ],
)
def test_sound_backbones_pass(spec: str) -> None:
    if spec.partition(":")[0] not in BACKBONES:
        pytest.skip("no such backbone yet")
    assert check_second_order(backbone(spec), (1, 3, 16, 16)) < 1e-8


@pytest.mark.parametrize("name", SOUND)
def test_sound_networks_pass(name: str) -> None:
    torch.manual_seed(0)
    network = SOUND[name]()
    if name == "constant":
        network.forward = lambda x: x
    check_second_order(network, SHAPE)


def test_sound_submodules_are_not_blamed_for_the_kinks_that_they_stand_on() -> None:
    """Zeros out of a ReLU are ties for the maximum after it: a kink exactly where a submodule stands."""
    torch.manual_seed(0)
    with pytest.raises(SecondOrderError) as caught:
        check_second_order(nn.Sequential(relu_and_maximum(), Cube(), nn.Conv2d(3, 3, 1)), SHAPE)
    assert caught.value.module == "1"


def test_frozen_parameters_are_left_out() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), Cube(), nn.Conv2d(3, 3, 1))
    network[0].requires_grad_(False)
    check_second_order(network, SHAPE)  # what is wrong stands before nothing that is trained
    check_second_order(network.requires_grad_(False), SHAPE)


@pytest.mark.parametrize("spec", ["plain:features=4", SWINIR, NAFNET])
def test_the_network_is_left_as_it_is(spec: str) -> None:
    network = nn.Sequential(backbone(spec), nn.BatchNorm2d(3)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    types = {
        name: value.dtype for module in network.modules() for name, value in vars(module).items() if is_tensor(value)
    }
    drawn = torch.get_rng_state()
    try:
        check_second_order(network, SHAPE)
    except SecondOrderError:
        assert spec == NAFNET
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert types == {n: v.dtype for module in network.modules() for n, v in vars(module).items() if is_tensor(v)}
    assert all(module.training and not module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None and parameter.dtype is torch.float32 for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), drawn)


def is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def test_a_size_that_the_network_cannot_take_is_the_networks_to_report() -> None:
    with pytest.raises(RuntimeError, match="channels"):
        check_second_order(nn.Conv2d(3, 3, 1), (1, 4, 8, 8))


# In training

TINY = TrainConfig(
    device="cpu", threads=1, data=["embedded"], budget=48, batch=2, patch=12, validations=1, loss="l2", method="dil_ss"
)


def trained(config: TrainConfig) -> None:
    with trusting(__name__):
        train(config, Event())


class Forgetful(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 1), Cube(), nn.Conv2d(4, 3, 1))


class Smooth(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 16, 3, padding=1), nn.GELU(), nn.Conv2d(16, 3, 3, padding=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, r"of 1 \(Cube\) are wrong, by .* %; use hvp=finite-difference and a smooth loss, or a first-order method"),
        ({"method": "dil_ps"}, "are wrong"),
        ({"method": "dil_ss:hvp=finite-difference", "loss": "l1"}, "need a smooth loss"),
        ({"method": "dil_ss:hvp=finite-difference", "backbone": "rrdb_small"}, "the network has kinks"),
    ],
)
def test_training_refuses_in_one_line(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    config = replace(replace(TINY, backbone=f"{__name__}.Forgetful", out=str(tmp_path / "run")), **change)
    with pytest.raises(UserError, match=message) as caught:
        trained(config)
    assert str(caught.value).startswith(f"method: {config.method!r} with backbone {config.backbone!r}: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["dil_sf", "erm", "dil_ss:hvp=finite-difference", "dil_ps:hvp=finite-difference"])
def test_other_ways_train_what_cannot_be_differentiated_twice(method: str, tmp_path: Path) -> None:
    trained(replace(TINY, method=method, backbone=f"{__name__}.Forgetful", out=str(tmp_path)))


def test_the_check_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    monkeypatch.setattr(second_order, "check_second_order", lambda network, shape: shapes.append(shape))
    for method in ("dil_sf", "dil_ss", "dil_ps:hvp=finite-difference"):
        trained(replace(TINY, method=method, backbone=f"{__name__}.Smooth", out=str(tmp_path / method[:6])))
    assert shapes == [(1, 3, 12, 12)]


# SwinIR


@pytest.mark.parametrize(("sampling", "value"), [("serial", serial_objective), ("parallel", parallel_objective)])
def test_second_order_gradient_of_swinir_equals_central_differences(sampling: Sampling, value: Any) -> None:
    network = backbone(SWINIR).double()
    objective, params = objective_for(network, "l2"), parameters_of(network)
    episode = episode_of(2, shape=(1, 3, 8, 8))
    found = DIL(sampling, 2, 0.05).gradient(objective, params, episode)
    draws = torch.Generator().manual_seed(4)
    for _ in range(5):
        direction = {
            name: torch.randn(p.shape, generator=draws, dtype=p.dtype) * p.square().mean().sqrt().clamp_min(0.1)
            for name, p in params.items()
        }
        ends = [
            value(objective, {name: p + sign * 1e-5 * direction[name] for name, p in params.items()}, episode)
            for sign in (1, -1)
        ]
        expected = (ends[0] - ends[1]) / 2e-5
        slope = float(sum((found[name] * direction[name]).sum() for name in params))
        assert slope == pytest.approx(expected, rel=1e-5)
    assert episode.notes["curvature"] > 1e-3


@pytest.mark.parametrize("variant", [DILsf, DILpf, DILss, DILps])
@pytest.mark.slow
def test_swinir_trains_under_every_variant_of_dil(variant: Callable[..., DIL]) -> None:
    network = backbone(SWINIR)
    objective, params = objective_for(network), dict(network.named_parameters())
    method, outer = variant(inner_lr=1e-3), torch.optim.Adam(network.parameters(), lr=5e-3)
    method.check(objective, params, batch_of())
    losses = []
    for step in range(12):
        episode = episode_of(2, shape=(2, 3, 8, 8))
        batches = [Batch(b.distorted.float(), b.clean.float()) for b in (*episode.confounders, episode.query)]
        episode = type(episode)(batches[:-1], batches[-1], torch.Generator().manual_seed(step))
        losses.append(float(torch.stack([objective(params, batch).detach() for batch in batches]).mean()))
        for parameter, slope in zip(params.values(), method.gradient(objective, params, episode).values(), strict=True):
            parameter.grad = slope
        outer.step()
    assert math.isfinite(losses[-1])
    assert losses[-1] < 0.9 * losses[0]
