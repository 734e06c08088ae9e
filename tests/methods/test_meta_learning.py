"""MLDG and Fish against written-out objectives and algorithms, and against DIL, their kin."""

from __future__ import annotations

from functools import partial
from itertools import combinations, permutations
from typing import Any

import pytest
import torch
from support.closed_forms import ALPHA
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
from support.saved_tensors import peak_of

from unseen.methods import DIL, SGD, Batch, Episode, Params, objective_for
from unseen.methods.balanced import BalancedERM
from unseen.methods.dil import DILsf
from unseen.methods.fish import Fish
from unseen.methods.gradients import gradient
from unseen.methods.mldg import MLDG
from unseen.methods.params import norm

BETA = 0.7


def total(parts: list[Params], weights: list[float]) -> Params:
    return {name: sum(w * part[name] for w, part in zip(weights, parts, strict=True)) for name in parts[0]}  # type: ignore[misc]


def mean(parts: list[Params]) -> Params:
    return total(parts, [1 / len(parts)] * len(parts))


def split(episode: Episode, meta_test: int, seed: int = 1) -> tuple[list[Batch], list[Batch]]:
    """What MLDG trains and tests on under a seed."""
    order = torch.randperm(len(episode.confounders), generator=torch.Generator().manual_seed(seed)).tolist()
    return [episode.confounders[i] for i in order[meta_test:]], [episode.confounders[i] for i in order[:meta_test]]


@pytest.mark.parametrize(("meta_test", "loss"), [(1, "l2"), (2, "huber")])
def test_mldg_of_order_2_equals_central_differences(meta_test: int, loss: str) -> None:
    network = small_network()
    objective, params, episode = objective_for(network, loss), parameters_of(network), episode_of(4)
    train, test = split(episode, meta_test)

    def value(at: Params) -> float:
        step = mean(slopes(objective, at, train))
        phi = {name: at[name] - ALPHA * step[name] for name in at}
        return mean_risk(objective, at, train) + BETA * mean_risk(objective, phi, test)

    found = MLDG(ALPHA, BETA, meta_test).gradient(objective, params, episode)
    expected = finite_differences(value, params)
    assert relative_error(found, expected) < 1e-6
    # The curvature must matter here, and so must the split, or less would pass as well.
    assert (
        relative_error(MLDG(ALPHA, BETA, meta_test, order=1).gradient(objective, params, again(episode)), found) > 1e-3
    )
    assert episode.notes["curvature"] > 1e-3
    length = ALPHA * norm(mean(slopes(objective, params, train)))
    assert episode.notes["virtual_step"] == pytest.approx(length / norm(params), rel=1e-9)
    others = [MLDG(ALPHA, BETA, meta_test).gradient(objective, params, again(episode, seed)) for seed in range(2, 9)]
    assert max(relative_error(other, found) for other in others) > 1e-2


def test_mldg_of_order_1_leaves_the_hessian_out() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network), parameters_of(network), episode_of(4)
    train, test = split(episode, 1)
    before = mean(slopes(objective, params, train))
    phi = {name: params[name] - ALPHA * before[name] for name in params}
    expected = total([before, mean(slopes(objective, phi, test))], [1, BETA])
    found = MLDG(ALPHA, BETA, order=1).gradient(objective, params, episode)
    assert relative_error(found, expected) < 1e-12
    assert "curvature" not in episode.notes


def seed_that_tests_on_the_last(n: int) -> int:
    """A seed under which MLDG tests on the last of n confounders."""
    return next(s for s in range(99) if torch.randperm(n, generator=torch.Generator().manual_seed(s))[0] == n - 1)


def test_mldg_on_one_confounder_tested_on_the_query_is_a_term_of_dil_ss() -> None:
    """(4) is the mean over i of ∇ L(φ_i) on the query; MLDG's gradient less ∇F is each of these terms."""
    network = smooth_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(3)
    terms = []
    for batch in episode.confounders:
        pair = Episode([batch, episode.query], episode.query)
        whole = MLDG(ALPHA, 1.0).gradient(objective, params, again(pair, seed_that_tests_on_the_last(2)))
        terms.append(total([whole, gradient(objective, params, batch)], [1, -1]))
    expected = DIL("serial", 2, ALPHA).gradient(objective, params, episode)
    assert relative_error(mean(terms), expected) < 1e-12


def test_mldg_on_all_confounders_tested_on_the_query_is_dil_ps() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(3)
    joined = Episode([*episode.confounders, episode.query], episode.query)
    whole = MLDG(ALPHA, 1.0).gradient(objective, params, again(joined, seed_that_tests_on_the_last(4)))
    found = total([whole, BalancedERM().gradient(objective, params, episode)], [1, -1])
    expected = DIL("parallel", 2, ALPHA).gradient(objective, params, episode)
    assert relative_error(found, expected) < 1e-12


