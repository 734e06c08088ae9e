"""The ledger of a study: results and records of its finished runs, and a check whether they are still valid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.atomic import write_text
from ..core.grouping import grouped
from ..evaluation.benchmark_sets import BenchmarkSets
from ..evaluation.inputs import judge_input, levels_of
from ..evaluation.results import RESULTS, ImageResult, read_results, result_lines
from ..protocols.protocol import Protocol
from ..training.config import TrainConfig
from .config import CompareConfig, Entry
from .runs import RUNS, RunRecord, read_runs, write_runs

TEST_SEED = 0
"""Seed of the test distortions in a study: one for all, so that every network gets the same images."""


@dataclass(frozen=True)
class StudyRun:
    """One training of a study.

    Attributes:
        entry: the entry that is trained.
        training: the configuration of the training.
    """

    entry: Entry
    training: TrainConfig

    @property
    def folder(self) -> Path:
        """The folder that the run is trained in."""
        return self.training.folder

    @property
    def name(self) -> str:
        """The name of the run in its results and its record."""
        return self.folder.name


class Ledger:
    """The results and records in a study's folder, by run, in the order of the study.

    Results of runs that are not asked for stay in the files, before the others.

    Attributes:
        folder: the folder of the study.
        written: time when the results were written, ns since the epoch; 0 without results. They do not belong to a
            younger network: a run may have been trained again and stopped before its test.
        records: the run records, by name of the run.
    """

    def __init__(self, folder: Path, order: Sequence[str]):
        """Read the ledger of a study's folder; an absent file is an empty one.

        Args:
            folder: the folder of the study.
            order: the names of the runs that are asked for, in the order of the study.

        Raises:
            UserError: if a file cannot be read.
        """
        self.folder = folder
        self._place = {name: i for i, name in enumerate(order)}
        file = folder / RESULTS
        self.written = file.stat().st_mtime_ns if file.exists() else 0
        self._results = grouped(read_results(file) if file.exists() else [], lambda result: result.run)
        self._lines: dict[str, str] = {}  # of each run's results, so that a run does not cost what all before it cost
        self.records = {record.run: record for record in read_runs(folder / RUNS)}

    def results_of(self, run: str) -> list[ImageResult]:
        """Return the results of a run, none if it has not been tested."""
        return self._results.get(run, [])

    def add(self, results: list[ImageResult], record: RunRecord) -> None:
        """Add or replace a finished run, and write both files, in the same order whichever run was finished first."""
        self._results[record.run], self.records[record.run] = results, record
        self._lines.pop(record.run, None)
        names = sorted(self._results | self.records, key=lambda name: self._place.get(name, -1))
        write_text(self.folder / RESULTS, "".join(map(self._lines_of, names)))
        write_runs(self.folder / RUNS, [self.records[name] for name in names if name in self.records])

    def _lines_of(self, run: str) -> str:
        if run not in self._lines:
            self._lines[run] = result_lines(self.results_of(run))
        return self._lines[run]


def recorded_identity(result: ImageResult) -> tuple[object, ...]:
    """The training that a result says it is of, to be compared with `expected_identity`."""
    return (result.method, result.backbone, result.seed, result.budget, result.select, result.tuned)


def expected_identity(run: StudyRun, config: CompareConfig) -> tuple[object, ...]:
    """The training that the results of a run must be of, to be compared with `recorded_identity`."""
    training = run.training
    return (run.entry.method, training.backbone, training.seed, str(training.limit), training.select, config.tune)


def still_valid(
    results: Sequence[ImageResult], protocol: Protocol, tests: BenchmarkSets, data: str
) -> list[ImageResult]:
    """Return the stored results if they still match protocol, benchmark images and training data, else none.

    An image counts as unchanged if the PSNR of its distorted input, recomputed at one level, agrees to 1e-3 dB.

    Args:
        results: the results of one run.
        protocol: the protocol of the study.
        tests: the test images of the study.
        data: digest of the run's training photographs.
    """
    same = [result for result in results if (result.protocol_hash, result.data) == (protocol.hash(), data)]
    inputs = {(result.dataset, result.image, result.level): result.input_psnr for result in same}
    wanted = [
        (dataset, photo, [level for level, _ in levels_of(photo, dataset, protocol)]) for dataset, photo in tests.photos
    ]
    if inputs.keys() != {(dataset, photo.name, level) for dataset, photo, levels in wanted for level in levels}:
        return []
    for dataset, photo, levels in wanted:
        _, confounder = levels_of(photo, dataset, protocol)[0]
        psnr, _ = judge_input(photo, confounder, protocol.convention, TEST_SEED, dataset)
        if not math.isclose(psnr, inputs[dataset, photo.name, levels[0]], abs_tol=1e-3):  # dB
            return []
    return same
