"""What spares memory in training: pieces of batches, and the line that is said where there is too little."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from support.trainings import TINY, check_equal_runs, stopped_and_resumed, trained

from unseen.core.errors import UserError
from unseen.methods import METHODS
from unseen.study.compare import StudyPlan
from unseen.study.config import CompareConfig
from unseen.training.config import TrainingOptions
from unseen.training.run import TrainingRun

WHOLE_BATCHES = [name for name, method in METHODS.items() if method.takes_whole_batches]


@pytest.mark.parametrize("method", ["erm", "dil_sf", "dil_ss"])
def test_a_training_in_pieces_is_that_in_whole_batches(method: str, tmp_path: Path) -> None:
    whole = trained(replace(TINY, method=method, batch=4, out=str(tmp_path / "whole")))
    pieces = replace(TINY, method=method, batch=4, accumulate=4, out=str(tmp_path / "pieces"))
    state = trained(pieces)
    assert (state.step, state.images) == (whole.step, whole.images)
    for name in ("loss", "seen_psnr", "held_out_psnr"):
        assert [point[name] for point in state.log] == pytest.approx([point[name] for point in whole.log], rel=1e-3)
    stopped = replace(pieces, out=str(tmp_path / "stopped"))
    check_equal_runs(stopped, pieces, (stopped_and_resumed(stopped, [1, 1]), state))


@pytest.mark.parametrize("method", WHOLE_BATCHES)
def test_methods_that_need_whole_batches_refuse_pieces_before_anything_is_trained(method: str, tmp_path: Path) -> None:
    refusal = f"^accumulate: '{method}' needs all images of a batch at once; leave it out, or lower --batch$"
    with pytest.raises(UserError, match=refusal):
        TrainingRun.of(replace(TINY, method=method, accumulate=2))
    options = {f.name: getattr(replace(TINY, accumulate=2), f.name) for f in fields(TrainingOptions)}
    with pytest.raises(UserError, match=refusal):
        StudyPlan.of(CompareConfig(**options, methods=["erm", method], out=str(tmp_path)))


def test_coral_fishr_and_irm_are_the_ones() -> None:
    assert set(WHOLE_BATCHES) == {"coral", "fishr", "irm"}
