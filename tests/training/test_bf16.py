"""Training in bfloat16: what is kept is float32, a stop changes nothing, `auto` follows the device."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.trainings import TINY, check_equal_runs, stopped_and_resumed, trained

from unseen.models.checkpoint import CHECKPOINT, load_state, read_card
from unseen.study.config import CompareConfig
from unseen.training.run import TrainingRun


@pytest.mark.parametrize("method", ["erm", "dil_sf", "dil_ss"])
def test_a_training_in_bfloat16_goes_on_bit_for_bit_and_keeps_float32(method: str, tmp_path: Path) -> None:
    whole = replace(TINY, method=method, precision="bf16", out=str(tmp_path / "whole"))
    state = trained(whole)
    stopped = replace(whole, out=str(tmp_path / "stopped"))
    check_equal_runs(stopped, whole, (stopped_and_resumed(stopped, [1, 1]), state))
    kept = [load_file(whole.folder / CHECKPOINT), *load_state(whole.folder / "resume.safetensors")[0].values()]
    types = {value.dtype for tensors in kept for value in tensors.values() if value.is_floating_point()}
    assert types == {torch.float32}
    assert read_card(whole.folder).config["precision"] == "bf16"
    exact = trained(replace(TINY, method=method, out=str(tmp_path / "exact")))
    losses, others = ([point["loss"] for point in log] for log in (state.log, exact.log))
    assert losses != others
    assert losses == pytest.approx(others, rel=0.02)


def test_the_optimiser_gets_float32() -> None:
    run = TrainingRun.of(replace(TINY, precision="bf16"))
    gradient = run.engine.gradient(run.engine.episode((0, 0, 0), 0.0))
    assert {value.dtype for value in gradient.values()} == {torch.float32}
    assert {value.dtype for value in run.parameters.values()} == {torch.float32}


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto_takes_what_the_device_has(native: bool, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unseen.training.config.native_bf16", lambda device: native)
    assert replace(TINY, precision="auto").resolved().precision == precision
    assert CompareConfig(device="cpu", precision="auto").resolved().precision == precision
    assert TINY.resolved().precision == "fp32"
