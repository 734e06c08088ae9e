"""EMA and SWA against their recursions written out; what they keep, and what they leave to ERM."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from support.closed_forms import Quadratic
from support.gradients import (
    episode_of,
    equal,
    generator,
    parameters_of,
    smooth_network,
)
from torch import Tensor

from unseen.methods import Batch, Episode, Method, objective_for
from unseen.methods.averaging import EMA, SWA, WeightAveraging
from unseen.methods.erm import ERM


def walk(method: Method, steps: int, seed: int = 0, budget: int | None = None) -> tuple[list[Tensor], Tensor]:
    """The iterates θ_0 ... θ_steps of a random walk, and the weights that stand for it at its end.

    θ moves in place after each gradient, as an optimiser moves it.
    """
    network, draws = Quadratic(), generator(seed)
    objective, theta = objective_for(network), network.theta
    iterates = [theta.detach().clone()]
    for step in range(steps):
        episode = episode_of(1)
        episode.progress = step / (budget or steps)
        method.gradient(objective, {"theta": theta}, episode)
        theta.data.add_(torch.randn(theta.shape, generator=draws, dtype=theta.dtype))
        iterates.append(theta.detach().clone())
    return iterates, method.weights({"theta": theta})["theta"]


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.7, 0.999])  # of 20 steps, those are warm-up up to 0, 4, 20, 20
def test_ema_equals_its_recursion_written_out(decay: float) -> None:
    iterates, found = walk(EMA(decay), 20)
    keeps = [min(decay, t / (t + 9)) for t in range(len(iterates))]
    shares = [(1 - keeps[t]) * math.prod(keeps[t + 1 :]) for t in range(len(iterates))]
    assert math.isclose(sum(shares), 1)  # an average, from the first step on
    expected = torch.stack([share * theta for share, theta in zip(shares, iterates, strict=True)]).sum(0)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_ema_soon_forgets_the_initial_weights() -> None:
    """Without warm-up a decay of 0.999 would keep 0.96 of them for 40 steps."""
    method, objective = EMA(), objective_for(Quadratic())
    ones = torch.ones(1, 3, 1, 1, dtype=torch.float64)
    for step in range(40):
        method.gradient(objective, {"theta": ones if step == 0 else 0 * ones}, episode_of(1))
    left = method.weights({"theta": 0 * ones})["theta"]
    expected = math.factorial(9) * math.factorial(40) / math.factorial(49)
    torch.testing.assert_close(left, expected * ones, rtol=1e-12, atol=0)
    assert expected < 1e-8


def test_swa_is_the_plain_mean_of_late_iterates() -> None:
    iterates, found = walk(SWA(start=0.6), 10)
    torch.testing.assert_close(found, torch.stack(iterates[6:]).mean(0), rtol=1e-12, atol=1e-12)
    iterates, found = walk(SWA(start=0.0), 10)
    torch.testing.assert_close(found, torch.stack(iterates).mean(0), rtol=1e-12, atol=1e-12)


def test_swa_leaves_the_weights_alone_until_it_starts() -> None:
    iterates, found = walk(SWA(), 7, budget=10)  # up to a share of 0.6 before the last step
    assert torch.equal(found, iterates[-1])


@pytest.mark.parametrize("method", [EMA(), SWA(0.0)])
def test_averaging_trains_as_erm_does_and_looking_changes_nothing(method: WeightAveraging) -> None:
    network, episode = smooth_network(), episode_of(1)
    objective, params = objective_for(network), dict(network.named_parameters())
    assert equal(method.weights(params), params)
    assert equal(method.gradient(objective, params, episode), ERM().gradient(objective, params, episode))
    moved = {name: value + 1 for name, value in params.items()}
    first, second = method.weights(moved), method.weights(moved)
    assert equal(first, second)
    assert not equal(first, moved)
    assert not any(value.requires_grad for value in first.values())


@pytest.mark.parametrize("make", [EMA, lambda: SWA(0.3)])
def test_averages_are_resumed_bit_for_bit(make: Callable[[], WeightAveraging]) -> None:
    network = smooth_network()
    objective = objective_for(network)
    params = [{k: v.float() * (step + 1) for k, v in parameters_of(network).items()} for step in range(10)]
    whole, first, second = make(), make(), make()
    for step in range(10):
        episode = Episode([], Batch(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)))
        episode.progress = step / 10
        if step == 6:
            second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
        for method in (whole, first if step < 6 else second):
            method.gradient(objective, params[step], episode)
    assert equal(second.weights(params[0]), whole.weights(params[0]))
    assert equal(second.state_dict(), whole.state_dict())
    assert not equal(make().weights(params[0]), whole.weights(params[0]))  # the state matters
