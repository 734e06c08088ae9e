"""What a training says while it runs, and what stands in its train.log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.commandline import TINY, CommandLine, photographs


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say everything at once, as in a training of hours."""
    monkeypatch.setattr("unseen.core.progress.INTERVAL", 0)
    monkeypatch.setattr("unseen.training.journal.INTERVAL", 0)
    monkeypatch.setattr("unseen.training.journal.TRIAL", 0)
    monkeypatch.setattr("unseen.training.journal.LONG", 0)


@pytest.mark.usefixtures("talkative")
def test_a_training_says_how_long_it_takes_and_how_far_it_is(unseen: CommandLine, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = unseen("train", *TINY, "--method", "erm", "--data", photos, "--out", run).err.splitlines()
    estimates = [line for line in said if "take about" in line]
    assert len(estimates) == 1
    assert estimates[0].startswith("erm, seed 0: 16 gradient evaluations take about ")
    assert "--budget 30min" in estimates[0]
    assert any(re.fullmatch(r"erm, seed 0: 9 of 16, loss 0\.\d{4}, about \d+ s left", line) for line in said)
    log = [line.split(" ", 2)[2] for line in (run / "train.log").read_text().splitlines()]
    assert log[0] == "begins: erm, seed 0, 16 gradient evaluations"
    assert estimates[0] in log
    assert re.match(r"erm, seed 0: 16 of 16, loss 0\.\d{4}, about 0 s left", log[-3])
    assert re.fullmatch(r"validation at 16 gradient evaluations: seen \d+\.\d\d dB, held_out \d+\.\d\d dB", log[-2]), (
        log[-2]
    )
    assert log[-1] == "is finished: 16 gradient evaluations"


def test_the_log_says_which_engine_was_taken(unseen: CommandLine, photos: Path, tmp_path: Path) -> None:
    unseen("train", *TINY, "--method", "erm", "--data", photos, "--engine", "auto", "--out", tmp_path / "run")
    first = (tmp_path / "run" / "train.log").read_text().splitlines()[0]
    assert first.endswith("begins: erm, seed 0, 16 gradient evaluations, operation by operation")


def test_a_short_training_says_nothing_on_the_way(unseen: CommandLine, photos: Path, tmp_path: Path) -> None:
    assert unseen("train", *TINY, "--method", "erm", "--data", photos, "--out", tmp_path / "run").err == ""


def test_a_new_training_begins_a_new_log(unseen: CommandLine, photos: Path, tmp_path: Path) -> None:
    for _ in range(2):
        unseen("train", *TINY, "--method", "erm", "--data", photos, "--out", tmp_path, "--overwrite")
    assert (tmp_path / "train.log").read_text().count("begins") == 1


def test_patches_larger_than_photographs_are_told_of(unseen: CommandLine, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", "a.png", "b.png", "c.png", size=(20, 64))
    words = ["train", *TINY, "--method", "erm", "--data", folder, "--patch"]
    (line,) = unseen(*words, 24, "--out", tmp_path / "one").err.splitlines()
    assert line.startswith("patch: 24 is larger than 2 of 2 training photographs")
    assert unseen(*words, 20, "--out", tmp_path / "two").err == ""
