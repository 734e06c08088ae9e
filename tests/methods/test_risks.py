"""Balanced ERM, GroupDRO, V-REx and IRM against written-out objectives, closed forms, and each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from support.gradients import episode_of, finite_differences, flat, parameters_of, relative_error, smooth_network
from support.saved_tensors import peak_of
from torch import Tensor

from unseen.methods import METHODS, Batch, Episode, Method, Objective, Params, objective_for
from unseen.methods.balanced import BalancedERM
from unseen.methods.erm import ERM
from unseen.methods.gradients import gradient
from unseen.methods.group_dro import GroupDRO
from unseen.methods.irm import IRM
from unseen.methods.vrex import VREx

NAMES = ("balanced_erm", "group_dro", "vrex", "irm")
BETA, WEIGHT, ETA = 40.0, 3.0, 8.0  # large enough to matter beside the mean risk of random images
STEP = {"l1": 1e-6, "l2": 1e-5, "huber": 1e-5}  # short enough for L1 to cross none of its kinks here


def risks(objective: Objective, params: Params, episode: Episode) -> Tensor:
    with torch.no_grad():
        return torch.stack([objective(params, batch) for batch in episode.confounders])


def mean_risk(objective: Objective, params: Params, episode: Episode) -> float:
    return float(risks(objective, params, episode).sum() / len(episode.confounders))


def vrex_objective(objective: Objective, params: Params, episode: Episode) -> float:
    found = risks(objective, params, episode)
    mean = found.sum() / len(found)
    return float(mean + BETA * ((found - mean) ** 2).sum() / len(found))


# ∂/∂w of the loss of w · f against y at w = 1, as one derives it by hand from the residual f − y.
SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda f, y: ((f - y).sign() * f).mean(),
    "l2": lambda f, y: 2 * ((f - y) * f).mean(),
    "huber": lambda f, y: ((f - y).clamp(-1, 1) * f).mean(),
}


def gain_slopes(objective: Objective, params: Params, episode: Episode, loss: str) -> list[float]:
    with torch.no_grad():
        return [float(SLOPES[loss](objective.restore(params, b), b.clean)) for b in episode.confounders]


def irm_objective(objective: Objective, params: Params, episode: Episode, loss: str) -> float:
    slopes = gain_slopes(objective, params, episode, loss)
    return mean_risk(objective, params, episode) + WEIGHT * sum(d * d for d in slopes) / len(slopes)


@pytest.mark.parametrize("loss", ["l1", "l2", "huber"])
@pytest.mark.parametrize("name", ["balanced_erm", "vrex", "irm"])
def test_gradients_equal_central_differences(name: str, loss: str) -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, loss), parameters_of(network), episode_of(3)
    method, value = {
        "balanced_erm": (BalancedERM(), lambda p: mean_risk(objective, p, episode)),
        "vrex": (VREx(BETA), lambda p: vrex_objective(objective, p, episode)),
        "irm": (IRM(WEIGHT), lambda p: irm_objective(objective, p, episode, loss)),
    }[name]
    found = method.gradient(objective, params, episode)
    expected = finite_differences(value, params, STEP[loss])
    assert relative_error(found, expected) < 1e-6
    if name != "balanced_erm":  # the penalty must matter here, or the mean risk alone would pass as well
        assert relative_error(BalancedERM().gradient(objective, params, episode), expected) > 1e-2


def test_balanced_is_the_mean_of_the_gradients_and_erm_of_all_batches_together() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network), parameters_of(network), episode_of(4)
    found = BalancedERM().gradient(objective, params, episode)
    slopes = [gradient(objective, params, batch) for batch in episode.confounders]
    assert relative_error(found, {name: torch.stack([s[name] for s in slopes]).mean(0) for name in params}) < 1e-12
    parts = episode.confounders
    together = Batch(torch.cat([b.distorted for b in parts]), torch.cat([b.clean for b in parts]))
    assert relative_error(found, ERM().gradient(objective, params, Episode([], together))) < 1e-12


@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_group_dro_is_algorithm_1_step_by_step(loss: str) -> None:
    """q ← q exp(ηL), divided by its sum, then Σ_i q_i ∇L_i; θ moves in between, so that the losses do."""
    network = smooth_network()
    objective, params, method = objective_for(network, loss), parameters_of(network), GroupDRO(ETA)
    q = torch.ones(3, dtype=torch.float64) / 3
    for step in range(4):
        episode = episode_of(3, seed=step)
        q = q * torch.exp(ETA * risks(objective, params, episode))
        q = q / q.sum()
        slopes = [gradient(objective, params, batch) for batch in episode.confounders]
        expected = {name: sum(w * s[name] for w, s in zip(q, slopes, strict=True)) for name in params}
        found = method.gradient(objective, params, episode)
        assert relative_error(found, expected) < 1e-12, step
        assert episode.notes["largest_q"] == pytest.approx(float(q.max()), rel=1e-12)
        params = {name: p - 0.1 * found[name] for name, p in params.items()}
    assert relative_error(BalancedERM().gradient(objective, params, episode), expected) > 1e-2  # q is uneven by now


def test_group_dro_of_a_huge_step_is_the_gradient_of_the_worst() -> None:
    """Where exp(ηL) is beyond all floating-point numbers."""
    network = smooth_network()
    objective, params, episode = objective_for(network), parameters_of(network), episode_of(4)
    worst = int(risks(objective, params, episode).argmax())
    found = GroupDRO(1e9).gradient(objective, params, episode)
    assert relative_error(found, gradient(objective, params, episode.confounders[worst])) < 1e-12


def test_group_dro_begins_as_balanced_where_the_step_size_vanishes() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network), parameters_of(network), episode_of(4)
    balanced = BalancedERM().gradient(objective, params, episode)
    errors = [relative_error(GroupDRO(eta).gradient(objective, params, episode), balanced) for eta in (1, 0.1, 1e-9)]
    assert errors[0] > 5 * errors[1] > 0  # linear in η
    assert errors[2] < 1e-9


@pytest.mark.parametrize("method", [VREx(beta=0), IRM(penalty_weight=0)])
def test_without_its_penalty_a_method_is_balanced_erm(method: Method) -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(4)
    balanced = BalancedERM().gradient(objective, params, episode)
    assert relative_error(method.gradient(objective, params, episode), balanced) < 1e-12


def test_a_single_confounder_or_equal_ones_leave_erm_of_balanced_group_dro_and_vrex() -> None:
    network = smooth_network()
    objective, params, batch = objective_for(network), parameters_of(network), episode_of(1).query
    erm = ERM().gradient(objective, params, Episode([], batch))
    for n in (1, 3):
        for method in (BalancedERM(), GroupDRO(ETA), VREx(1e6)):
            found = method.gradient(objective, params, Episode([batch] * n, batch))
            assert relative_error(found, erm) < 1e-12, (type(method).__name__, n)


@pytest.mark.parametrize("penalty_weight", [1.0, WEIGHT])
def test_irm_under_l1_weighs_the_confounders(penalty_weight: float) -> None:
    """1 + 2λ D_i, as ∇_θ D_i = ∇_θ L_i; with images of mean 1/2 or less, λ = 1 leaves no weight below zero."""
    network = smooth_network()
    objective, params, episode = objective_for(network, "l1"), parameters_of(network), episode_of(3)
    weights = [1 + 2 * penalty_weight * d for d in gain_slopes(objective, params, episode, "l1")]
    assert len({round(w, 3) for w in weights}) == 3
    slopes = [gradient(objective, params, batch) for batch in episode.confounders]
    weighed = [{name: w * s[name] / 3 for name in params} for w, s in zip(weights, slopes, strict=True)]
    expected = {name: torch.stack([part[name] for part in weighed]).sum(0) for name in params}
    found = IRM(penalty_weight).gradient(objective, params, episode)
    assert relative_error(found, expected) < 1e-12


class Gain(torch.nn.Module):
    """f_θ(x) = θ x."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.theta * x


