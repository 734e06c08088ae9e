"""A pool of processes on this machine, each with its own interpreter; one that is lost takes no other with it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, TypeVar

from ...core.errors import UserError
from ...core.launcher import GRACE, POLL
from ..jobs import Job
from ..plan import StudyPlan
from .executor import RETRIES, Executor
from .progress import RelayedProgress
from .workplace import Answer, Report, Workplace

T = TypeVar("T")

STOP = "stop"
"""The message to a worker that it should end after its current step."""

PACKAGE = Path(__file__).parents[3]
"""The folder in which the package `unseen` lies."""


@dataclass(frozen=True)
class Assignment:
    """A job with its number, and how many workers were lost over it."""

    number: int
    job: Job[Any]
    losses: int = 0


class Worker:
    """A process that does one job at a time; `connection` is readable once it has something to say, or has ended.

    Args:
        workplace: what the process must know.
        gpu: the GPU that it sees, as CUDA_VISIBLE_DEVICES has it; None for all.
    """

    def __init__(self, workplace: Workplace, gpu: str | None) -> None:
        self.assignment: Assignment | None = None
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process lives)
        self.connection, theirs = Pipe()
        try:
            self.process = self._start(theirs, {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})
        finally:
            theirs.close()
        self.send(workplace)

    def _start(self, theirs: Connection, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start the process with its end of the connection, and variables of its environment."""
        path = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")]))
        # Ctrl-C reaches all processes of a terminal: it waits until the worker is ready for it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return subprocess.Popen(  # -P: no module is taken from the current folder unasked
                [sys.executable, "-P", "-m", f"{__package__}.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=self.errors,
                env={**os.environ, **variables, "PYTHONPATH": path},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def send(self, message: object) -> None:
        """Send a message; one to a worker that has ended is lost, and its end is seen elsewhere."""
        with suppress(OSError):
            self.connection.send(message)

    def give(self, assignment: Assignment) -> None:
        """Give the worker a job."""
        self.assignment = assignment
        self.send(assignment.job)

    def received(self) -> Report | Answer[Any] | None:
        """The next message of the worker; None once it has ended."""
        try:
            message: Report | Answer[Any] = self.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):  # ended, perhaps in the middle of a message
            return None
        return message

    def end(self, seconds: float) -> None:
        """End the process: by itself within so many seconds, else at once."""
        self.send(STOP)
        self.connection.close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()

    def last_words(self) -> str:
        """How the process ended, for a message."""
        try:
            code = self.process.wait(GRACE)
        except subprocess.TimeoutExpired:  # it hangs at its end
            self.process.kill()
            code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        names = {number.value: number.name for number in signal.Signals}
        how = f"was ended by {names.get(-code, -code)}" if code < 0 else f"ended with exit code {code}"
        return f"{how}: {words}" if words else how


class LocalPool(Executor):
    """Processes on this machine, as many as the options say, started as there are jobs for them.

    Args:
        plan: the plan of the study.
        stop: as for `Executor`.

    Raises:
        UserError: the options ask more of the GPUs than there are.
    """

    def __init__(self, plan: StudyPlan, stop: Event) -> None:
        super().__init__(plan.without_training_data(), stop)
        config = plan.config
        self.workplace = Workplace.of(plan)
        self.gpus = gpus_of_workers(config.workers, config.gpus_per_run) if config.device == "cuda" else []
        self.workers: dict[int, Worker] = {}
        self.progress = RelayedProgress()
        self.numbers = count()

    def carry_out(self, jobs: Iterable[Job[T]]) -> Iterator[T]:
        """Do the jobs, as many at a time as there are workers, as `Executor.carry_out` says."""
        assignments = (Assignment(next(self.numbers), job) for job in jobs)
        lost: list[Assignment] = []
        while True:
            if self.stop.is_set():
                for worker in self.workers.values():
                    worker.send(STOP)
            else:
                self._assign(lost, assignments)
            busy = {worker.connection: slot for slot, worker in self.workers.items() if worker.assignment}
            if not busy:
                return
            for connection in wait(list(busy), POLL):
                if isinstance(connection, Connection) and (answer := self._answer(busy[connection], lost)):
                    yield answer.unpacked()

    def _assign(self, lost: list[Assignment], assignments: Iterator[Assignment]) -> None:
        """Give every free worker a job: first those whose worker was lost."""
        for slot in range(self.plan.config.workers):
            worker = self.workers.get(slot)
            if worker and worker.assignment:
                continue
            assignment = lost.pop(0) if lost else next(assignments, None)
            if assignment is None:
                return
            if worker is None:
                self.workers[slot] = worker = Worker(self.workplace, self.gpus[slot] if self.gpus else None)
            worker.give(assignment)

    def _answer(self, slot: int, lost: list[Assignment]) -> Answer[Any] | None:
        """Receive a message of a worker.

        Returns:
            The answer to its job; None for a report, and where the worker ended before its job was done: the job is
            then put among the lost ones.

        Raises:
            UserError: too many workers were lost over the job.
        """
        worker = self.workers[slot]
        message, assignment = worker.received(), worker.assignment
        if assignment is None:
            return None
        if isinstance(message, Report):
            self.progress.note(assignment.number, message)
            return None
        worker.assignment = None
        if message is None or not (message.complete or message.error):  # the worker was stopped, and ends
            del self.workers[slot]
            end = worker.last_words()
            worker.end(GRACE)
            if self.stop.is_set():
                return message
            if assignment.losses == RETRIES:
                raise UserError(
                    f"workers: {assignment.job.name}: its process {end}, {RETRIES + 1} times; if memory is short, "
                    "give fewer --workers; the same command goes on"
                )
            lost.append(replace(assignment, losses=assignment.losses + 1))
            return None
        return message

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers: at once where Ctrl-C was given twice, else after the step in hand."""
        for worker in self.workers.values():
            worker.send(STOP)
        seconds = 0.0 if isinstance(error, KeyboardInterrupt) else GRACE
        for worker in self.workers.values():
            worker.end(seconds)
        self.workers.clear()


def gpus_of_workers(workers: int, share: float) -> list[str]:
    """The GPU of each worker, as CUDA_VISIBLE_DEVICES has it.

    Args:
        workers: the number of workers.
        share: the share of a GPU that each takes; 0 for a whole one.

    Raises:
        UserError: there are too few GPUs.
    """
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = named.split(",") if named else [str(i) for i in range(torch.cuda.device_count())]
    if workers > int(1 / (share or 1.0) + 1e-6) * len(visible):
        raise UserError(
            f"workers: {workers} runs of {share or 1.0:g} GPU at a time take more than the {len(visible)} that this "
            "machine has; give fewer, or a smaller --gpus-per-run"
        )
    return [visible[i % len(visible)] for i in range(workers)]
