"""The jobs of a study: training, testing and recording its runs, by whichever process does it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol, TypeVar

from ..core.config import Machine
from ..core.errors import UserError
from ..core.folder_lock import sole_use
from ..core.progress import advance_collected
from ..core.provenance import machine_line
from ..evaluation.evaluate import TestedNetwork, evaluate_network
from ..evaluation.results import ImageResult
from ..models.checkpoint import load_checkpoint
from ..training.side_by_side import train_side_by_side
from ..training.state import is_finished, is_of, state_of
from .kept_test import KeptTest, tested_kept
from .ledger import TEST_SEED, StudyRun
from .plan import StudyPlan
from .runs import RunRecord

T_co = TypeVar("T_co", covariant=True)


class Job(Protocol[T_co]):
    """Work of a study that any process can do which has the plan; the process that collects the answers writes them."""

    @property
    def name(self) -> str:
        """The name of the job in messages."""

    def carry_out(self, plan: StudyPlan, stop: Event) -> T_co:
        """Do the work, or go on with what an earlier process did of it.

        Args:
            plan: the plan of the study.
            stop: once set, the work ends after the current step, with everything saved; the answer is then incomplete.
        """


@dataclass(frozen=True)
class FinishedRun:
    """A run that is trained and tested."""

    name: str
    results: list[ImageResult]
    record: RunRecord


@dataclass(frozen=True)
class FailedRun:
    """A run that could not be finished, and the reason."""

    name: str
    error: UserError


@dataclass(frozen=True)
class RunGroup:
    """Runs of a study that are trained side by side, then tested and recorded one by one; of one run as a rule.

    Attributes:
        runs: the runs.
        measured: for each run, the results that hold for the network in its folder; empty if it must be tested.
    """

    runs: Sequence[StudyRun]
    measured: Sequence[list[ImageResult]]

    @property
    def name(self) -> str:
        """The names of the runs."""
        return ", ".join(run.name for run in self.runs)

    def carry_out(self, plan: StudyPlan, stop: Event) -> list[FinishedRun | FailedRun]:
        """Train, test and record the runs; those that `stop` left unfinished are not among the answers."""
        with ExitStack() as locks:
            for run in self.runs:
                locks.enter_context(sole_use(run.folder, "unseen compare"))
            errors = self._train(plan, stop)
            answers: list[FinishedRun | FailedRun] = []
            for run, measured in zip(self.runs, self.measured, strict=True):
                try:
                    if error := errors.get(run.folder):
                        raise error
                    if not stop.is_set() and (finished := finished_run(plan, run, measured, stop)):
                        answers.append(finished)
                except UserError as error:  # what the others of the group reached is not lost
                    answers.append(FailedRun(run.name, error))
            return answers

    def _train(self, plan: StudyPlan, stop: Event) -> dict[Path, UserError]:
        """Train the runs that are not trained yet; the errors by folder."""
        untrained = [run for run in self.runs if not (is_of(run.training) and is_finished(run.folder))]
        advance_collected((len(self.runs) - len(untrained)) * plan.config.limit.amount)
        return train_side_by_side(
            [run.training for run in untrained],
            stop,
            [is_of(run.training) for run in untrained],
            [plan.training_data[run.entry.name] for run in untrained],
        )


def finished_run(plan: StudyPlan, run: StudyRun, measured: list[ImageResult], stop: Event) -> FinishedRun | None:
    """Test the trained network of a run and the weights that it kept, and record the run.

    Args:
        plan: the plan of the study.
        run: the run.
        measured: the results that hold for the network, if it was tested before; else none.
        stop: once set, the test ends after the current image.

    Returns:
        The finished run; None if `stop` was set before all was tested.

    Raises:
        UserError: the network was trained under another protocol, or on other photographs.
    """
    network, card = load_checkpoint(run.folder, run.training.backbone)
    training = run.training
    for what, changed in (
        (training.protocol, card.protocol_hash != plan.protocol.hash()),
        (f"what is in {', '.join([*training.data, *training.pairs])}", card.data != plan.data[run.entry.name]),
    ):
        if changed:
            raise UserError(f"{run.folder}: trained before {what} changed; choose another --out, or --overwrite")
    trained = TestedNetwork(network, card, run.name, run.entry.method, plan.config.tune)
    if not measured:
        measured = evaluate_network(trained, plan.protocol, plan.tests, plan.config, TEST_SEED, stop)
        if stop.is_set():
            return None
    kept_test = tested_kept(run.folder, trained, plan.protocol, plan.tests, plan.config.device, TEST_SEED, stop)
    return FinishedRun(run.name, measured, record_of(run, plan.config, kept_test)) if kept_test else None


def record_of(run: StudyRun, machine: Machine, kept_test: KeptTest) -> RunRecord:
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
        kept=kept_test.kept,
        chosen=kept_test.chosen,
    )