def test_irm_under_l1_has_a_minimum_in_the_dark_where_lambda_exceeds_one_over_twice_the_mean() -> None:
    """f = θ · x with x = y clean, of mean m: for θ < 1 the gradient is −m (1 − 2λ θ m), below zero as long as
    2λ θ m < 1. So a λ up to 1/2m lets every image that is too dark become brighter, and a greater one does not."""
    clean = torch.rand((2, 3, 6, 6), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    batch, mean = Batch(clean, clean), float(clean.mean())
    objective = objective_for(Gain(), "l1")
    for theta in (0.1, 0.5, 0.99):
        params = {"theta": torch.tensor(theta, dtype=torch.float64)}
        for strength in (0.0, 1 / (2 * mean), 4 / (2 * mean)):
            found = IRM(strength).gradient(objective, params, Episode([batch], batch))["theta"]
            assert float(found) == pytest.approx(-mean * (1 - 2 * strength * theta * mean), rel=1e-9)


@pytest.mark.parametrize("kind", [VREx, IRM])
def test_the_penalty_sets_in_when_its_share_of_the_budget_is_spent(kind: Callable[..., Method]) -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network), parameters_of(network), episode_of(3)
    balanced = flat(BalancedERM().gradient(objective, params, episode))
    penalised = flat(kind(10.0).gradient(objective, params, episode))
    assert not torch.equal(penalised, balanced)
    for progress, expected in ((0.0, balanced), (0.29, balanced), (0.3, penalised), (0.99, penalised)):
        episode.progress = progress
        found = flat(kind(10.0, anneal=0.3).gradient(objective, params, episode))
        assert float((found - expected).norm() / expected.norm()) < 1e-12, progress


