"""A study: training and testing of several methods and seeds under one protocol at one budget."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

from torch import nn

from ..core.config import CONFIG, Machine, load_config, save_config
from ..core.errors import UserError
from ..core.folder_lock import sole_use
from ..core.progress import advance_collected, task
from ..core.provenance import machine_line
from ..core.registry import build
from ..evaluation.benchmark_sets import BenchmarkSets
from ..evaluation.evaluate import TestedNetwork, evaluate_network
from ..evaluation.results import RESULTS, ImageResult
from ..methods import METHODS, Method
from ..models.backbones import BACKBONES
from ..models.card import Card
from ..models.checkpoint import CHECKPOINT, load_checkpoint
from ..protocols.protocol import Protocol
from ..training.config import TrainConfig
from ..training.run import refuse_unsuited_options
from ..training.side_by_side import train_side_by_side
from ..training.state import Diverged, holds_a_run, is_finished, is_of, state_of
from ..training.training_data import protocol_of, training_data_by_view
from .config import CompareConfig
from .ledger import TEST_SEED, Ledger, StudyRun, expected_identity, recorded_identity, still_valid
from .report.export import write_summary
from .report.html_page import REPORT
from .runs import RUNS, RunRecord
from .summary import StudySummary
from .tuning import TRIALS, tuned


@dataclass(frozen=True)
class StudyPlan:
    """The plan of a study: the options, protocol and data that all its runs share.

    Attributes:
        config: the options of the study.
        protocol: the protocol of training and tests.
        tests: the test images.
        data: the digest of the training photographs, by name of the entry.
    """

    config: CompareConfig
    protocol: Protocol
    tests: BenchmarkSets
    data: dict[str, str]

    @classmethod
    def of(cls, config: CompareConfig) -> StudyPlan:
        """Load and check everything that the options name, before hours of training and not after.

        Raises:
            UserError: something that the options name cannot be used.
        """
        config.check()
        protocol = protocol_of(config)
        methods = {entry.name: build(entry.method, METHODS, "methods", Method) for entry in config.entries()}
        for entry in config.entries():
            refuse_unsuited_options(config, entry.method, methods[entry.name])
        training_data = training_data_by_view(config, protocol, list(methods.values()))
        tests = BenchmarkSets.load(
            config, protocol, [photo for data in training_data.values() for photo in data.photos()]
        )
        for backbone in dict.fromkeys(entry.backbone for entry in config.entries()):
            build(backbone, BACKBONES, "backbone", nn.Module)
        digests = {sees_unseen: data.digest() for sees_unseen, data in training_data.items()}
        return cls(config, protocol, tests, {name: digests[method.sees_unseen] for name, method in methods.items()})


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
    outcome.

    Args:
        config: the options of the study.
        stop: once set, the study ends after the current step; the outcome then covers the finished runs.
        overwrite: whether to train and test anew a study that is in the folder.

    Returns:
        The outcome. An error after the first run is in `refusal` and not raised, so that finished runs are reported.

    Raises:
        UserError: something that the options name cannot be used, or the folder holds another study.
    """
    plan = StudyPlan.of(config)
    out, budget, entries = Path(config.out), config.limit, config.entries()
    _refuse_another_study(out, config, overwrite)
    if overwrite:
        _clear(out)
    save_config(out / CONFIG, config)
    ledger = Ledger(out)
    count = len(entries) * config.seeds
    with task(f"all of {count} runs", (count + len(entries) * config.tune) * budget.amount, collects=True):
        if config.tune:
            entries = tuned(config, entries, stop)
        runs = [StudyRun(entry, config.run(entry, config.seed + i)) for i in range(config.seeds) for entry in entries]
        finished, failed, refusal = _finish_all(plan, runs, ledger, stop)
    results = [result for run in finished for result in ledger.results_of(run.name)]
    records = [ledger.records[run.name] for run in finished if run.name in ledger.records]
    summary = StudySummary(results, records, config.backbone) if finished else None
    if summary is not None:
        write_summary(out, summary)
    left = count - len(finished) - len(failed)
    return StudyOutcome(plan, finished, results, records, summary, failed, left, refusal)


def _finish_all(
    plan: StudyPlan, runs: Sequence[StudyRun], ledger: Ledger, stop: Event
) -> tuple[list[StudyRun], list[str], UserError | None]:
    """Train and test the runs, as many side by side as the options say, until `stop` is set or one is refused.

    Returns:
        The finished runs, a sentence on each run that diverged, and why a run was refused, None if none was.
    """
    finished: list[StudyRun] = []
    failed: list[str] = []
    together = plan.config.together
    try:
        for first in range(0, len(runs), together):
            if stop.is_set():
                break
            group = runs[first : first + together]
            with ExitStack() as locks:
                for run in group:
                    locks.enter_context(sole_use(run.folder, "unseen compare"))
                errors = _train(plan, group, ledger, stop)
                for run in group:
                    error = errors.get(run.folder)
                    if isinstance(error, Diverged):
                        failed.append(f"{run.name}: {error}")
                    elif error:
                        raise error
                    elif _test(plan, run, ledger, stop):
                        finished.append(run)
    except UserError as error:
        return finished, failed, error
    return finished, failed, None


