"""Controls of DIL in training: more mixtures a step, a share of the rate, the best held-out weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.trainings import TINY, check_equal_runs, stopped_and_resumed, trained

from unseen.core.errors import UserError
from unseen.models.checkpoint import CHECKPOINT, read_card
from unseen.training.run import TrainingRun

UNSTEADY = replace(TINY, lr=0.5, seed=2, schedule="constant")
"""A training at a rate that is far too high, which gets worse towards its end."""


def test_mixtures_of_an_episode_have_contents_and_draws_of_their_own() -> None:
    first, again = (TrainingRun.of(TINY).engine.episode((0, 0, 3), 0.0) for _ in range(2))
    batches = first.mixtures(3)
    assert batches[0] is first.query
    assert torch.equal(batches[2].distorted, again.mixtures(3)[2].distorted)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(batches[one].clean, batches[other].clean)


def test_a_step_on_several_batches_is_charged_for_each(tmp_path: Path) -> None:
    state = trained(replace(TINY, method="erm:batches=4", validations=1, out=str(tmp_path)))
    assert (state.step, state.images) == (16, 64 * TINY.batch)


@pytest.mark.parametrize("method", ["erm:batches=3", "dil_sf:inner=adam_fresh,inner_steps=2"])
def test_a_control_that_stops_goes_on_bit_for_bit(method: str, tmp_path: Path) -> None:
    whole = replace(TINY, method=method, budget=48, validations=1, out=str(tmp_path / "whole"))
    config = replace(whole, out=str(tmp_path / "stopped"))
    check_equal_runs(config, whole, (stopped_and_resumed(config, [3]), trained(whole)))


def test_a_share_of_the_rate_is_that_rate(tmp_path: Path) -> None:
    tiny = replace(TINY, budget=8, validations=1)
    of_share = replace(tiny, method="erm:lr_share=0.25", lr=4e-3, out=str(tmp_path / "share"))
    of_rate = replace(tiny, method="erm", lr=1e-3, out=str(tmp_path / "rate"))
    check_equal_runs(of_share, of_rate, (trained(of_share), trained(of_rate)))


def test_stopped_erm_keeps_the_weights_of_its_best_held_out_validation(tmp_path: Path) -> None:
    config = replace(UNSTEADY, method="stopped_erm", out=str(tmp_path / "stopped"))
    chosen = replace(UNSTEADY, method="erm", select="held-out", out=str(tmp_path / "chosen"))
    state, expected = trained(config), trained(chosen)
    assert max(state.log, key=lambda point: point["held_out_psnr"] or 0) is not state.log[-1]
    weights, others = (load_file(run.folder / CHECKPOINT) for run in (config, chosen))
    assert all(torch.equal(value, others[name]) for name, value in weights.items())
    assert state.step == expected.step  # the training goes on to the end of its budget
    card, other = read_card(config.folder), read_card(chosen.folder)
    assert card.evaluations == other.evaluations
    assert (card.selection, card.config["select"], other.selection) == ("held-out", "last", "held-out")


def test_another_choice_of_weights_is_refused_for_stopped_erm() -> None:
    with pytest.raises(UserError, match=r"^select: 'stopped_erm' chooses its weights by itself, on held-out levels"):
        TrainingRun.of(replace(TINY, method="stopped_erm", select="seen"))
