"""SAM, averaged weights, dropout, masking and Mixup against closed forms, finite differences, and ERM."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.closed_forms import Quadratic, closed_form
from support.gradients import (
    episode_of,
    equal,
    finite_differences,
    flat,
    generator,
    parameters_of,
    relative_error,
    smooth_network,
)
from torch import Tensor, nn
from torch.func import functional_call

from unseen.core.registry import build
from unseen.methods import METHODS, Batch, Episode, Method, Params, objective_for
from unseen.methods.averaging import EMA, SWA
from unseen.methods.erm import ERM
from unseen.methods.feature_dropout import FeatureDropout
from unseen.methods.gradients import gradient
from unseen.methods.input_masking import InputMasking
from unseen.methods.mixup import Mixup
from unseen.methods.sam import SAM

NAMES = ("sam", "ema", "swa", "feature_dropout", "input_masking", "mixup")
RHO = 0.3


class Probe(nn.Module):
    """f_θ(x) = θ x, and remembers the images that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        self.given = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.given = x
        return self.theta * x


def given_by(method: Method, episode: Episode) -> Batch:
    """The batch that a method trains the network on."""
    network, targets = Probe(), list[Tensor]()

    def loss(restored: Tensor, clean: Tensor) -> Tensor:
        targets.append(clean)
        return F.mse_loss(restored, clean)

    method.gradient(objective_for(network, loss), parameters_of(network), episode)
    return Batch(network.given, targets[-1])


# SAM


def test_sam_equals_the_closed_form_of_a_quadratic() -> None:
    network, episode = Quadratic(), episode_of(1)
    params = parameters_of(network)
    slope, curvature = closed_form(params, episode.query)
    expected = slope + curvature * RHO * slope / slope.norm()  # the slope is linear in θ
    found = SAM(RHO).gradient(objective_for(network, "l2"), params, episode)["theta"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_sam_is_the_gradient_at_the_climbed_point_of_all_parameters_together() -> None:
    network, episode = smooth_network(), episode_of(1)
    objective, params = objective_for(network, "l2"), parameters_of(network)
    slope = ERM().gradient(objective, params, episode)
    length = float(flat(slope).norm())

    def value(p: Params) -> float:
        return float(objective({name: p[name] + RHO * slope[name] / length for name in p}, episode.query))

    expected = finite_differences(value, params)
    assert relative_error(SAM(RHO).gradient(objective, params, episode), expected) < 1e-6
    assert relative_error(slope, expected) > 1e-2


def test_sam_becomes_erm_as_rho_vanishes() -> None:
    network, episode = smooth_network(), episode_of(1)
    objective, params = objective_for(network, "l2"), parameters_of(network)
    erm = ERM().gradient(objective, params, episode)
    errors = [relative_error(SAM(rho).gradient(objective, params, episode), erm) for rho in (1e-2, 1e-3, 1e-9)]
    assert errors[0] > 5 * errors[1] > 0  # linear in ρ
    assert errors[2] < 1e-7


def test_sam_stays_where_nothing_slopes() -> None:
    network = Quadratic()
    clean = torch.rand(2, 3, 4, 4, generator=generator(0), dtype=torch.float64)
    params = {"theta": torch.ones_like(network.theta)}
    found = SAM(RHO).gradient(objective_for(network, "l2"), params, Episode([], Batch(clean, clean)))
    assert torch.equal(found["theta"], torch.zeros_like(network.theta))


# Feature dropout


def test_feature_dropout_equals_central_differences_of_the_network_without_those_channels() -> None:
    network, episode, p = smooth_network(), episode_of(1), 0.4
    body, kept = network[:-1], (torch.rand(2, 4, 1, 1, generator=generator(1)) >= p).double()  # type: ignore[index]
    assert 0 < kept.sum() < kept.numel()
    assert not torch.equal(kept[0], kept[1])

    def value(params: Params) -> float:
        inner = {name: tensor for name, tensor in params.items() if not name.startswith("4.")}
        features = functional_call(body, inner, (episode.query.distorted,)) * kept / (1 - p)
        restored = F.conv2d(features, params["4.weight"], params["4.bias"])
        return float(F.mse_loss(restored, episode.query.clean))

    objective, params = objective_for(network, "l2"), parameters_of(network)
    found = FeatureDropout(p).gradient(objective, params, episode)
    assert relative_error(found, finite_differences(value, params)) < 1e-6
    assert relative_error(FeatureDropout(p).gradient(objective, params, episode), found) > 1e-3  # channels anew


def test_feature_dropout_of_nothing_is_erm_and_leaves_no_hook() -> None:
    network, episode = smooth_network(), episode_of(1)
    objective, params = objective_for(network), parameters_of(network)
    erm = ERM().gradient(objective, params, episode)
    assert equal(FeatureDropout(0.0).gradient(objective, params, episode), erm)
    FeatureDropout(0.9).gradient(objective, params, episode)
    assert equal(ERM().gradient(objective, params, episode), erm)


def test_feature_dropout_needs_channels_and_looks_for_them_at_no_cost() -> None:
    tokens = nn.Sequential(nn.Flatten(2), nn.Linear(36, 36), nn.Unflatten(2, (6, 6))).double()
    batch = episode_of(1).query
    with pytest.raises(ValueError, match=r"is \(2, 3, 36\): no channels"):
        FeatureDropout().check(objective_for(tokens), parameters_of(tokens), batch)
    objective = objective_for(smooth_network())
    FeatureDropout().check(objective, parameters_of(objective.network), batch)
    assert objective.tally.images == 0


# Masked inputs


def test_input_masking_hides_whole_pixels_in_the_share_that_it_says() -> None:
    shape = (40, 3, 50, 50)
    clean, distorted = (torch.rand(shape, generator=generator(seed), dtype=torch.float64) for seed in range(2))
    batch = given_by(InputMasking(0.2, 0.6), Episode([], Batch(distorted, clean), generator(2)))
    hidden = (batch.distorted == -0.1).double()
    assert torch.equal(hidden[:, :1].expand(shape), hidden)  # all channels of a pixel
    assert torch.equal(batch.distorted, torch.where(hidden.bool(), -0.1, distorted))
    assert torch.equal(batch.clean, clean)
    shares = hidden.mean(dim=(1, 2, 3))
    assert 0.15 < shares.min() < 0.25  # five standard deviations of a share are 0.05
    assert 0.55 < shares.max() < 0.65
    assert 0.35 < shares.mean() < 0.45
    assert 0.07 < shares.std() < 0.16  # even: 0.115


def test_input_masking_gradient_equals_central_differences_on_the_hidden_batch() -> None:
    network, episode = smooth_network(), episode_of(1)
    masked = given_by(InputMasking(0.3, 0.5), episode_of(1))  # the same episode, draws and all
    objective, params = objective_for(network, "l2"), parameters_of(network)
    found = InputMasking(0.3, 0.5).gradient(objective, params, episode)
    assert relative_error(found, finite_differences(lambda p: float(objective(p, masked)), params)) < 1e-6
    assert relative_error(ERM().gradient(objective, params, episode), found) > 1e-2


def test_input_masking_of_nothing_is_erm() -> None:
    network, episode = smooth_network(), episode_of(1)
    objective, params = objective_for(network), parameters_of(network)
    found = InputMasking(0.0, 0.0).gradient(objective, params, episode)
    assert equal(found, ERM().gradient(objective, params, episode))


def test_input_masking_hides_pixels_of_inputs_that_are_to_be_enlarged() -> None:
    network = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 1))
    query = Batch(torch.rand(2, 3, 5, 5), torch.rand(2, 3, 10, 10))
    found = InputMasking().gradient(objective_for(network), parameters_of(network), Episode([], query))
    assert flat(found).isfinite().all()