def _train(plan: StudyPlan, group: Sequence[StudyRun], ledger: Ledger, stop: Event) -> dict[Path, UserError]:
    """Train the runs of a group side by side, those that are not trained yet; the errors by folder."""
    trained = [Standing.of(plan, run, ledger).is_trained for run in group]
    advance_collected(sum(trained) * plan.config.limit.amount)
    untrained = [run.training for run, done in zip(group, trained, strict=True) if not done]
    return train_side_by_side(untrained, stop, [is_of(training) for training in untrained])


@dataclass(frozen=True)
class Standing:
    """What is done of a run already.

    Attributes:
        results: its results, as far as they still hold for the test images and the training data.
        trained_before: whether its folder holds the finished training.
        newer: whether the results were written after that training.
        complete: whether nothing is left to do.
    """

    results: list[ImageResult]
    trained_before: bool
    newer: bool
    complete: bool

    @classmethod
    def of(cls, plan: StudyPlan, run: StudyRun, ledger: Ledger) -> Standing:
        """Look at the folder of the run and at the ledger.

        Raises:
            UserError: the run was trained with other settings.
        """
        trained_before = is_of(run.training) and is_finished(run.folder)
        record = ledger.records.get(run.name)
        if record and (record.spec, record.lr) != (run.entry.spec, run.entry.lr):
            was, now = (f"{settings.spec}, lr {settings.lr:g}" for settings in (record, run.entry))
            raise UserError(f"{run.folder}: was trained with {was}, and {now} is chosen now; choose another --out")
        expected = expected_identity(run, plan.config)
        own = [result for result in ledger.results_of(run.name) if recorded_identity(result) == expected]
        kept = still_valid(own, plan.protocol, plan.tests, plan.data[run.entry.name])
        newer = ledger.written >= (run.folder / CHECKPOINT).stat().st_mtime_ns if trained_before else False
        # Results of a finished run may have been copied without its folder.
        complete = bool(kept) and (not holds_a_run(run.folder) or (newer and record is not None))
        return cls(kept, trained_before, newer, complete)

    @property
    def is_trained(self) -> bool:
        """Whether there is nothing to train."""
        return self.trained_before or self.complete


def _test(plan: StudyPlan, run: StudyRun, ledger: Ledger, stop: Event) -> bool:
    """Test a trained run and add it to the ledger, as far as that is not done; False if `stop` was set before."""
    standing = Standing.of(plan, run, ledger)
    if standing.complete:
        return True
    if stop.is_set():
        return False
    network, card = load_checkpoint(run.folder, run.training.backbone)
    _refuse_other_training(run.training, card, plan.protocol, plan.data[run.entry.name])
    kept = standing.results
    if not kept or not standing.newer:
        trained = TestedNetwork(network, card, run.name, run.entry.method, plan.config.tune)
        kept = evaluate_network(trained, plan.protocol, plan.tests, plan.config, TEST_SEED, stop)
    if stop.is_set():
        return False
    ledger.add(kept, record_of(run, plan.config))
    return True


def record_of(run: StudyRun, machine: Machine) -> RunRecord:
    """The record of a finished run."""
    state = state_of(run.folder)
    return RunRecord(
        run=run.name,
        method=run.entry.method,
        backbone=run.entry.backbone,
        seed=run.training.seed,
        spec=run.entry.spec,
        lr=run.entry.lr,
        evaluations=state.evaluations_spent(run.training),
        steps=state.step,
        seconds=state.seconds,
        memory=state.memory,
        machine=machine_line(machine),
        curve=state.log,
        diagnoses=state.diagnoses,
    )


def _clear(out: Path) -> None:
    """Remove what an overwritten study left, apart from the folders of its runs, which are trained over one by one."""
    for name in (RESULTS, RUNS, TRIALS, REPORT):
        (out / name).unlink(missing_ok=True)
    for state in out.glob("**/resume*.safetensors"):
        state.unlink()


def _refuse_other_training(run: TrainConfig, card: Card, protocol: Protocol, data: str) -> None:
    """Refuse a run that was trained under another protocol, or on other photographs."""
    for what, changed in (
        (run.protocol, card.protocol_hash != protocol.hash()),
        (f"what is in {', '.join([*run.data, *run.pairs])}", card.data != data),
    ):
        if changed:
            raise UserError(f"{run.folder}: trained before {what} changed; choose another --out, or --overwrite")


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
        if (
            name not in ("methods", "gap", "seeds", "test", "together", "tensorboard", "out")
            and saved.get(name) != now[name]
        ):
            raise UserError(
                f"{out / CONFIG}: {name} is {saved.get(name)!r} there and {now[name]!r} here; "
                "choose another --out, or --overwrite"
            )
