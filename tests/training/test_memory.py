"""What spares memory in training: pieces of batches, and the line that is said where there is too little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.commandline import TINY as SMALL
from support.commandline import CommandLine, equal_weights
from support.trainings import TINY, check_equal_runs, stopped_and_resumed, trained

from unseen.core.errors import UserError
from unseen.methods import METHODS, Params
from unseen.methods.erm import ERM
from unseen.study.config import CompareConfig
from unseen.study.plan import StudyPlan
from unseen.training.config import TrainingOptions
from unseen.training.out_of_memory import memory_advice, remedies_for
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


def huge() -> None:
    torch.empty(2**50, dtype=torch.uint8)  # a pebibyte, which no allocator gives


def of_cuda() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def of_python() -> None:
    raise MemoryError


ADVICE = (
    "batch: out of memory on cpu with 2 patches of 16×16; what was saved before is kept. Take another --out and less: "
    "a smaller --batch or --patch, --accumulate 2, --precision bf16"
)


@pytest.mark.usefixtures("empty_page")
@pytest.mark.parametrize("fail", [huge, of_cuda, of_python])
def test_out_of_memory_is_one_line_of_advice_and_what_was_saved_goes_on(
    fail: Callable[[], None], unseen: CommandLine, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", *SMALL, "--method", "erm", "--data", photos, "--out"]
    compute, steps = ERM.gradient, iter(range(100))

    def failing(*arguments: Any) -> Params:
        if next(steps) == 10:  # after the first of two validations
            fail()
        return compute(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ERM, "gradient", failing)
        assert unseen.refusal(*command, tmp_path / "run") == ADVICE
    unseen("train", "--resume", "--out", tmp_path / "run")
    unseen(*command, tmp_path / "whole")
    assert equal_weights(tmp_path / "run", tmp_path / "whole")


@pytest.mark.usefixtures("empty_page")
def test_the_first_look_at_the_network_may_run_out_of_memory_too(
    unseen: CommandLine, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unseen.methods.objective.Objective.check", lambda *_: huge())
    assert unseen.refusal("train", *SMALL, "--data", photos, "--out", tmp_path / "run") == ADVICE
    assert not (tmp_path / "run" / "resume.safetensors").exists()


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="illegal memory access"), memory_advice(TINY, ERM()):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_advice_is_what_the_training_does_not_have_yet() -> None:
    erm = METHODS["erm"]()
    assert remedies_for(replace(TINY, batch=9), erm) == ["--accumulate 3", "--precision bf16"]
    assert remedies_for(replace(TINY, batch=9, accumulate=3), erm) == ["--accumulate 9", "--precision bf16"]
    assert remedies_for(replace(TINY, batch=9, accumulate=9, precision="bf16"), erm) == []
    assert remedies_for(replace(TINY, batch=9), METHODS["coral"]()) == ["--precision bf16"]
