"""What a process needs that does jobs of a study for another process, and what it answers."""

from __future__ import annotations

import io
import os
import pickle
import platform
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Generic, TypeVar
from uuid import uuid4

from ...core.errors import UserError
from ...core.freed_memory import keep_freed_memory
from ...core.progress import progress_bars, task
from ...core.trust import trusted_names, trusting
from ..config import CompareConfig
from ..jobs import Job
from ..plan import StudyPlan

T = TypeVar("T")

BEAT = 0.5
"""Seconds between two reports of a process on its job."""

SHARED = "all processes of a study must see the same files under the same names"


@dataclass(frozen=True)
class Report:
    """The progress of one job so far, in the unit of the budget.

    Attributes:
        done: the amount done.
        skipped: the amount within `done` that an earlier process had done.
        messages: text for the user since the last report, in whole lines.
    """

    done: float = 0.0
    skipped: float = 0.0
    messages: str = ""


class RemoteTraceback(Exception):  # noqa: N818 (shown as the cause of an error, and never raised by itself)
    """The traceback of another process, shown above the one of this process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What a process answers to a job.

    Attributes:
        value: the answer of the job; None where it failed.
        complete: whether the job was done to its end, and not stopped.
        error: the exception that ended the job; None where there was none.
        trace: the traceback of `error` in words.
    """

    value: T | None
    complete: bool
    error: Exception | None = None
    trace: str = ""

    def unpacked(self) -> T:
        """The value; raises the error of the job as its process raised it, where there is one."""
        if self.error is not None:
            raise self.error from RemoteTraceback(self.trace)
        return self.value  # type: ignore[return-value]  # a job without an error has a value of its own type


@dataclass(frozen=True)
class Workplace:
    """What a process must know to do jobs of a study.

    Attributes:
        study: a name that no other study has, nor the same study another time.
        config: the options of the study.
        data: the digest of the training photographs, by name of the entry.
        folder: the current folder of the study's process, from which relative paths start.
        search_path: where modules of the user's own are found.
        trusted: the names of code that the user trusts (`core.trust`).
    """

    study: str
    config: CompareConfig
    data: dict[str, str]
    folder: str
    search_path: list[str]
    trusted: tuple[str, ...]

    @classmethod
    def of(cls, plan: StudyPlan) -> Workplace:
        """The workplace of this process, for others."""
        return cls(uuid4().hex, plan.config, plan.data, str(Path.cwd()), [*sys.path], trusted_names())

    def __hash__(self) -> int:
        return hash(self.study)

    def plan(self) -> StudyPlan:
        """Make this process ready for jobs, folder and modules, and load what they share: once in a process.

        Raises:
            UserError: the folder or the photographs of the study are not there, or are others.
        """
        keep_freed_memory()
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise UserError(f"out: {self.folder} is not there on {platform.node()}; {SHARED}") from error
        sys.path += [entry for entry in self.search_path if entry not in sys.path]
        plan = StudyPlan.of(self.config, compare=False)
        if plan.data != self.data:
            named = ", ".join([*self.config.data, *self.config.pairs])
            raise UserError(f"data: {named} holds other photographs on {platform.node()}; {SHARED}")
        return plan

    def answer(
        self, job: Job[T], plan: Callable[[], StudyPlan], stop: Event, report: Callable[[Report], None]
    ) -> Answer[T]:
        """Do a job.

        Args:
            job: the job.
            plan: a function that returns what the method `plan` has made.
            stop: as for `Job.carry_out`.
            report: called every `BEAT` seconds, in a thread of its own, and once at the end.
        """
        messages = Lines()
        try:
            with (
                self._surroundings(messages),
                task(job.name, collects=True) as whole,
                beating(lambda: report(Report(whole.done, whole.skipped, messages.taken()))),
            ):
                value = job.carry_out(plan(), stop)
            return Answer(value, not stop.is_set())
        except Exception as error:
            return Answer(None, False, _portable(error), "".join(traceback.format_exception(error)))

    @contextmanager
    def _surroundings(self, messages: io.TextIOBase) -> Iterator[None]:
        """Trust what the user trusts, and show nothing: messages are for the study's process to show."""
        with trusting(*self.trusted), warnings.catch_warnings(), redirect_stderr(messages):
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            with progress_bars(silent=True):
                yield


class Lines(io.TextIOBase):
    """A stream that keeps what is written until it is taken."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        """Keep text."""
        self.text += text
        return len(text)

    def taken(self) -> str:
        """The whole lines so far, which are kept no longer."""
        lines, end, rest = self.text.rpartition("\n")
        self.text = rest
        return lines + end


@contextmanager
def beating(beat: Callable[[], None]) -> Iterator[None]:
    """Call `beat` every `BEAT` seconds while the block runs, in a thread of its own, and once after it."""
    over = Event()

    def run() -> None:
        while not over.wait(BEAT):
            beat()

    thread = Thread(target=run, name="reports", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        beat()


def _portable(error: Exception) -> Exception:
    """The exception if it can be sent to another process, else one with the same words."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:  # a class of the user's own may raise anything here
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")
