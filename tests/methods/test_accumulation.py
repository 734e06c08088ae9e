"""Gradients added up over pieces of a batch: equal to those of the whole batch, in the memory of one piece."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.gradients import again, episode_of, parameters_of, relative_error, smooth_network
from support.saved_tensors import peak_of

from unseen.methods import METHODS, Episode, Method, Objective, objective_for
from unseen.methods.dil import DILss
from unseen.methods.erm import ERM
from unseen.methods.gradients import gradient_and_hessian, hessian_vector_product
from unseen.methods.mldg import MLDG

MAKERS: dict[str, Callable[[], Method]] = {
    **{name: method for name, method in METHODS.items() if not method.takes_whole_batches},
    "dil_ss:hvp=finite-difference": lambda: DILss(hvp="finite-difference"),
    "mldg:order=1": lambda: MLDG(order=1),
    "erm:batches=3": lambda: ERM(batches=3),
}
IMAGES = (8, 3, 6, 6)


def objectives(pieces: int) -> tuple[Objective, Objective]:
    network = smooth_network()
    return objective_for(network, "l2"), objective_for(network, "l2", accumulate=pieces)


@pytest.mark.parametrize("pieces", [2, 8])
@pytest.mark.parametrize("name", MAKERS)
def test_the_gradient_is_that_of_the_whole_batch(name: str, pieces: int) -> None:
    """Over two steps, so that what a method carries on is that of whole batches, too; for DIL, the virtual model."""
    whole, by_pieces = objectives(pieces)
    params = parameters_of(whole.network)
    one, other = MAKERS[name](), MAKERS[name]()
    for seed in (1, 2):
        episode = episode_of(3, seed, IMAGES)
        second = again(episode, seed)
        expected = one.gradient(whole, params, episode)
        found = other.gradient(by_pieces, params, second)
        assert relative_error(found, expected) < 1e-10
        for note, value in episode.notes.items():
            assert float(second.notes[note]) == pytest.approx(float(value), rel=1e-9)
        assert torch.equal(episode.generator.get_state(), second.generator.get_state())  # type: ignore[union-attr]
    for key, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", MAKERS)
def test_the_budget_and_the_mean_loss_are_those_of_the_whole_batch(name: str) -> None:
    tallies = []
    for objective in objectives(4):
        MAKERS[name]().gradient(objective, parameters_of(objective.network), episode_of(3, 1, IMAGES))
        tallies.append(objective.take_tally())
    assert tallies[0].images == tallies[1].images
    means = [float(tally.loss) / tally.calls for tally in tallies]
    assert means[0] == pytest.approx(means[1], rel=1e-12)


def test_products_alone_and_beside_the_gradient_are_those_of_the_whole_batch() -> None:
    whole, by_pieces = objectives(4)
    params, batch = parameters_of(whole.network), episode_of(1, 1, IMAGES).query
    vector = {name: torch.full_like(value, 0.3) for name, value in params.items()}
    results = []
    for objective in (whole, by_pieces):
        slope, hessian = gradient_and_hessian(objective, params, batch)
        results.append((slope, hessian(vector), hessian_vector_product(objective, params, batch, vector)))
    for found, expected in zip(*results, strict=True):
        assert relative_error(found, expected) < 1e-12
    assert whole.tally.images == by_pieces.tally.images == 6 * len(batch)


@pytest.mark.parametrize("name", ["erm", "dil_sf", "dil_pf", "dil_ss", "dil_ps", "mldg", "feature_dropout"])
def test_the_graph_is_that_of_one_piece(name: str) -> None:
    def peak(pieces: int) -> int:
        objective = objectives(pieces)[1]
        params = parameters_of(objective.network)
        method = METHODS[name]()
        return peak_of(lambda: method.gradient(objective, params, episode_of(3, 1, IMAGES)))

    whole, eighth = peak(1), peak(8)
    assert eighth < whole / 6  # parameters, which every graph holds, are a little more


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.takes_whole_batches])
def test_what_needs_whole_batches_still_gets_them(name: str) -> None:
    """Their losses are no means over images; `train` refuses to accumulate for them, a loop of one's own need not."""
    whole, by_pieces = objectives(4)
    params, episode = parameters_of(whole.network), episode_of(3, 1, IMAGES)
    episode.progress = 0.5
    second = again(episode)
    second.progress = 0.5
    method = METHODS[name]
    assert relative_error(method().gradient(by_pieces, params, second), method().gradient(whole, params, episode)) == 0


def test_pieces_are_equal_in_size_and_in_order() -> None:
    batch = episode_of(1, 1, (6, 3, 4, 4)).query
    assert batch.pieces(1) == [batch]
    pieces = batch.pieces(3)
    assert [len(piece) for piece in pieces] == [2, 2, 2]
    assert torch.equal(torch.cat([piece.distorted for piece in pieces]), batch.distorted)
    assert torch.equal(torch.cat([piece.clean for piece in pieces]), batch.clean)
    with pytest.raises(ValueError, match="accumulate: 4 pieces of equal size cannot be made of 6 images"):
        METHODS["erm"]().gradient(objectives(4)[1], {}, Episode([], batch))
