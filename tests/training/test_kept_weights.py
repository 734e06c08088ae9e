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

from unseen.models.checkpoint import CHECKPOINT, load_checkpoint
from unseen.training.config import TrainConfig
from unseen.training.kept_weights import keeping_amounts, kept_file
from unseen.training.loop import training
from unseen.training.state import state_of


def test_amounts_are_equal_shares_or_equal_multiples() -> None:
    even = TrainConfig(budget=1000, keep=4)
    assert keeping_amounts(even) == [250, 500, 750, 1000]
    geometric = keeping_amounts(replace(even, keep=3, keep_spacing="geometric"))
    assert geometric == pytest.approx([10, 100, 1000])
    assert geometric[-1] == 1000
    assert keeping_amounts(replace(even, keep=1, keep_spacing="geometric")) == [1000]
    assert keeping_amounts(replace(even, keep=2, budget="1min")) == [30, 60]


def test_weights_are_kept_when_a_step_reaches_a_share_and_the_last_are_those_of_the_run(tmp_path: Path) -> None:
    config = replace(TINY, method="erm", budget=30, keep=4, out=str(tmp_path))
    state = trained(config)
    assert [point.step for point in state.kept] == [8, 15, 23, 30]
    assert [load_checkpoint(kept_file(tmp_path, i + 1))[1].evaluations for i in range(4)] == [8, 15, 23, 30]
    last, whole = load_file(kept_file(tmp_path, 4)), load_file(tmp_path / CHECKPOINT)
    assert all(torch.equal(last[name], whole[name]) for name in whole)
    assert state_of(tmp_path).kept == state.kept


def test_a_step_over_several_shares_keeps_once_and_a_rest_below_a_step_keeps_the_end(tmp_path: Path) -> None:
    config = replace(TINY, method="dil_sf", budget=32, keep=20, out=str(tmp_path))
    state = trained(config)
    cost = state.kept[0].evaluations
    assert cost > 1.6 * 2  # more than two shares a step
    assert [point.evaluations for point in state.kept] == [cost * (i + 1) for i in range(state.step)]
    assert len(list((tmp_path / "kept").iterdir())) == state.step


def test_nothing_is_kept_unless_asked_for_and_a_new_training_removes_what_another_kept(tmp_path: Path) -> None:
    config = replace(TINY, method="erm", budget=8, keep=4, out=str(tmp_path))
    trained(config)
    assert kept_file(tmp_path, 4).exists()
    state = trained(replace(config, keep=0))
    assert not state.kept
    assert not list(tmp_path.glob("kept/*"))


@pytest.mark.parametrize("options", [{"ema": 0.9}, {"keep_spacing": "geometric"}])
def test_a_resumed_training_keeps_the_same_weights(options: dict[str, object], tmp_path: Path) -> None:
    whole = replace(TINY, method="erm", budget=40, keep=5, out=str(tmp_path / "whole"), **options)  # type: ignore[arg-type]
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
    is_average = not all(torch.equal(ours[name], own[f"network/{name}"]) for name in ours)
    assert is_average == ("ema" in options)


def test_a_training_killed_after_it_kept_weights_keeps_the_same_ones_when_resumed(tmp_path: Path) -> None:
    config = replace(TINY, method="erm", budget=40, keep=8, validations=2, out=str(tmp_path / "killed"))
    steps = training(config, Event())
    for _ in range(32):  # saved at 20, kept at 25 and 30
        next(steps)
    steps.close()
    assert kept_file(config.folder, 6).exists()
    assert len(state_of(config.folder).kept) == 4
    resumed, whole = trained(config, resume=True), trained(replace(config, out=str(tmp_path / "whole")))
    assert [point.step for point in resumed.kept] == [point.step for point in whole.kept] == list(range(5, 41, 5))


def test_a_budget_of_time_keeps_weights_too(tmp_path: Path) -> None:
    config = replace(TINY, method="erm", budget="1s", keep=3, validations=1, out=str(tmp_path))
    state = trained(config, StopAfter(100_000))
    assert 1 <= len(state.kept) <= 3
    assert state.kept[-1].step == state.step
    assert state.kept[0].seconds >= 1 / 3


def test_a_spacing_of_nothing_is_refused(unseen: CommandLine) -> None:
    line = unseen.refusal("train", "--keep-spacing", "geometric")
    assert line == "keep_spacing: there is nothing to space without --keep, such as --keep 20"
