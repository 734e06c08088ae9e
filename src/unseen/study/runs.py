"""Run records: the settings and the cost of every finished training of a study, one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ..core.jsonl import IF_ANY, Finite, Measured, MeasuredByName, Whole, read_lines, write_lines
from ..evaluation.results import KeptResult, LevelPsnr

RUNS = "runs.jsonl"

LONGEST_RECORD = 2**24
"""Most bytes of a record: its curve and its diagnoses have an entry for each validation and each diagnosis."""


@dataclass(frozen=True)
class RunRecord:
    """The settings of one finished training, and its cost.

    Attributes:
        run: name of the training, as in its results.
        method: name of the method in the study.
        backbone: name of the backbone in the study.
        seed: seed of the training.
        spec: the method with the settings that it was trained with; they differ from those of the command where
            settings were tuned.
        lr: the outer learning rate that it was trained with.
        evaluations: number of gradient evaluations.
        steps: number of outer steps.
        seconds: time of these steps.
        memory: peak memory of the training (`core.memory`), MiB; 0 where it is unknown.
        machine: the machine in words.
        curve: the lines of its log.jsonl: the learning curve against `evaluations` and `seconds`.
        diagnoses: the lines of its diagnostics.jsonl.
        kept: the quality of the weights that it kept on its way, on excerpts of the test images.
        chosen: the quality of the weights that the results are of, on these excerpts; empty where none were kept.
    """

    run: str
    method: str
    backbone: str
    seed: Whole
    spec: str
    lr: Finite
    evaluations: Finite
    steps: Whole
    seconds: Finite
    memory: Finite
    machine: str
    curve: list[dict[str, Measured]]
    diagnoses: list[dict[str, MeasuredByName]]
    kept: list[KeptResult] = field(default_factory=list, metadata=IF_ANY)
    chosen: list[LevelPsnr] = field(default_factory=list, metadata=IF_ANY)


def write_runs(path: Path, records: Iterable[RunRecord]) -> None:
    """Write records as JSON lines, atomically. Raises UserError where the file cannot be written."""
    write_lines(path, records)


def read_runs(path: Path) -> list[RunRecord]:
    """Read the records of a file, none where it is missing. Raises UserError naming file, line and field."""
    hint = "remove the line, and its run is recorded again"
    return read_lines(path, RunRecord, hint, _require_trajectory, LONGEST_RECORD) if path.exists() else []


def _require_trajectory(record: RunRecord) -> None:
    """Raise ValueError for kept weights that make no trajectory: steps that do not rise, or levels that differ."""
    if any(after.steps <= before.steps for before, after in pairwise(record.kept)):
        raise ValueError("field 'kept': its steps do not rise")
    tested = [record.chosen, *(point.levels for point in record.kept)] if record.kept else []
    if any([one.level for one in own] != [one.level for one in tested[0]] for own in tested):
        raise ValueError("field 'kept': its levels are not those of 'chosen' at every point")
