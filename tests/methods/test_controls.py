"""Controls of DIL: its inner steps on mixtures, ERM on larger batches and at lower rates; and its inner optimisers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.closed_forms import ALPHA, Quadratic, closed_form
from support.gradients import again, episode_of, equal, parameters_of, relative_error, smooth_network
from torch import Tensor

from unseen.core.shares import ALONE, Shares
from unseen.methods import DIL, METHODS, SGD, Batch, Episode, Objective, Params, objective_for
from unseen.methods.dil import DILControl, DILsf, dealt
from unseen.methods.erm import ERM
from unseen.methods.gradients import gradient

IMAGES = (4, 3, 6, 6)


def numbered(n: int, size: int) -> list[Batch]:
    """Batches whose pixels tell the confounder in the distorted image, and the place in the batch in the clean one."""
    places = torch.arange(float(size)).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return [Batch(torch.full_like(places, i), places) for i in range(n)]


def origins(batch: Batch) -> list[tuple[int, int]]:
    return [(int(y[0, 0, 0]), int(x[0, 0, 0])) for y, x in zip(batch.distorted, batch.clean, strict=True)]


def test_every_batch_of_the_control_has_all_contents_and_equal_shares_of_all_confounders() -> None:
    hands = [origins(batch) for batch in dealt(numbered(4, 8), ALONE)]
    for hand in hands:
        assert [place for _, place in hand] == list(range(8))
        assert sorted(confounder for confounder, _ in hand) == sorted(list(range(4)) * 2)
    assert sorted(image for hand in hands for image in hand) == [
        (i, j) for i in range(4) for j in range(8)
    ]  # each image once


def test_processes_deal_as_one() -> None:
    whole = [origins(batch) for batch in dealt(numbered(3, 8), ALONE)]
    halves = []
    for rank in range(2):
        shares = Shares(rank, 2)
        own = [Batch(shares.own(batch.distorted), shares.own(batch.clean)) for batch in numbered(3, 8)]
        halves.append([origins(batch) for batch in dealt(own, shares)])
    assert [first + second for first, second in zip(*halves, strict=True)] == whole


def test_the_control_walks_over_mixtures_as_its_closed_form_says() -> None:
    network = Quadratic()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(4, 1, IMAGES)
    phi = params["theta"]
    for batch in dealt(list(again(episode).in_random_order()), ALONE):
        phi = phi - ALPHA * closed_form({"theta": phi}, batch)[0]
    found = DILControl(ALPHA, "sgd").gradient(objective, params, episode)["theta"]
    torch.testing.assert_close(found, (params["theta"] - phi) / (4 * ALPHA), rtol=1e-12, atol=0)
    assert relative_error({"": found}, DILsf(ALPHA, "sgd").gradient(objective, params, again(episode))) > 1e-6


def test_without_a_difference_between_confounders_dil_is_its_control() -> None:
    network = smooth_network()
    objective, params = objective_for(network), parameters_of(network)
    same = Episode([episode_of(1).query] * 3, episode_of(1).query, torch.Generator().manual_seed(1))
    assert equal(
        DILControl(1e-3).gradient(objective, params, same), DILsf(1e-3).gradient(objective, params, again(same))
    )


def test_erm_on_several_batches_is_erm_on_one_of_all_their_images() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network, "l2"), parameters_of(network), episode_of(2, 1, IMAGES)
    found = ERM(batches=3).gradient(objective, params, episode)
    assert objective.take_tally().images == 3 * len(episode.query)
    mixtures = episode.mixtures(3)
    assert mixtures[0] is episode.query
    whole = Batch(torch.cat([batch.distorted for batch in mixtures]), torch.cat([batch.clean for batch in mixtures]))
    assert relative_error(found, gradient(objective, params, whole)) < 1e-12
    assert equal(ERM(batches=1).gradient(objective, params, episode), gradient(objective, params, episode.query))


def test_an_episode_of_one_mixture_has_no_more() -> None:
    network = smooth_network()
    episode = Episode([], episode_of(1).query)
    assert episode.mixtures(1) == [episode.query]
    with pytest.raises(ValueError, match="2 mixture batches are asked for, and the episode has the query alone"):
        ERM(batches=2).gradient(objective_for(network), parameters_of(network), episode)


@pytest.mark.parametrize("settings", [{"batches": 0}, {"lr_share": 0.0}, {"lr_share": float("nan")}])
def test_impossible_settings_of_erm_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^ERM: (batches 0 is not from 1 to 256|lr_share .* is not)"):
        ERM(**settings)


def adam_steps(objective: Objective, params: Params, batches: list[Batch]) -> dict[str, Tensor]:
    """The weights after one step of torch's Adam on each batch, from a state of its own."""
    moved = {name: value.clone().requires_grad_() for name, value in params.items()}
    optimiser = torch.optim.Adam(moved.values(), lr=1e-3, betas=(0.0, 0.999))
    for batch in batches:
        for name, slope in gradient(objective, moved, batch).items():
            moved[name].grad = slope
        optimiser.step()
    return {name: value.detach() for name, value in moved.items()}


@pytest.mark.parametrize("inner_steps", [1, 4])
def test_a_fresh_adam_begins_every_iteration_anew(inner_steps: int) -> None:
    network = smooth_network()
    method, objective, params = DILsf(1e-3, "adam_fresh", inner_steps), objective_for(network), parameters_of(network)
    for seed in range(3):
        episode = episode_of(3, seed)
        batches = [batch for batch in again(episode, seed).in_random_order() for _ in range(inner_steps)]
        moved = adam_steps(objective, params, batches)
        objective.take_tally()
        found = method.gradient(objective, params, episode)
        assert objective.take_tally().images == 3 * inner_steps * 2
        assert relative_error(found, {name: params[name] - moved[name] for name in params}) < 1e-9
        assert not method.state_dict()
    method.load_state_dict({})
    with pytest.raises(ValueError, match="keeps no state"):
        method.load_state_dict({"steps_taken": torch.tensor(3)})


def test_inner_sgd_is_reptile_over_all_inner_steps() -> None:
    network = smooth_network()
    objective, params, episode = objective_for(network), parameters_of(network), episode_of(3)
    once = DILsf(ALPHA, "sgd").gradient(objective, params, episode)
    assert equal(once, DIL("serial", 1, ALPHA, SGD).gradient(objective, params, again(episode)))
    phi = params
    for batch in again(episode).in_random_order():
        for _ in range(4):
            phi = {name: phi[name] - ALPHA * slope for name, slope in gradient(objective, phi, batch).items()}
    found = DILsf(ALPHA, "sgd", 4).gradient(objective, params, again(episode))
    assert relative_error(found, {name: (params[name] - phi[name]) / (12 * ALPHA) for name in params}) < 1e-12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner": "momentum"}, "inner 'momentum' is none of adam, adam_fresh, sgd"),
        ({"inner_steps": 0}, "inner_steps 0 is not from 1 to 256"),
        ({"inner_steps": 257}, "inner_steps 257 is not from 1 to 256"),
    ],
)
def test_impossible_inner_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        METHODS["dil_sf"](**settings)
    with pytest.raises(ValueError, match="inner_steps 2: above 1 only serially"):
        DIL("parallel", inner_steps=2)
