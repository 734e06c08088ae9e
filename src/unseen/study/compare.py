"""A study: training and testing of several methods and seeds under one protocol at one budget."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

from ..core.config import CONFIG, load_config, save_config
from ..core.errors import UserError
from ..core.progress import advance_collected, task
from ..evaluation.results import RESULTS, ImageResult
from ..models.checkpoint import CHECKPOINT
from ..training.state import Diverged, holds_a_run, is_finished, is_of
from .config import CompareConfig
from .executors import executor_for
from .executors.executor import Executor
from .jobs import FailedRun, RunGroup
from .ledger import Ledger, StudyRun, expected_identity, recorded_identity, still_valid
from .plan import StudyPlan
from .report.export import write_summary
from .report.html_page import REPORT
from .runs import RUNS, RunRecord
from .summary import StudySummary
from .tuning import TRIALS, tuned

MAY_CHANGE = ("methods", "gap", "seeds", "test", "together", "tensorboard", "workers", "ray", "gpus_per_run", "out")
"""Options that may differ where a study goes on: what is added to it, and who does the work."""


@dataclass(frozen=True)
class StudyOutcome:
    """The outcome of a study: its finished runs, and the missing ones.

    Attributes:
        plan: the plan that all runs share.
        finished: the runs that are trained and tested, in order.
        results: test results of the finished runs.
        records: run records of the finished runs; a run whose results were copied without its record has none.
        summary: the statistics of the finished runs; None where no run is finished.
        failed: runs that diverged, each with the reason.
        left: number of runs still to do.
        refusal: error of a run that could not be used and ended the study; to be raised once the page is written.
    """

    plan: StudyPlan
    finished: list[StudyRun]
    results: list[ImageResult]
    records: list[RunRecord]
    summary: StudySummary | None
    failed: list[str]
    left: int
    refusal: UserError | None

    @property
    def shortcomings(self) -> list[str]:
        """Sentences on runs that are missing; none where the study is complete."""
        count = len(self.finished) + len(self.failed) + self.left
        unfinished = [f"Unfinished: {self.left} of {count} runs are yet to come."] if self.left else []
        return [*unfinished, *(f"Left out: {name}." for name in self.failed)]


def run_study(
    config: CompareConfig,
    stop: Event,
    *,
    overwrite: bool = False,
) -> StudyOutcome:
    """Train and test every method with every seed, into `config.out`: results, records and summary.

    A study that was interrupted goes on where it stopped, and a finished one runs nothing again; results and records
    of finished runs, also copied from elsewhere, are enough to go on. A run that diverges is left out, and named in the
    outcome. Whichever processes do the work, this one alone writes into the folder of the study, and in the same order.

    Args:
        config: the options of the study.
        stop: once set, the study ends after the current step; the outcome then covers the finished runs. It is set
            here, too, where a run is refused.
        overwrite: whether to train and test anew a study that is in the folder.

    Returns:
        The outcome. An error after the first run is in `refusal` and not raised, so that finished runs are reported.

    Raises:
        UserError: something that the options name cannot be used, or the folder holds another study.
    """
    out, entries = Path(config.out), config.entries()
    count = len(entries) * config.seeds
    with executor_for(StudyPlan.of(config), stop) as executor:
        _refuse_another_study(out, config, overwrite)
        if overwrite:
            _clear(out)
        save_config(out / CONFIG, config)
        amount = (count + len(entries) * config.tune) * config.limit.amount
        with task(f"all of {count} runs", amount, collects=True):
            if config.tune:
                entries = tuned(config, entries, executor)
            runs = [
                StudyRun(entry, config.run(entry, config.seed + i)) for i in range(config.seeds) for entry in entries
            ]
            ledger = Ledger(out, [run.name for run in runs])
            finished, failed, refusal = _finish_all(executor, runs, ledger)
    results = [result for run in finished for result in ledger.results_of(run.name)]
    records = [ledger.records[run.name] for run in finished if run.name in ledger.records]
    summary = StudySummary(results, records, config.backbone) if finished else None
    if summary is not None:
        write_summary(out, summary)
    left = count - len(finished) - len(failed)
    return StudyOutcome(executor.plan, finished, results, records, summary, failed, left, refusal)


def _finish_all(
    executor: Executor, runs: Sequence[StudyRun], ledger: Ledger
) -> tuple[list[StudyRun], list[str], UserError | None]:
    """Train and test the runs that are not finished, until the executor is stopped or one of them is refused.

    Returns:
        The finished runs, a sentence on each run that diverged, and why a run was refused, None if none was.
    """
    plan = executor.plan
    finished: set[str] = set()
    failed: dict[str, str] = {}
    refusal: UserError | None = None
    try:
        standings = [(run, Standing.of(plan, run, ledger)) for run in runs]
        finished.update(run.name for run, standing in standings if standing.complete)
        advance_collected(len(finished) * plan.config.limit.amount)
        unfinished = [pair for pair in standings if not pair[1].complete]
        for answers in executor.carry_out(_groups(unfinished, ledger, plan.config)):
            for answer in answers:
                if not isinstance(answer, FailedRun):
                    ledger.add(answer.results, answer.record)
                    finished.add(answer.name)
                elif isinstance(answer.error, Diverged):
                    failed[answer.name] = f"{answer.name}: {answer.error}"
                else:
                    refusal = refusal or answer.error
                    executor.stop.set()
    except UserError as error:
        refusal = error
    return (
        [run for run in runs if run.name in finished],
        [failed[run.name] for run in runs if run.name in failed],
        refusal,
    )


def _groups(
    unfinished: Sequence[tuple[StudyRun, Standing]], ledger: Ledger, config: CompareConfig
) -> Iterator[RunGroup]:
    """Group the runs that are trained side by side, each group when it is asked for.

    Where processes share the runs, the entry whose runs took longest so far comes first, so that no long run is left
    for the end while the others have nothing to do; an entry that was not trained yet may be the longest.
    """
    waiting = list(unfinished)
    while waiting:
        seconds = {(record.method, record.backbone): record.seconds for record in ledger.records.values()}
        if config.is_shared:
            waiting.sort(key=lambda pair: -seconds.get((pair[0].entry.method, pair[0].entry.backbone), math.inf))
        group, waiting = waiting[: config.together], waiting[config.together :]
        yield RunGroup([run for run, _ in group], [standing.measured for _, standing in group])


@dataclass(frozen=True)
class Standing:
    """What is done of a run already.

    Attributes:
        measured: its results, where they still hold for the test images, the training data and the network in its
            folder; else none.
        complete: whether nothing is left to do.
    """

    measured: list[ImageResult]
    complete: bool

    @classmethod
    def of(cls, plan: StudyPlan, run: StudyRun, ledger: Ledger) -> Standing:
        """Look at the folder of the run and at the ledger.

        Raises:
            UserError: the run was trained with other settings.
        """
        trained = is_of(run.training) and is_finished(run.folder)
        record = ledger.records.get(run.name)
        if record and (record.spec, record.lr) != (run.entry.spec, run.entry.lr):
            was, now = (f"{settings.spec}, lr {settings.lr:g}" for settings in (record, run.entry))
            raise UserError(f"{run.folder}: was trained with {was}, and {now} is chosen now; choose another --out")
        expected = expected_identity(run, plan.config)
        own = [result for result in ledger.results_of(run.name) if recorded_identity(result) == expected]
        kept = still_valid(own, plan.protocol, plan.tests, plan.data[run.entry.name])
        # Results of a finished run may have been copied without its folder; those of a younger network do not count.
        newer = trained and ledger.written >= (run.folder / CHECKPOINT).stat().st_mtime_ns
        complete = bool(kept) and (not holds_a_run(run.folder) or (newer and record is not None))
        return cls(kept if newer else [], complete)


def _clear(out: Path) -> None:
    """Remove what an overwritten study left, apart from the folders of its runs, which are trained over one by one."""
    for name in (RESULTS, RUNS, TRIALS, REPORT):
        (out / name).unlink(missing_ok=True)
    for state in out.glob("**/resume*.safetensors"):
        state.unlink()


def _refuse_another_study(out: Path, config: CompareConfig, overwrite: bool) -> None:
    """Refuse a folder of another study: methods, seeds and test sets may be added, nothing else may change."""
    if not (out / CONFIG).exists():
        if (out / RESULTS).exists() and not overwrite:
            raise UserError(f"out: {out / RESULTS} is there without its {CONFIG}; choose another --out, or --overwrite")
        return
    # Options that an older version did not have count as their defaults.
    saved, now = asdict(CompareConfig()) | load_config(out / CONFIG), asdict(config)
    if "method" in saved:
        raise UserError(f"out: {out} holds a single run; choose another --out")
    # A study that was refused before its first run is no other study.
    begun = any((out / name).exists() for name in (RESULTS, TRIALS)) or any(out.glob("**/resume.safetensors"))
    for name in now if begun and not overwrite else ():
        if name not in MAY_CHANGE and saved.get(name) != now[name]:
            same = f"give --threads {saved[name]}, " if name == "threads" else ""
            raise UserError(
                f"{out / CONFIG}: {name} is {saved.get(name)!r} there and {now[name]!r} here; "
                f"{same}choose another --out, or --overwrite"
            )
