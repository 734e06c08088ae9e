"""Fishr and CORAL against written-out objectives; what they, MLDG and Fish cost, draw, keep and refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch
from support.gradients import (
    again,
    episode_of,
    finite_differences,
    flat,
    mean_risk,
    parameters_of,
    relative_error,
    slopes,
    small_network,
    smooth_network,
)
from torch import Tensor, nn
from torch.func import functional_call

from unseen.methods import METHODS, Batch, Episode, Method, Objective, Params, objective_for
from unseen.methods.balanced import BalancedERM
from unseen.methods.coral import CORAL
from unseen.methods.fish import Fish
from unseen.methods.fishr import Fishr
from unseen.methods.gradients import gradient
from unseen.methods.mldg import MLDG

NAMES = ("mldg", "fish", "fishr", "coral")
VARIANCES, MOMENTS = 1e4, 30.0  # penalties that matter beside the mean risk of random images
LAST, SMALL_LAST = ("4.weight", "4.bias"), ("2.weight", "2.bias")
STEP = {"l1": 1e-6, "l2": 1e-5}  # short enough for L1 to cross none of its kinks here


def variances(objective: Objective, params: Params, batch: Batch, last: tuple[str, ...]) -> Tensor:
    """Of the gradients to the last layer, image by image, each by its own pass through the network."""
    images = [Batch(batch.distorted[b : b + 1], batch.clean[b : b + 1]) for b in range(len(batch))]
    rows = torch.stack([torch.cat([s[name].flatten() for name in last]) for s in slopes(objective, params, images)])
    return ((rows - rows.sum(0) / len(rows)) ** 2).sum(0) / (len(rows) - 1)


def spread(rows: Tensor) -> float:
    """(1/n) Σ_i ‖v_i − v̄‖²."""
    return sum(float(((row - rows.sum(0) / len(rows)) ** 2).sum()) for row in rows) / len(rows)


@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_fishr_equals_central_differences(loss: str) -> None:
    network = small_network()
    objective, params = objective_for(network, loss), parameters_of(network)
    episode = episode_of(3, shape=(4, 3, 6, 6))
    batches = list(episode.confounders)

    def value(at: Params) -> float:
        rows = torch.stack([variances(objective, at, batch, SMALL_LAST) for batch in batches])
        return mean_risk(objective, at, batches) + VARIANCES * spread(rows)

    found = Fishr(VARIANCES, ema=0, anneal=0).gradient(objective, params, episode)
    expected = finite_differences(value, params, STEP[loss])
    assert relative_error(found, expected) < 1e-6
    assert relative_error(BalancedERM().gradient(objective, params, episode), expected) > 1e-2  # the penalty matters
    rows = torch.stack([variances(objective, params, batch, SMALL_LAST) for batch in batches])
    assert episode.notes["penalty"] == pytest.approx(spread(rows), rel=1e-9)


def test_fishr_smooths_variances_as_domainbed_does() -> None:
    """An average over the steps, divided by 1 − γ; what was before is a constant."""
    network = small_network()
    objective, params, gamma = objective_for(network, "l2"), parameters_of(network), 0.9
    method, average = Fishr(VARIANCES, gamma, anneal=0), torch.zeros(())
    for step in range(3):
        episode = episode_of(3, seed=step)
        batches, before = list(episode.confounders), average

        def averaged(at: Params, batches: list[Batch] = batches, before: Tensor = before) -> Tensor:
            rows = torch.stack([variances(objective, at, batch, SMALL_LAST) for batch in batches])
            return gamma * before + (1 - gamma) * rows

        found = method.gradient(objective, params, episode)
        average = averaged(params)
        assert episode.notes["penalty"] == pytest.approx(spread(average / (1 - gamma)), rel=1e-9), step
    expected = finite_differences(
        lambda at: mean_risk(objective, at, batches) + VARIANCES * spread(averaged(at) / (1 - gamma)), params
    )
    assert relative_error(found, expected) < 1e-6
    fresh = Fishr(VARIANCES, gamma, anneal=0).gradient(objective, params, episode)
    assert relative_error(fresh, expected) > 1e-2  # the memory matters


class Backwards(nn.Module):
    """The last layer to run is registered first, a frozen one runs after it, and a residual goes around all."""

    def __init__(self) -> None:
        super().__init__()
        self.ending = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.first = nn.Conv2d(3, 2, 3, padding=1)
        self.frozen = nn.Conv2d(3, 3, 1).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tanh(self.frozen(self.ending(torch.tanh(self.first(x)))))


def test_the_last_layer_of_fishr_is_the_last_to_run_that_is_trained() -> None:
    torch.manual_seed(0)
    network = Backwards().double()
    params = {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}
    objective, episode = objective_for(network, "l2"), episode_of(3)
    batches = list(episode.confounders)

    def value(at: Params) -> float:
        rows = torch.stack([variances(objective, at, batch, ("ending.weight",)) for batch in batches])
        return mean_risk(objective, at, batches) + VARIANCES * spread(rows)

    found = Fishr(VARIANCES, ema=0, anneal=0).gradient(objective, params, episode)
    assert relative_error(found, finite_differences(value, params)) < 1e-6
    assert not any(module._forward_hooks for module in network.modules())


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        restored: Tensor = self.last(x)
        return restored.mul_(2)


class Halved(nn.Module):
    """Its last layer is given half images, so twice as many."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        restored: Tensor = self.last(x.reshape(-1, 3, 3, 6))
        return restored.reshape(x.shape)


