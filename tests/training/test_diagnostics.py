"""Diagnoses against closed forms and explicit Jacobians, and that nothing notices being diagnosed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from itertools import combinations
from typing import Any, Literal

import pytest
import torch
from support.closed_forms import Quadratic, closed_form
from support.gradients import episode_of, flat, parameters_of, smooth_network
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.nn.functional import cosine_similarity

from unseen.core.shares import ALONE
from unseen.methods import DIL, Batch, Episode, Params, objective_for
from unseen.methods.dil import DILpf, DILps, DILsf, DILss, dealt
from unseen.methods.gradients import gradient
from unseen.methods.params import norm
from unseen.models.backbones import RRDB, NormalisationEquivariantCNN, PlainCNN, UNet
from unseen.training.diagnostics import IMAGES, PathLength, diagnose, gradient_curvature, net_bias


class Affine(nn.Module):
    """f(y) = a·y + c in each channel: A_y = a, b_y = c."""

    def __init__(self, a: float = 0.5, c: float = 0.0):
        super().__init__()
        self.a = nn.Parameter(torch.full((3, 1, 1), a, dtype=torch.float64))
        self.c = nn.Parameter(torch.full((3, 1, 1), c, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.a * x + self.c


def perturbed(network: nn.Module) -> nn.Module:
    """In float64, with biases and last layers that matter, as after training."""
    torch.manual_seed(1)
    network = network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def test_gradient_cosine_is_the_mean_over_pairs() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(4)
    slopes = [flat(gradient(objective, params, batch)) for batch in episode.confounders]
    expected = torch.stack([cosine_similarity(a, b, dim=0) for a, b in combinations(slopes, 2)]).mean()
    cosine = diagnose(objective, params, params, episode).gradient_cosine
    assert cosine == pytest.approx(float(expected), rel=1e-12)
    assert expected.abs() < 0.999  # they differ, or anything would pass


@pytest.mark.parametrize(
    ("brightness", "expected"),
    [
        ([2, 3], 1),  # both to be darkened
        ([2, 0.5], -1),
        ([2, 3, 0.5], -1 / 3),  # one pair agrees, two do not
        ([2, 3, 1], 1),  # what is restored already has no gradient, and no say
        ([2, 1], None),
        ([1, 1], None),
        ([2], None),
    ],
)
def test_confounders_that_pull_together_or_apart(brightness: list[float], expected: float | None) -> None:
    clean = torch.full((2, 3, 4, 4), 0.3, dtype=torch.float64)
    episode = Episode([Batch(times * clean, clean) for times in brightness], Batch(clean, clean))
    network = Affine(a=1).requires_grad_(False)
    diagnosis = diagnose(objective_for(network, "l2"), {"a": network.a}, {"a": network.a}, episode)
    assert diagnosis.gradient_cosine == (expected if expected is None else pytest.approx(expected, rel=1e-12))


def test_losses_bear_the_names_of_the_confounders() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l1"), parameters_of(network), episode_of(3)
    named = [Batch(b.distorted, b.clean, name) for b, name in zip(episode.confounders, ("x", "", "z"), strict=True)]
    diagnosis = diagnose(objective, params, params, Episode(named, episode.query))
    expected = [float(objective(params, batch)) for batch in named]
    assert diagnosis.losses == dict(zip(("x", "1", "z"), expected, strict=True))
    assert diagnosis.net_biases is not None
    assert diagnosis.net_biases.keys() == diagnosis.losses.keys()


def test_distance_is_relative_to_the_start() -> None:
    """From (0.5, 0.5, 0.5, 0, 0, 0) by 0.3 along each of three axes: 0.3·√3 / (0.5·√3)."""
    start, end = parameters_of(Affine(0.5)), parameters_of(Affine(0.5, 0.3))
    objective = objective_for(Affine())
    assert diagnose(objective, end, start, episode_of(1)).distance == pytest.approx(0.6, rel=1e-12)
    assert diagnose(objective, start, start, episode_of(1)).distance == 0
    more = {**start, "frozen": torch.ones(3)}  # what is not trained is no part of it
    assert diagnose(objective, end, more, episode_of(1)).distance == pytest.approx(0.6, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_curvature_along_the_gradient_of_a_quadratic_is_its_closed_form(dtype: torch.dtype) -> None:
    objective = objective_for(Quadratic().to(dtype), "l2")
    params, drawn = parameters_of(objective.network), episode_of(1).query
    batch = Batch(drawn.distorted.to(dtype), drawn.clean.to(dtype))
    slope, hessian = closed_form(params, batch)
    expected = float((slope * hessian * slope).sum() / slope.square().sum())
    found = gradient_curvature(objective, params, batch)
    assert found == pytest.approx(expected, rel=1e-8 if dtype == torch.float64 else 1e-3)
    assert objective.tally.images == 3 * len(batch)  # by itself it is counted


def test_curvature_is_measured_on_a_mixture_of_the_confounders() -> None:
    objective = objective_for(Quadratic(), "l2")
    params, episode = parameters_of(objective.network), episode_of(3)
    mixed = next(dealt(list(episode.confounders), ALONE))
    slope, hessian = closed_form(params, mixed)
    expected = float((slope * hessian * slope).sum() / slope.square().sum())
    found = diagnose(objective, params, params, episode).gradient_curvature
    assert found == pytest.approx(expected, rel=1e-8)


def test_there_is_no_curvature_along_no_gradient() -> None:
    clean = episode_of(1).query.clean
    objective = objective_for(Affine(1), "l2")
    assert gradient_curvature(objective, parameters_of(objective.network), Batch(clean, clean)) is None


def test_the_path_is_the_sum_of_its_straight_pieces() -> None:
    def at(x: float, y: float) -> Params:
        return {"x": torch.tensor([float(x)]), "y": torch.tensor([[float(y)]])}

    moving = at(0, 0)
    path = PathLength(moving, 2.5)
    moving["x"].add_(3)  # where they are, as the outer step moves them
    moving["y"].add_(4)
    path.add(moving)
    for point in (at(3, 0), at(0, 0)):
        path.add(point)
    assert path.length() == 2.5 + 5 + 4 + 3
    affine = parameters_of(Affine(0.5))
    diagnosis = diagnose(objective_for(Affine()), affine, affine, episode_of(1), 0.3)
    assert diagnosis.path == pytest.approx(0.3 / (0.5 * 3**0.5), rel=1e-12)


def test_held_out_levels_are_asked_for_their_net_bias_alone() -> None:
    objective, episode = objective_for(Affine(0.5, 0.2)), episode_of(2)
    params, other = parameters_of(objective.network), episode_of(1, seed=7).query
    held_out = Batch(other.distorted, other.clean, "held out")
    found = asdict(diagnose(objective, params, params, episode, held_out=[held_out]))
    expected = asdict(diagnose(objective, params, params, episode))
    assert found["net_biases"].pop("held out") == net_bias(objective, params, held_out)
    assert found == expected


def test_net_bias_of_an_affine_network_is_its_constant() -> None:
    batch = episode_of(1).query
    bias = net_bias(objective_for(Affine(0.5, 0.2)), {}, batch)
    constant = 0.2 * batch.clean[0].numel() ** 0.5
    expected = [constant / float((0.5 * image + 0.2).norm()) for image in batch.distorted]
    assert bias == pytest.approx(sum(expected) / len(expected), rel=1e-12)
    assert net_bias(objective_for(Affine(0, 0.2)), {}, batch) == pytest.approx(1, rel=1e-12)  # nothing but bias
    assert net_bias(objective_for(Affine(0, 0)), {}, batch) == 0


@pytest.mark.parametrize(
    "network",
    [
        smooth_network(),
        perturbed(PlainCNN(features=4, depth=3)),
        perturbed(UNet(features=2, levels=1)),
        perturbed(RRDB(features=3, growth=2, blocks=1, scale=2)),
    ],
    ids=["smooth", "plain", "unet", "enlarging"],
)
def test_net_bias_is_that_of_the_explicit_jacobian(network: nn.Module) -> None:
    draws = torch.Generator().manual_seed(2)
    distorted = torch.rand(2, 3, 4, 3, generator=draws, dtype=torch.float64)
    batch = Batch(distorted, torch.zeros_like(network(distorted)))
    params = {name: 1.1 * value for name, value in parameters_of(network).items()}  # not the network's own

    def restore(image: Tensor) -> Tensor:
        restored: Tensor = functional_call(network, params, (image[None],))[0]
        return restored

    expected = []
    for image in distorted:
        jacobian = jacrev(restore)(image).flatten(3).flatten(0, 2)
        restored = restore(image).flatten()
        expected.append(float((restored - jacobian @ image.flatten()).norm() / restored.norm()))
    assert min(expected) > 1e-3
    assert net_bias(objective_for(network), params, batch) == pytest.approx(sum(expected) / 2, rel=1e-10)


@pytest.mark.parametrize(
    "network",
    [
        PlainCNN(features=4, depth=3, bias=False),
        PlainCNN(features=4, depth=3, bias=False, residual=False),
        NormalisationEquivariantCNN(features=4, depth=3),
        UNet(features=2, levels=1, bias=False),
        RRDB(features=3, growth=2, blocks=1, bias=False, scale=2),
    ],
    ids=["plain", "direct", "plain_ne", "unet", "enlarging"],
)
def test_without_biases_there_is_no_net_bias(network: nn.Module) -> None:
    network = perturbed(network)
    distorted = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    batch = Batch(distorted, torch.zeros_like(network(distorted)))
    assert net_bias(objective_for(network), {}, batch) < 1e-13


def test_net_bias_looks_at_the_first_images_alone() -> None:
    objective = objective_for(Affine(0.5, 0.2))
    images = torch.rand(IMAGES + 3, 3, 4, 4, dtype=torch.float64)
    whole, first = Batch(images, images), Batch(images[:IMAGES], images[:IMAGES])
    assert net_bias(objective, {}, whole) == net_bias(objective, {}, first)
    assert objective.tally.images == 2 * IMAGES  # by itself it is counted, as a forward pass


class OnlyBackwards(torch.autograd.Function):
    """The identity, which says nothing of forward-mode derivatives."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        return slopes[0]


