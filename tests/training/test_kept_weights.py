"""Weights kept on the way of a training: where, how many, whose, and that a resumed run keeps the same ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
import torch
from safetensors.torch import load_file
from support.commandline import CommandLine
from support.trainings import TINY, StopAfter, check_equal_runs, stopped_and_resumed, trained

from unseen.core.errors import UserError
from unseen.evaluation.excerpt_test import ExcerptTest
from unseen.models.checkpoint import CHECKPOINT, load_checkpoint
from unseen.protocols.convention import Convention
from unseen.training.config import TrainConfig
from unseen.training.kept_weights import keeping_amounts, kept_file, kept_results
from unseen.training.loop import training
from unseen.training.state import state_of


@pytest.fixture
def tiny(photos: Path, tmp_path: Path) -> TrainConfig:
    """A training of a second, of photographs that are small enough to be validated and measured at once."""
    return replace(TINY, method="erm", data=[str(photos)], out=str(tmp_path / "run"))


def test_amounts_are_equal_shares_or_equal_multiples() -> None:
    even = TrainConfig(budget=1000, keep=4)
    assert keeping_amounts(even) == [250, 500, 750, 1000]
    geometric = keeping_amounts(replace(even, keep=3, keep_spacing="geometric"))
    assert geometric == pytest.approx([10, 100, 1000])
    assert geometric[-1] == 1000
    assert keeping_amounts(replace(even, keep=1, keep_spacing="geometric")) == [1000]
    assert keeping_amounts(replace(even, keep=2, budget="1min")) == [30, 60]


def test_weights_are_kept_when_a_step_reaches_a_share_and_the_last_are_those_of_the_run(tiny: TrainConfig) -> None:
    config = replace(tiny, budget=30, keep=4)
    state = trained(config)
    assert [point.step for point in state.kept] == [8, 15, 23, 30]
    assert [load_checkpoint(kept_file(tiny.folder, i + 1))[1].evaluations for i in range(4)] == [8, 15, 23, 30]
    last, whole = load_file(kept_file(tiny.folder, 4)), load_file(tiny.folder / CHECKPOINT)
    assert all(torch.equal(last[name], whole[name]) for name in whole)
    assert state_of(tiny.folder).kept == state.kept


def test_a_step_over_several_shares_keeps_once_and_a_rest_below_a_step_keeps_the_end(tiny: TrainConfig) -> None:
    config = replace(tiny, method="dil_sf", budget=32, keep=20)
    state = trained(config)
    cost = state.kept[0].evaluations
    assert cost > 1.6 * 2  # more than two shares a step
    assert [point.evaluations for point in state.kept] == [cost * (i + 1) for i in range(state.step)]
    assert len(list((tiny.folder / "kept").iterdir())) == state.step


def test_kept_weights_of_another_network_are_refused(tiny: TrainConfig) -> None:
    points = trained(replace(tiny, budget=2, keep=1)).kept
    test = ExcerptTest([], Convention(), "cpu")
    with pytest.raises(UserError, match=r"001\.safetensors: holds weights of .*, and the run is of 'unet'"):
        kept_results(tiny.folder, points, "unet", test, Event())


def test_nothing_is_kept_unless_asked_for_and_a_new_training_removes_what_another_kept(tiny: TrainConfig) -> None:
    config = replace(tiny, budget=8, keep=4)
    trained(config)
    assert kept_file(tiny.folder, 4).exists()
    state = trained(replace(config, keep=0))
    assert not state.kept
    assert not list(tiny.folder.glob("kept/*"))


def test_a_resumed_training_keeps_the_same_weights(tiny: TrainConfig, tmp_path: Path) -> None:
    whole = replace(tiny, budget=40, keep=5, ema=0.9)
    stopped = replace(whole, out=str(tmp_path / "stopped"))
    states = stopped_and_resumed(stopped, [3, 9, 8]), trained(whole)
    check_equal_runs(stopped, whole, states)
    points = [[(point.step, point.evaluations) for point in state.kept] for state in states]
    assert points[0] == points[1]
    for i in range(len(points[0])):
        ours, theirs = (load_file(kept_file(config.folder, i + 1)) for config in (stopped, whole))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    last, own = load_file(whole.folder / CHECKPOINT), load_file(whole.folder / "resume.safetensors")
    assert all(torch.equal(ours[name], last[name]) for name in ours)
    assert not all(torch.equal(ours[name], own[f"network/{name}"]) for name in ours)


def test_a_training_killed_after_it_kept_weights_keeps_the_same_ones_when_resumed(tiny: TrainConfig) -> None:
    config = replace(tiny, budget=40, keep=8, validations=2)
    steps = training(config, Event())
    for _ in range(32):  # saved at 20, kept at 25 and 30
        next(steps)
    steps.close()
    kept = kept_file(config.folder, 6).read_bytes()
    assert len(state_of(config.folder).kept) == 4
    kept_file(config.folder, 6).unlink()
    assert [point.step for point in trained(config, resume=True).kept] == list(range(5, 41, 5))
    assert kept_file(config.folder, 6).read_bytes() == kept


def test_a_budget_of_time_keeps_weights_too(tiny: TrainConfig) -> None:
    config = replace(tiny, budget="1s", keep=3, validations=1)
    state = trained(config, StopAfter(100_000))
    assert 1 <= len(state.kept) <= 3
    assert state.kept[-1].step == state.step
    assert state.kept[0].seconds >= 1 / 3


def test_a_spacing_of_nothing_is_refused(unseen: CommandLine) -> None:
    line = unseen.refusal("train", "--keep-spacing", "geometric")
    assert line == "keep_spacing: there is nothing to space without --keep, such as --keep 20"