@pytest.mark.parametrize(("kind", "message"), [(Halved, "images one by one"), (InPlace, "changed in place")])
def test_fishr_refuses_last_layers_whose_output_is_not_image_by_image(kind: type[nn.Module], message: str) -> None:
    network = kind().double()
    objective = objective_for(network)
    with pytest.raises(ValueError, match=f"Fishr: .*last, the last layer, .*{message}"):
        Fishr().check(objective, parameters_of(network), episode_of(1).query)


def test_the_penalty_of_fishr_sets_in_when_its_share_of_the_budget_is_spent() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network), parameters_of(network), episode_of(3)
    balanced = flat(BalancedERM().gradient(objective, params, episode))
    penalised = flat(Fishr(VARIANCES, anneal=0).gradient(objective, params, episode))
    assert not torch.equal(penalised, balanced)
    for progress, expected in ((0.0, balanced), (0.29, balanced), (0.3, penalised), (0.99, penalised)):
        episode.progress = progress
        assert torch.equal(flat(Fishr(VARIANCES).gradient(objective, params, episode)), expected), progress


def test_fishr_is_resumed_from_its_state() -> None:
    network = smooth_network()
    objective, params = objective_for(network), parameters_of(network)
    whole, first, second = (Fishr(VARIANCES, anneal=0) for _ in range(3))
    assert first.state_dict() == {}
    for step in range(3):
        whole.gradient(objective, params, episode_of(3, step))
        first.gradient(objective, params, episode_of(3, step))
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    expected = flat(whole.gradient(objective, params, episode_of(3, 9)))
    assert torch.equal(flat(second.gradient(objective, params, episode_of(3, 9))), expected)
    fresh = Fishr(VARIANCES, anneal=0)
    fresh.load_state_dict({})  # as of a run that was stopped before the penalty set in
    assert not torch.equal(flat(fresh.gradient(objective, params, episode_of(3, 9))), expected)  # the state matters
    with pytest.raises(ValueError, match="3 confounders' variances, not of 2"):
        second.gradient(objective, params, episode_of(2))


def test_fishr_refuses_batches_of_one_image() -> None:
    network = smooth_network()
    objective, params = objective_for(network), parameters_of(network)
    Fishr().check(objective, params, episode_of(1).query)
    assert objective.tally.images == 0
    with pytest.raises(ValueError, match="one image has no variance"):
        Fishr().check(objective, params, episode_of(1, shape=(1, 3, 6, 6)).query)


