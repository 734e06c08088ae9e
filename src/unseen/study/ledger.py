"""The ledger of a study: which runs are finished, and whether their results still hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.grouping import grouped
from ..evaluation.benchmark_sets import BenchmarkSets
from ..evaluation.inputs import judge_input, levels_of
from ..evaluation.results import RESULTS, ImageResult, read_results, write_results
from ..protocols.protocol import Protocol
from ..training.config import TrainConfig
from .config import CompareConfig, Entry
from .runs import RUNS, RunRecord, read_runs, write_runs

TEST_SEED = 0  # of the test distortions in a study: one for all, so that every network is given the same


@dataclass(frozen=True)
class StudyRun:
    """One training of a study: the entry that it is of, and its configuration."""

    entry: Entry
    training: TrainConfig

    @property
    def folder(self) -> Path:
        """Where it is trained."""
        return self.training.folder

    @property
    def name(self) -> str:
        """What its rows and its record call it."""
        return self.folder.name


class Ledger:
    """The rows and records of a study's folder, by run, in the order in which they were entered.

    Those of runs that are not asked for stay in the files. `written`: when what is there was written, 0 if nothing
    is; rows cannot be of a network that is younger, as a run may have been trained again and stopped before its test.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        there = (folder / RESULTS).exists()
        self.written = (folder / RESULTS).stat().st_mtime_ns if there else 0
        self._results = grouped(read_results(folder / RESULTS) if there else [], lambda row: row.run)
        self.records = {record.run: record for record in read_runs(folder / RUNS)}

    def results_of(self, run: str) -> list[ImageResult]:
        """The rows of a run, none if it has not been tested."""
        return self._results.get(run, [])

    def add(self, rows: list[ImageResult], record: RunRecord) -> None:
        """Take up a run that is finished, and write all that is known."""
        self._results[record.run], self.records[record.run] = rows, record
        write_results(self.folder / RESULTS, [row for of_run in self._results.values() for row in of_run])
        write_runs(self.folder / RUNS, self.records.values())


def recorded_identity(row: ImageResult) -> tuple[object, ...]:
    """What a row says of its training."""
    return (row.method, row.backbone, row.seed, row.budget, row.select, row.tuned)


def expected_identity(run: StudyRun, config: CompareConfig) -> tuple[object, ...]:
    """What the rows of a run must say of their training."""
    training = run.training
    return (run.entry.method, training.backbone, training.seed, str(training.limit), training.select, config.tune)


def still_valid(rows: Sequence[ImageResult], protocol: Protocol, tests: BenchmarkSets, data: str) -> list[ImageResult]:
    """These rows of a run, if they are of these very tests, levels and training photographs; else none.

    Whether a test image is still the same is seen by what it measures undone, under one of its levels.
    """
    found = [row for row in rows if (row.protocol_hash, row.data) == (protocol.hash(), data)]
    inputs = {(row.dataset, row.image, row.level): row.input_psnr for row in found}
    wanted = [
        (dataset, photo, [level for level, _ in levels_of(photo, dataset, protocol)]) for dataset, photo in tests.photos
    ]
    if inputs.keys() != {(dataset, photo.name, level) for dataset, photo, levels in wanted for level in levels}:
        return []
    for dataset, photo, levels in wanted:
        _, confounder = levels_of(photo, dataset, protocol)[0]
        measured, _ = judge_input(photo, confounder, protocol.convention, TEST_SEED, dataset)
        if not math.isclose(measured, inputs[dataset, photo.name, levels[0]], abs_tol=1e-3):  # dB
            return []
    return found
