"""Extrapolated ERM against closed forms, central differences, moments of noise, and ERM."""

from __future__ import annotations

import math

import pytest
import torch
from support.gradients import (
    episode_of,
    equal,
    finite_differences,
    generator,
    parameters_of,
    relative_error,
    smooth_network,
)

from unseen.methods import Batch, Episode, objective_for
from unseen.methods.erm import ERM
from unseen.methods.extrapolation import ExtrapolatedERM, scaled
from unseen.methods.gradients import gradient


def test_scaling_multiplies_what_a_distortion_did_and_clips() -> None:
    clean = torch.tensor([0.5, 0.5, 0.5, 0.9]).view(4, 1, 1, 1)
    distorted = torch.tensor([0.6, 0.4, 0.6, 1.0]).view(4, 1, 1, 1)
    factors = torch.tensor([2.0, 0.5, 1.0, 3.0]).view(4, 1, 1, 1)
    batch = scaled(Batch(distorted, clean), factors)
    torch.testing.assert_close(batch.distorted.flatten(), torch.tensor([0.7, 0.45, 0.6, 1.0]))
    assert torch.equal(batch.clean, clean)
    assert torch.equal(batch.distorted[2], distorted[2])  # k = 1 to the bit


def test_noise_scaled_by_k_has_k_times_the_deviation() -> None:
    clean = torch.full((1, 3, 200, 200), 0.5, dtype=torch.float64)
    noisy = clean + 0.05 * torch.randn(clean.shape, dtype=torch.float64, generator=generator(0))
    batch = scaled(Batch(noisy, clean), torch.tensor(2.5, dtype=torch.float64))
    assert float((batch.distorted - clean).std()) == pytest.approx(2.5 * 0.05, rel=0.01)


def test_an_image_that_is_to_be_enlarged_is_scaled_against_the_clean_one_made_small() -> None:
    clean = torch.full((2, 3, 16, 16), 0.4)
    batch = scaled(Batch(torch.full((2, 3, 4, 4), 0.5), clean), torch.tensor([2.0, 0.5]).view(2, 1, 1, 1))
    torch.testing.assert_close(batch.distorted[:, 0, 0, 0], torch.tensor([0.6, 0.45]))
    assert batch.clean.shape == clean.shape


def test_factors_are_log_uniform_for_the_share_and_one_for_the_rest() -> None:
    factors = ExtrapolatedERM(largest=4.0, share=0.25)._factors(
        40_000, objective_for(smooth_network()).shares, generator(1)
    )
    changed = factors[factors != 1]
    assert len(changed) / len(factors) == pytest.approx(0.25, abs=0.01)
    exponents = changed.log() / math.log(4)
    assert float(exponents.min()) < -0.99
    assert float(exponents.max()) > 0.99
    assert float(exponents.mean()) == pytest.approx(0, abs=0.02)
    assert float(exponents.var()) == pytest.approx(1 / 3, abs=0.01)


def test_the_gradient_equals_central_differences_on_the_scaled_batch() -> None:
    network, episode = smooth_network(), episode_of(3)
    objective, params = objective_for(network, "l2"), parameters_of(network)
    method = ExtrapolatedERM(largest=2.0, share=0.9)
    factors = method._factors(len(episode.query), objective.shares, episode_of(3).generator)
    batch = scaled(episode.query, factors.to(episode.query.clean))
    result = method.gradient(objective, params, episode)
    assert relative_error(result, finite_differences(lambda p: float(objective(p, batch)), params)) < 1e-6
    assert relative_error(gradient(objective, params, episode.query), result) > 1e-3


def test_with_a_share_of_zero_the_method_is_erm() -> None:
    network, drawn = smooth_network(), episode_of(1).query
    query = Batch(drawn.distorted.clamp(0, 1), drawn.clean)
    objective, params = objective_for(network), parameters_of(network)
    episode = Episode([query], query, generator(0))
    assert equal(
        ExtrapolatedERM(share=0.0).gradient(objective, params, episode), ERM().gradient(objective, params, episode)
    )


@pytest.mark.parametrize("settings", [{"largest": 1.0}, {"largest": math.inf}, {"share": 1.0}, {"share": -0.1}])
def test_settings_outside_their_ranges_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        ExtrapolatedERM(**settings)