def test_what_is_logged_is_what_is_penalised() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(3)
    VREx().gradient(objective, params, episode)
    IRM().gradient(objective, params, episode)
    slopes = gain_slopes(objective, params, episode, "l2")
    variance = risks(objective, params, episode).var(correction=0)
    assert float(episode.notes["risk_variance"]) == pytest.approx(float(variance), rel=1e-12)
    assert episode.notes["penalty"] == pytest.approx(sum(d * d for d in slopes) / 3, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_n_evaluations_are_counted_and_the_query_is_never_made(name: str) -> None:
    def never() -> Batch:
        raise AssertionError("the query is made in vain")

    network = smooth_network()
    objective, params, confounders = objective_for(network), parameters_of(network), episode_of(4).confounders
    expected = mean_risk(objective_for(network), params, Episode(confounders, never))
    METHODS[name]().gradient(objective, params, Episode(confounders, never))
    assert objective.tally.images == 2 * 4
    assert objective.tally.calls == 4
    assert float(objective.tally.loss) / 4 == pytest.approx(expected, rel=1e-12)  # the risk, and no penalty


@pytest.mark.parametrize("name", NAMES)
def test_one_backward_pass_through_the_network_for_each_confounder(name: str) -> None:
    """What is counted as one is one: IRM, too, differentiates twice in its loss only."""
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

    network.register_forward_hook(lambda _, __, restored: Counted.apply(restored))
    METHODS[name]().gradient(objective_for(network), parameters_of(network), episode_of(4))
    assert passes == [4]


@pytest.mark.parametrize("name", NAMES)
def test_memory_does_not_grow_with_the_confounders(name: str) -> None:
    network = smooth_network()
    objective, params = objective_for(network), parameters_of(network)
    few, many = (peak_of(partial(METHODS[name]().gradient, objective, params, episode_of(n))) for n in (2, 8))
    assert many == few > 0


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_drawn(name: str) -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network), parameters_of(network), episode_of(3)
    assert episode.generator is not None
    before = episode.generator.get_state(), torch.random.get_rng_state()
    first, second = (METHODS[name]().gradient(objective, params, episode) for _ in range(2))
    assert torch.equal(flat(first), flat(second))
    assert torch.equal(episode.generator.get_state(), before[0])
    assert torch.equal(torch.random.get_rng_state(), before[1])


def test_group_dro_is_resumed_from_its_state() -> None:
    network = smooth_network()
    objective, params = objective_for(network), parameters_of(network)
    whole, first, second = (GroupDRO(ETA) for _ in range(3))
    assert first.state_dict() == {}
    for step in range(3):
        whole.gradient(objective, params, episode_of(3, step))
        first.gradient(objective, params, episode_of(3, step))
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    expected = flat(whole.gradient(objective, params, episode_of(3, 9)))
    assert torch.equal(flat(second.gradient(objective, params, episode_of(3, 9))), expected)
    fresh = GroupDRO(ETA)
    fresh.load_state_dict({})  # as of a run that was stopped before its first step
    assert not torch.equal(flat(fresh.gradient(objective, params, episode_of(3, 9))), expected)  # the state matters


def test_group_dro_keeps_to_one_set_of_confounders() -> None:
    network = smooth_network()
    objective, params, method = objective_for(network), parameters_of(network), GroupDRO()
    method.gradient(objective, params, episode_of(3))
    with pytest.raises(ValueError, match="weights for 3 confounders, not for 2"):
        method.gradient(objective, params, episode_of(2))
    resumed = GroupDRO()
    resumed.load_state_dict(method.state_dict())
    with pytest.raises(ValueError, match="weights for 3 confounders, not for 4"):
        resumed.gradient(objective, params, episode_of(4))


@pytest.mark.parametrize("name", NAMES)
def test_states_of_another_method_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"keeps (no state|log_q alone), but the state has steps_taken"):
        METHODS[name]().load_state_dict({"steps_taken": torch.tensor(3)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GroupDRO(0.0), "GroupDRO: step_size 0.0 is not above zero"),
        (lambda: GroupDRO(math.nan), "GroupDRO: step_size nan is not finite"),
        (lambda: GroupDRO(math.inf), "not finite"),
        (lambda: VREx(-1.0), "VREx: beta -1.0 is below zero"),
        (lambda: VREx(math.nan), "VREx: beta nan is not finite"),
        (lambda: VREx(anneal=1.0), r"VREx: anneal 1.0 is not within \[0, 1\)"),
        (lambda: VREx(anneal=-0.1), r"VREx: anneal -0.1 is not within"),
        (lambda: IRM(-1.0), "IRM: penalty_weight -1.0 is below zero"),
        (lambda: IRM(math.inf), "IRM: penalty_weight inf is not finite"),
        (lambda: IRM(anneal=math.nan), r"IRM: anneal nan is not within"),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], Method], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