def moment_distance(body: nn.Module, params: Params, batches: list[Batch], normalised: bool) -> float:
    """Of what the last layer is given, pixel by pixel, between all pairs."""
    with torch.no_grad():
        found = [functional_call(body, dict(params), (batch.distorted,)).permute(0, 2, 3, 1) for batch in batches]
        rows = torch.stack([features.flatten(0, 2) for features in found])  # (n, BHW, C)
        if normalised:
            rows = rows / (rows**2).mean() ** 0.5
        means = rows.sum(1) / rows.shape[1]
        apart = rows - means[:, None]
        covariances = apart.transpose(1, 2) @ apart / (rows.shape[1] - 1)
        pairs, channels = list(combinations(range(len(batches)), 2)), rows.shape[2]
        squares = sum(float(((means[i] - means[j]) ** 2).sum()) / channels for i, j in pairs)
        squares += sum(float(((covariances[i] - covariances[j]) ** 2).sum()) / channels**2 for i, j in pairs)
        return squares / len(pairs)


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_coral_equals_central_differences(loss: str, normalised: bool) -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, loss), parameters_of(network), episode_of(3)
    batches, body = list(episode.confounders), network[:-1]  # type: ignore[index]

    def penalty(at: Params) -> float:
        return moment_distance(body, {name: at[name] for name in at if name not in LAST}, batches, normalised)

    found = CORAL(MOMENTS, normalised).gradient(objective, params, episode)
    expected = finite_differences(
        lambda at: mean_risk(objective, at, batches) + MOMENTS * penalty(at), params, STEP[loss]
    )
    assert relative_error(found, expected) < 1e-6
    assert relative_error(BalancedERM().gradient(objective, params, episode), expected) > 1e-2  # the penalty matters
    assert episode.notes["penalty"] == pytest.approx(penalty(params), rel=1e-9)


