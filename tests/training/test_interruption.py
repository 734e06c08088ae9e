"""Ctrl-C, SIGTERM and --resume: nothing is lost, and what goes on equals what never stopped, bit for bit."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commandline import (
    TINY,
    CommandLine,
    equal_weights,
    json_lines,
    leftovers,
    saved_config,
)
from support.paused import PAUSING, Paused

from unseen.evaluation.evaluate import Measurement, measure
from unseen.models.checkpoint import CHECKPOINT
from unseen.training.observer import Observer

pytestmark = pytest.mark.usefixtures("empty_page")


@pytest.fixture
def own_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The dotted path of `Pausing`, which can be imported here; it does not wait in this process."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "pausing.py").write_text(PAUSING)
    monkeypatch.syspath_prepend(folder)
    return "pausing.Pausing"


@pytest.fixture
def stopped(unseen: CommandLine, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that got a Ctrl-C during its first validation."""
    validate = Observer.validate

    def interrupted(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        validate(*arguments)

    run = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(Observer, "validate", interrupted)
        result = unseen("train", *TINY, "--data", photos, "--seed", "5", "--out", run, code=130)
    assert result.out.splitlines()[-1] == f"interrupted: unseen train --resume --out {run} goes on from here"
    assert [line["step"] for line in json_lines(run / "log.jsonl")] == [2]
    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_a_stopped_training_is_usable_and_goes_on_bit_for_bit(
    number: signal.Signals, own_method: str, unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    words = ["train", *TINY, "--data", photos, "--method", own_method]
    result = Paused(tmp_path, *words, "--out", run).stop(number)
    assert result.code == 130, result.err
    assert "10 gradient evaluations (budget: 16 gradient evaluations), 10 steps" in result.out
    assert leftovers(tmp_path) == []
    unseen("evaluate", run, "--threads", "1", "--test", f"q={tests}", "--out", tmp_path / "evaluation")
    assert result.out.splitlines()[-1].endswith(
        f"unseen train --resume --out {run} --trust {own_method} goes on from here"
    )
    unseen("train", "--resume", "--out", run, "--trust", own_method)
    unseen(*words, "--out", whole)
    assert equal_weights(run, whole)
    assert [line["loss"] for line in json_lines(run / "log.jsonl")] == [
        line["loss"] for line in json_lines(whole / "log.jsonl")
    ]


@pytest.mark.slow
def test_a_second_signal_stops_the_step_in_hand_and_loses_little(
    own_method: str, unseen: CommandLine, photos: Path, tmp_path: Path
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    words = ["train", *TINY, "--data", photos, "--method", own_method]
    result = Paused(tmp_path, *words, "--out", run).stop_twice()
    assert result.code == 130
    assert result.err == "unseen: interrupted\n"
    assert leftovers(tmp_path) == []
    unseen("train", "--resume", "--out", run, "--trust", own_method)
    unseen(*words, "--out", whole)
    assert equal_weights(run, whole)


def test_resume_needs_no_options(unseen: CommandLine, stopped: Path, photos: Path, tmp_path: Path) -> None:
    before = saved_config(stopped)
    unseen("train", "--resume", "--out", stopped)
    assert saved_config(stopped) == before
    unseen("train", *TINY, "--data", photos, "--seed", "5", "--out", tmp_path / "whole")
    assert equal_weights(stopped, tmp_path / "whole")
    # And once more: a finished run stays as it is.
    weights = (stopped / CHECKPOINT).read_bytes()
    unseen("train", "--resume", "--out", stopped)
    assert (stopped / CHECKPOINT).read_bytes() == weights


def test_resume_takes_the_first_command_again_but_nothing_that_contradicts_it(
    unseen: CommandLine, stopped: Path, photos: Path, tmp_path: Path
) -> None:
    resume = ["train", "--resume", "--out", stopped]
    for option, given, saved in [("budget", "32", "16"), ("seed", "0", "5"), ("data", "embedded", str(photos))]:
        refusal = unseen.refusal(*resume, f"--{option}", given)
        assert refusal.startswith(f"{option}: ")
        assert given in refusal
        assert saved in refusal
    other = tmp_path / "other.yaml"
    other.write_text("batch: 4\n")
    assert unseen.refusal(*resume, "--config", other).startswith("batch: 4")
    unseen(*resume, *TINY, "--data", photos, "--seed", "5", "--device", saved_config(stopped)["device"])


def test_resume_reads_a_configuration_that_was_edited_by_hand(unseen: CommandLine, stopped: Path) -> None:
    path = stopped / "config.yaml"
    text = path.read_text()
    assert "lr: 0.001\n" in text
    path.write_text(text.replace("lr: 0.001\n", "lr: 1e-3\n"))  # text to PyYAML, a number to everyone else
    unseen("train", "--resume", "--out", stopped)
    path.write_text(text.replace("budget: 16\n", "budget: many\n"))
    assert unseen.refusal("train", "--resume", "--out", stopped).startswith(f"{path}: budget: ")


def test_resume_of_nothing_is_refused(unseen: CommandLine, stopped: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder in (empty, tmp_path / "missing"):
        assert unseen.refusal("train", "--resume", "--out", folder) == f"out: {folder} holds no run to resume"
    state = stopped / "resume.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    assert unseen.refusal("train", "--resume", "--out", stopped).startswith(f"{state}: not the saved state")
    state.unlink()
    assert unseen.refusal("train", "--resume", "--out", stopped).startswith(f"{state}: no such file")


def test_an_interrupted_evaluation_keeps_the_images_it_finished(
    unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    unseen("train", *TINY, "--data", photos, "--out", run)

    def interrupted(*arguments: Any) -> Iterator[Measurement]:
        signal.raise_signal(signal.SIGINT)
        return measure(*arguments)

    monkeypatch.setattr("unseen.evaluation.evaluate.measure", interrupted)
    result = unseen("evaluate", run, "--threads", "1", "--test", f"q={tests}", "--out", out, code=130)
    assert result.out.splitlines()[-1] == "interrupted: 1 of 2 images"
    assert {row["image"] for row in json_lines(out / "results.jsonl")} == {"e.png"}


@pytest.mark.slow
def test_an_interrupted_study_goes_on_to_the_same_rows(
    own_method: str, unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path
) -> None:
    words = ["compare", *TINY, "--data", photos, "--test", f"q={tests}", "--methods", "erm", own_method]
    result = Paused(tmp_path, *words, "--out", tmp_path / "study").stop(signal.SIGINT)
    assert result.code == 130, result.err
    assert "interrupted: the same command goes on from here" in result.out
    assert {row["method"] for row in json_lines(tmp_path / "study" / "results.jsonl")} == {"erm"}
    assert leftovers(tmp_path) == []
    first = (tmp_path / "study" / "erm-0" / CHECKPOINT).stat().st_mtime_ns
    unseen(*words, "--out", tmp_path / "study")
    assert (tmp_path / "study" / "erm-0" / CHECKPOINT).stat().st_mtime_ns == first
    unseen(*words, "--out", tmp_path / "whole")
    interrupted, whole = (tmp_path / name / "results.jsonl" for name in ("study", "whole"))
    assert interrupted.read_bytes() == whole.read_bytes()
    assert {row["method"] for row in json_lines(interrupted)} == {"erm", own_method}