class Backwards(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        same: Tensor = OnlyBackwards.apply(x)  # type: ignore[no-untyped-call,unused-ignore]
        return same


def test_networks_without_forward_derivatives_are_diagnosed_but_for_the_net_bias() -> None:
    network = smooth_network()
    params, episode = parameters_of(network), episode_of(2)
    expected = diagnose(objective_for(network), params, params, episode)
    diagnosis = diagnose(objective_for(nn.Sequential(*network.children(), Backwards())), params, params, episode)
    assert diagnosis.net_biases is None
    assert expected.net_biases is not None
    assert (diagnosis.gradient_cosine, diagnosis.losses) == (expected.gradient_cosine, expected.losses)


def test_nothing_notices_being_diagnosed() -> None:
    def refuse() -> Batch:
        raise AssertionError("the mixture was drawn for nothing")

    network = smooth_network()
    objective, params = objective_for(network), dict(network.named_parameters())
    episode = Episode(episode_of(3).confounders, refuse, torch.Generator().manual_seed(5))
    episode.notes["curvature"] = 0.1
    before, tally = parameters_of(network), objective.tally
    objective(params, episode.confounders[0])
    counted = asdict(tally)
    state, drawn = torch.get_rng_state(), episode.generator.get_state()  # type: ignore[union-attr]
    diagnose(objective, params, before, episode)
    assert objective.tally is tally
    assert asdict(tally) == counted
    assert all(torch.equal(params[name], before[name]) and params[name].grad is None for name in params)
    assert episode.notes == {"curvature": 0.1}
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(episode.generator.get_state(), drawn)  # type: ignore[union-attr]


def test_a_diagnosis_can_be_written_as_json() -> None:
    """Of a dead network too, where norms and gradients are zero."""
    for network in (smooth_network(), Affine(0, 0)):
        params = parameters_of(network)
        fields = asdict(diagnose(objective_for(network), params, params, episode_of(2)))
        assert json.loads(json.dumps(fields, allow_nan=False)) == fields


# What DIL notes of its own

ALPHA = 0.05


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sampling", ["serial", "parallel"])
def test_dil_notes_how_far_its_virtual_steps_go(sampling: Literal["serial", "parallel"], order: Literal[1, 2]) -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(3)
    slopes = [gradient(objective, params, batch) for batch in episode.confounders]
    pseudo_gradient = DIL(sampling, order, ALPHA).gradient(objective, params, episode)
    if (sampling, order) == ("serial", 1):  # the pseudo-gradient is the path over αK
        length = ALPHA * 3 * norm(pseudo_gradient)
    elif sampling == "serial":
        length = sum(ALPHA * norm(slope) for slope in slopes) / 3
    else:
        length = ALPHA * norm({name: torch.stack([s[name] for s in slopes]).mean(0) for name in params})
    assert episode.notes["virtual_step"] == pytest.approx(length / norm(params), rel=1e-12)


@pytest.mark.parametrize("variant", [DILsf, DILpf, DILss, DILps])
def test_every_named_variant_notes_it(variant: Callable[..., DIL]) -> None:
    network = smooth_network()
    params: Params = dict(network.named_parameters())
    steps = []
    for lr in (1e-5, 1e-4):
        episode = episode_of(2)
        variant(inner_lr=lr).gradient(objective_for(network), params, episode)
        steps.append(float(episode.notes["virtual_step"]))
    assert steps[1] == pytest.approx(10 * steps[0], rel=0.01) != 0