def test_coral_as_it_is_by_default_gains_nothing_by_small_features() -> None:
    """A tenth of the features, and a last layer ten times as large, is the same network."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 1)).double()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(3)
    small = {
        name: value * (10 if name == "1.weight" else 0.1 if name[0] == "0" else 1) for name, value in params.items()
    }
    penalties = []
    for at in (params, small):
        for normalised in (True, False):
            CORAL(MOMENTS, normalised).gradient(objective, at, episode)
            penalties.append(episode.notes["penalty"])
    assert penalties[2] == pytest.approx(penalties[0], rel=1e-9)
    assert penalties[3] < 0.02 * penalties[1]


def test_coral_sees_moments_and_no_places() -> None:
    """Images in another order have the same moments."""
    network = smooth_network()
    objective, params, batch = objective_for(network, "l2"), parameters_of(network), episode_of(1).query
    episode = Episode([batch, Batch(batch.distorted.flip(0), batch.clean.flip(0))], batch)
    CORAL().gradient(objective, params, episode)
    assert episode.notes["penalty"] < 1e-25
    CORAL().gradient(objective, params, other := Episode([batch, episode_of(1, seed=2).query], batch))
    assert other.notes["penalty"] > 1e-9


@pytest.mark.parametrize("method", [Fishr(0.0, anneal=0), CORAL(0.0)])
def test_without_its_penalty_a_method_is_balanced_erm(method: Method) -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(4)
    balanced = BalancedERM().gradient(objective, params, episode)
    assert relative_error(method.gradient(objective, params, episode), balanced) < 1e-12


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("make", [lambda: Fishr(1e9, anneal=0), lambda: CORAL(1e9)])
def test_equal_confounders_leave_nothing_to_match(make: Callable[[], Method], n: int) -> None:
    network = smooth_network()
    objective, params, batch = objective_for(network), parameters_of(network), episode_of(1).query
    method = make()
    for _ in range(2):
        found = method.gradient(objective, params, Episode([batch] * n, batch))
        assert relative_error(found, gradient(objective, params, batch)) < 1e-9


@pytest.mark.parametrize(
    ("method", "evaluations"),
    [
        (MLDG(order=1), 4),
        (MLDG(), 4 + 3 * 3),
        (MLDG(meta_test=3), 4 + 3),
        (Fish(), 4),
        (Fishr(), 4),
        (Fishr(anneal=0), 4),
        (CORAL(), 4),
    ],
)
def test_gradient_evaluations_are_counted_and_the_query_is_never_made(method: Method, evaluations: int) -> None:
    def never() -> Batch:
        raise AssertionError("the query is made in vain")

    network = smooth_network()
    objective, params = objective_for(network), parameters_of(network)
    method.gradient(objective, params, Episode(episode_of(4).confounders, never))
    assert objective.tally.images == 2 * evaluations


@pytest.mark.parametrize("method", [Fishr(VARIANCES, anneal=0), CORAL(MOMENTS)])
def test_a_penalty_takes_no_other_pass_through_the_body_of_the_network(method: Method) -> None:
    """One backward pass to each confounder's features, for the loss and the penalty together."""
    network, passes = smooth_network(), [0]

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(_: Any, slope: Tensor) -> Tensor:
            passes[0] += 1
            return slope

    network[3].register_forward_hook(lambda _, __, features: Counted.apply(features))  # type: ignore[index]
    objective, params, episode = objective_for(network), parameters_of(network), episode_of(4)
    method.gradient(objective, params, episode)
    assert passes == [4]
    assert objective.tally.calls == 4
    expected = mean_risk(objective_for(network), params, list(episode.confounders))
    assert float(objective.tally.loss) / 4 == pytest.approx(expected, rel=1e-12)  # the risk, and no penalty


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_alone_decides(name: str) -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network), parameters_of(network), episode_of(4)
    before = torch.random.get_rng_state()
    found = [flat(METHODS[name]().gradient(objective, params, again(episode, seed))) for seed in (1, 1, *range(2, 9))]
    assert torch.equal(found[0], found[1])
    assert all(torch.equal(found[0], other) for other in found) == (name in ("fishr", "coral"))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_states_of_another_method_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"keeps? (no state|variances alone), but the state has steps_taken"):
        METHODS[name]().load_state_dict({"steps_taken": torch.tensor(3)})


@pytest.mark.parametrize("name", NAMES)
def test_ranges_are_of_settings_and_hold_usable_values(name: str) -> None:
    ranges = METHODS[name]().ranges
    assert ranges
    for setting, range_ in ranges.items():
        for end in (range_.low, range_.high):
            METHODS[name](**{setting: end})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLDG(0.0), "MLDG: inner_lr 0.0 is not above zero"),
        (lambda: MLDG(math.inf), "MLDG: inner_lr inf is not finite"),
        (lambda: MLDG(beta=-1.0), "MLDG: beta -1.0 is below zero"),
        (lambda: MLDG(meta_test=0), "MLDG: meta_test 0 is below one"),
        (lambda: MLDG(order=3), "MLDG: order 3 is neither 1 nor 2"),  # type: ignore[arg-type]
        (lambda: MLDG(hvp="forward"), "exact or finite-difference"),  # type: ignore[arg-type]
        (lambda: MLDG(order=1, hvp="finite-difference"), "order 1 has no"),
        (lambda: Fish(0.0), "inner_lr 0.0 is not above zero"),
        (lambda: Fishr(-1.0), "Fishr: penalty_weight -1.0 is below zero"),
        (lambda: Fishr(math.nan), "Fishr: penalty_weight nan is not finite"),
        (lambda: Fishr(ema=1.0), r"Fishr: ema 1.0 is not within \[0, 1\)"),
        (lambda: Fishr(anneal=-0.1), r"Fishr: anneal -0.1 is not within"),
        (lambda: CORAL(-1.0), "CORAL: penalty_weight -1.0 is below zero"),
        (lambda: CORAL(math.inf), "CORAL: penalty_weight inf is not finite"),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], Method], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