@pytest.mark.parametrize("order", [1, 2])
def test_mldg_becomes_plain_gradients_as_alpha_vanishes(order: Any) -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(4)
    train, test = split(episode, 1)
    expected = total([mean(slopes(objective, params, batches)) for batches in (train, test)], [1, BETA])
    errors = [
        relative_error(MLDG(alpha, BETA, order=order).gradient(objective, params, again(episode)), expected)
        for alpha in (1e-2, 1e-3, 1e-9)
    ]
    assert errors[0] > 5 * errors[1] > 0  # linear in α
    assert errors[2] < 1e-7


def test_mldg_tests_on_every_confounder_in_turn() -> None:
    episode = episode_of(3)
    tested = [split(episode, 1, seed)[1][0] for seed in range(20)]
    assert all(any(batch is confounder for batch in tested) for confounder in episode.confounders)


def test_mldg_needs_confounders_to_test_on() -> None:
    network = smooth_network()
    objective, params = objective_for(network), parameters_of(network)
    for method, n in ((MLDG(), 1), (MLDG(meta_test=3), 3)):
        with pytest.raises(ValueError, match=rf"MLDG: needs more than {n} confounders"):
            method.gradient(objective, params, episode_of(n))


def test_mldg_of_order_2_is_checked_beforehand() -> None:
    network = smooth_network()
    objective, params, batch = objective_for(network, "l1"), parameters_of(network), episode_of(1).query
    MLDG(order=1).check(objective, params, batch)
    MLDG().check(objective, params, batch)
    with pytest.raises(ValueError, match="smooth loss"):
        MLDG(hvp="finite-difference").check(objective, params, batch)


def test_memory_of_mldg_does_not_grow_with_the_confounders() -> None:
    network = smooth_network()
    objective, params = objective_for(network), parameters_of(network)
    few, many = (peak_of(partial(MLDG().gradient, objective, params, episode_of(n))) for n in (2, 8))
    assert many == few > 0


def test_fish_is_algorithm_1() -> None:
    """With plain descent at the rate εαn outside, θ ends at θ + ε(θ̃ − θ)."""
    network = smooth_network()
    objective, params, episode = objective_for(network, "l1"), parameters_of(network), episode_of(4)
    moved, epsilon = params, 0.3
    for i in torch.randperm(4, generator=torch.Generator().manual_seed(1)).tolist():
        slope = gradient(objective, moved, episode.confounders[i])
        moved = {name: moved[name] - ALPHA * slope[name] for name in params}
    expected = {name: params[name] + epsilon * (moved[name] - params[name]) for name in params}
    found = Fish(ALPHA).gradient(objective, params, episode)
    stepped = {name: params[name] - epsilon * ALPHA * 4 * found[name] for name in params}
    assert relative_error(stepped, expected) < 1e-12


def test_fish_is_dil_serial_of_first_order_with_inner_sgd() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network), parameters_of(network), episode_of(4)
    found = flat(Fish(ALPHA).gradient(objective, params, again(episode)))
    assert torch.equal(found, flat(DIL("serial", 1, ALPHA, SGD).gradient(objective, params, again(episode))))
    assert not torch.equal(found, flat(DILsf(ALPHA).gradient(objective, params, again(episode))))


def test_fish_raises_the_inner_products_of_gradients_to_the_first_order() -> None:
    """The mean over all orders is the slope of (1/n) Σ_i L_i − (α/2n) Σ_{i<j} ⟨∇L_i, ∇L_j⟩, up to α²."""
    network = small_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(3)

    def inner_products(at: Params) -> float:
        found = [flat(slope) for slope in slopes(objective, at, list(episode.confounders))]
        return sum(float(a @ b) for a, b in combinations(found, 2))

    balanced = BalancedERM().gradient(objective, params, episode)
    expected = {name: -slope / 6 for name, slope in finite_differences(inner_products, params).items()}
    errors = []
    for alpha in (1e-2, 1e-3, 1e-4):
        paths = [
            Fish(alpha).gradient(objective, params, again(Episode(order, episode.query)))
            for order in permutations(episode.confounders)
        ]
        beyond = total([mean(paths), balanced], [1 / alpha, -1 / alpha])
        errors.append(relative_error(beyond, expected))
    assert errors[0] > 5 * errors[1] > 25 * errors[2]  # what is left is linear in α, so α² of the whole
    assert errors[2] < 1e-3