# Mixup


def gray(level: float, n: int) -> Tensor:
    return torch.full((n, 1, 1, 1), level, dtype=torch.float64)


def levels(count: int, n: int = 1, seed: int = 0) -> Episode:
    """Confounder i turns clean images 2^i into -3 · 2^i."""
    batches = [Batch(gray(-3.0 * 2**i, n), gray(2.0**i, n)) for i in range(count)]
    return Episode(batches, batches[0], generator(seed))


@pytest.mark.parametrize(("alpha", "variance"), [(0.2, 1 / 5.6), (1.0, 1 / 12), (3.0, 1 / 28)])
def test_mixup_mixes_inputs_and_targets_by_one_beta_for_each_image(alpha: float, variance: float) -> None:
    mixed = given_by(Mixup(alpha), levels(2, n=20_000))
    share = mixed.clean - 1  # of the second confounder: clean images are 1 and 2
    torch.testing.assert_close(mixed.distorted, -3 * (1 + share))
    assert 0 <= share.min() < share.max() <= 1
    assert abs(float(share.mean()) - 0.5) < 0.015
    assert abs(float(share.var()) - variance) < 0.005  # of a Beta(α, α): 1 / (8α + 4)


def test_mixup_draws_every_pair_of_distinct_confounders() -> None:
    means = set()
    for seed in range(60):
        mixed = given_by(Mixup(50.0), levels(3, n=400, seed=seed))  # hardly off the mean of the two
        means.add(round(2 * float(mixed.clean.mean())) / 2)
    assert means == {1.5, 2.5, 3.0}  # of 1 and 2, 1 and 4, 2 and 4


def test_mixup_gradient_equals_central_differences_on_the_mixed_batch() -> None:
    network, episode = smooth_network(), episode_of(3)
    mixed = given_by(Mixup(1.0), episode_of(3))  # the same episode, draws and all
    objective, params = objective_for(network, "l2"), parameters_of(network)
    found = Mixup(1.0).gradient(objective, params, episode)
    assert relative_error(found, finite_differences(lambda p: float(objective(p, mixed)), params)) < 1e-6
    for batch in episode.confounders:
        assert relative_error(gradient(objective, params, batch), found) > 1e-3


