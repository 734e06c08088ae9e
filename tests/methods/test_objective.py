"""What an objective counts, where it finds the last layer, and which networks it refuses."""

from __future__ import annotations

import pytest
import torch
from support.gradients import episode_of, parameters_of, smooth_network
from torch import Tensor, nn
from torch.func import functional_call

from unseen.methods import METHODS, Episode, objective_for


def test_a_larger_query_counts_in_proportion() -> None:
    network = smooth_network()
    objective = objective_for(network)
    large = Episode(episode_of(2).confounders, episode_of(1, shape=(6, 3, 6, 6)).query)
    METHODS["dil_pf"]().gradient(objective, parameters_of(network), large)
    assert objective.tally.images == 2 * 2 + 6


def test_features_are_what_the_last_layer_is_given_and_are_counted() -> None:
    network = smooth_network()
    objective, params, batch = objective_for(network, "l2"), parameters_of(network), episode_of(1).query
    found = objective.features(params, batch)
    assert torch.equal(network[-1](found), objective.restore(params, batch))  # type: ignore[index]
    assert found.shape == (2, 4, 6, 6)
    assert objective.tally.images == 4
    assert not network[-1]._forward_pre_hooks  # type: ignore[index]
    moved = {name: value * 2 for name, value in params.items()}
    assert not torch.equal(objective.features(moved, batch), found)


class Backwards(nn.Module):
    """Registers first the layer that it runs last, and after that one that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(4, 3, 1)
        self.first = nn.Conv2d(3, 4, 1)
        self.shift = nn.Conv2d(3, 3, 1).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shift(self.last(self.first(x)))
        return out


def test_the_last_layer_is_the_last_to_be_run_of_those_that_are_trained() -> None:
    network = Backwards().double()
    objective, batch = objective_for(network, "l2"), episode_of(1).query
    assert torch.equal(objective.features({}, batch), network.first(batch.distorted))
    halved = objective.restore({}, batch, lambda features: features / 2)
    assert torch.equal(halved, network.shift(network.last(network.first(batch.distorted) / 2)))
    assert objective.tally.images == 4  # to find it was not counted


def test_random_networks_are_found_out() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.randn_like(x)

    with pytest.raises(ValueError, match="two answers"):
        objective_for(Noisy()).check({}, episode_of(1).query)
    with pytest.raises(ValueError, match="the network makes"):
        objective_for(nn.Conv2d(3, 4, 1).double()).check({}, episode_of(1).query)
    frozen = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(), nn.BatchNorm2d(3)).double().train()
    objective_for(frozen).check({}, episode_of(1).query)  # evaluation mode makes a function of it
    assert functional_call(frozen, {}, (episode_of(1).query.distorted,)).shape == (2, 3, 6, 6)


def test_a_tied_parameter_that_is_given_by_both_names_gets_its_own_value_back() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    network[1].weight = network[0].weight
    own = dict(network.named_parameters(remove_duplicate=False))
    batch = episode_of(1).query
    given = {name: torch.rand_like(value).double() for name, value in own.items()}
    objective_for(network).restore(given, batch)
    after = dict(network.named_parameters(remove_duplicate=False))
    assert all(after[name] is value for name, value in own.items())
