"""Two commands in one folder: the second is refused in one line while the first runs, and adds to it afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.commandline import TINY, CommandLine, equal_weights, json_lines
from support.forked import forked, wait_for
from torch import Tensor

from unseen.models.checkpoint import save_state
from unseen.training import state

pytestmark = pytest.mark.usefixtures("empty_page")


def waits_before_saving(marker: Path) -> Callable[[], object]:
    """Let a training make `marker` when it is about to save its first state, and wait until the marker is gone."""

    def change() -> None:
        patch = pytest.MonkeyPatch()

        def waiting(path: Path, tensors: Mapping[str, Mapping[str, Tensor]], facts: Mapping[str, Any]) -> None:
            patch.undo()
            marker.touch()
            while marker.exists():
                time.sleep(0.005)
            save_state(path, tensors, facts)

        patch.setattr(state, "save_state", waiting)

    return change


@pytest.mark.slow
def test_rows_of_two_comparisons_of_one_folder_are_all_there(
    unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path
) -> None:
    marker, study = tmp_path / "marker", tmp_path / "study"
    words = ["compare", *TINY, "--data", photos, "--test", f"q={tests}", "--out", study, "--methods"]
    first = forked(tmp_path / "log", *words, "erm", change=waits_before_saving(marker))
    wait_for(marker, first)
    by = f"in use by process {first.pid} (unseen compare) since "
    for others in ([*words, "mixup"], ["evaluate", study / "erm-0", "--out", study]):
        assert unseen.refusal(*others).startswith(f"{study}: {by}")
    for others in (["train", "--resume", "--out", study / "erm-0"], ["train", *TINY, "--out", study / "erm-0"]):
        assert unseen.refusal(*others).startswith(f"{study / 'erm-0'}: {by}")
    marker.unlink()
    result = first.ended()
    assert result.code == 0, result.err
    unseen(*words, "mixup")
    assert [row["run"] for row in json_lines(study / "runs.jsonl")] == ["erm-0", "mixup-0"]
    assert {row["method"] for row in json_lines(study / "results.jsonl")} == {"erm", "mixup"}
    assert not list(tmp_path.glob("**/.unseen*"))


def test_a_training_is_alone_in_its_folder_and_its_card_is_not_written_meanwhile(
    unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path
) -> None:
    run, whole, marker = tmp_path / "run", tmp_path / "whole", tmp_path / "marker"
    words = ["train", *TINY, "--data", photos]
    unseen(*words, "--out", whole)
    first = forked(tmp_path / "log", *words, "--out", run, change=waits_before_saving(marker))
    wait_for(marker, first)
    by = f"{run}: in use by process {first.pid} (unseen train) since "
    for others in (
        [*words, "--out", run],
        [*words, "--overwrite", "--out", run],
        ["train", "--resume", "--out", run],
        ["degrade", photos, "--distortion", "jpeg:40", "--out", run],
        ["evaluate", run, "--card", "true", "--test", f"q={tests}", "--out", tmp_path / "test"],
    ):
        assert unseen.refusal(*others).startswith(by)
    first.kill()
    first.ended()
    marker.unlink()
    unseen(*words, "--out", run)  # nothing was saved yet: begun anew
    assert equal_weights(run, whole)
    assert {path.name for path in tmp_path.iterdir()} == {"log", "run", "whole"}


def test_a_run_of_a_study_that_another_command_trains_ends_the_study_in_one_line(
    unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path
) -> None:
    marker, study = tmp_path / "marker", tmp_path / "study"
    run = study / "erm-0"
    first = forked(
        tmp_path / "log",
        *["train", *TINY, "--method", "erm", "--data", photos, "--out", run],
        change=waits_before_saving(marker),
    )
    wait_for(marker, first)
    words = ["compare", *TINY, "--data", photos, "--test", f"q={tests}", "--methods", "erm", "--out", study]
    assert unseen.refusal(*words).startswith(f"{run}: in use by process {first.pid} (unseen train) since ")
    first.kill()
    first.ended()