def test_mixup_leaves_the_clean_images_of_counterfactual_content_alone() -> None:
    content = episode_of(1).query.clean
    batches = [Batch(content + i / 8, content) for i in range(4)]
    mixed = given_by(Mixup(1.0), Episode(batches, batches[0], generator(5)))
    assert torch.equal(mixed.clean, content)
    between = (mixed.distorted - content).mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(mixed.distorted, content + between)
    assert 0 < between.min() < between.max() < 3 / 8


def test_mixup_between_equal_confounders_is_erm() -> None:
    network, query = smooth_network(), episode_of(1).query
    objective, params = objective_for(network), parameters_of(network)
    same = Episode([query] * 3, query, generator(0))
    assert equal(Mixup().gradient(objective, params, same), ERM().gradient(objective, params, same))


def test_mixup_with_hardly_any_alpha_picks_one_of_the_two() -> None:
    clean = given_by(Mixup(1e-6), levels(2, n=200)).clean
    assert set(clean.flatten().tolist()) == {1.0, 2.0}


def test_mixup_of_a_single_confounder_mixes_within_its_batch() -> None:
    content = 2.0 ** torch.arange(8, dtype=torch.float64).view(8, 1, 1, 1)
    mixed = given_by(Mixup(1.0), Episode([Batch(-3 * content, content)], Batch(content, content), generator(3)))
    torch.testing.assert_close(mixed.distorted, -3 * mixed.clean)  # partners and λ are those of the targets
    assert not torch.equal(mixed.clean, content)
    assert content.min() <= mixed.clean.min()
    assert mixed.clean.max() <= content.max()


# All of them


def test_states_of_another_method_are_refused() -> None:
    for name in NAMES:
        with pytest.raises(ValueError, match=r"averaged: is missing|keeps no state"):
            METHODS[name]().load_state_dict({"steps_taken": torch.tensor(3)})
    with pytest.raises(ValueError, match="keeps no state"):
        SAM().load_state_dict(EMA().state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_gradient_evaluations_are_counted(name: str) -> None:
    objective = objective_for(smooth_network())
    METHODS[name]().gradient(objective, parameters_of(objective.network), episode_of(4))
    assert objective.tally.images == 2 * (2 if name == "sam" else 1)
    assert objective.tally.calls == (2 if name == "sam" else 1)
    assert float(objective.tally.loss) > 0


@pytest.mark.parametrize("name", NAMES)
def test_gradients_descend_from_the_generator(name: str) -> None:
    network, batches = smooth_network(), episode_of(3)
    objective, params = objective_for(network), parameters_of(network)

    def found(draws: torch.Generator | None) -> Params:
        return METHODS[name]().gradient(objective, params, Episode(batches.confounders, batches.query, draws))

    assert equal(found(generator(4)), found(generator(4)))
    assert equal(found(generator(4)), found(generator(5))) == (name in ("sam", "ema", "swa"))
    with torch.random.fork_rng():
        torch.manual_seed(4)
        globally = found(None)
        torch.manual_seed(4)
        assert equal(found(None), globally)


@pytest.mark.parametrize("name", NAMES)
def test_no_batch_is_made_in_vain(name: str) -> None:
    made, batches = list[int | str](), episode_of(4)

    def maker(key: int | str, batch: Batch) -> Callable[[], Batch]:
        def make() -> Batch:
            made.append(key)
            return batch

        return make

    makers = [maker(i, batch) for i, batch in enumerate(batches.confounders)]
    episode = Episode(makers, maker("query", batches.query), generator(0))
    objective = objective_for(smooth_network())
    METHODS[name]().gradient(objective, parameters_of(objective.network), episode)
    if name == "mixup":
        assert len(made) == 2
        assert "query" not in made
    else:
        assert made == ["query"]


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (SAM, {"rho": 0.0}, "not above zero"),
        (SAM, {"rho": math.nan}, "not finite"),
        (SAM, {"rho": math.inf}, "not finite"),
        (EMA, {"decay": 1.0}, "decay"),
        (EMA, {"decay": -0.1}, "decay"),
        (SWA, {"start": 1.0}, "start"),
        (SWA, {"start": math.nan}, "start"),
        (FeatureDropout, {"p": 1.0}, "p 1.0"),
        (FeatureDropout, {"p": -0.5}, "p -0.5"),
        (InputMasking, {"low": 0.5, "high": 0.4}, "low 0.5, high 0.4"),
        (InputMasking, {"high": 1.0}, "high 1.0"),
        (InputMasking, {"low": -0.1}, "low -0.1"),
        (Mixup, {"alpha": 0.0}, "not above zero"),
        (Mixup, {"alpha": math.inf}, "not finite"),
    ],
)
def test_impossible_settings_are_refused(method: Callable[..., Method], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method(**settings)


def test_settings_are_given_in_specs() -> None:
    masking, averaging = (build(spec, METHODS, "method", Method) for spec in ("input_masking:0.1,high=0.5", "swa:0.5"))
    assert isinstance(masking, InputMasking)
    assert isinstance(averaging, SWA)
    assert (masking.low, masking.high, averaging.start) == (0.1, 0.5, 0.5)
