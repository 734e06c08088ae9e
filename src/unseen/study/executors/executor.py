"""What every executor does: carry out jobs and hand over the answers, in whichever order the jobs end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from threading import Event
from types import TracebackType
from typing import Self, TypeVar

from ..jobs import Job
from ..plan import StudyPlan

T = TypeVar("T")

RETRIES = 3
"""How often a job is begun anew whose process or machine was lost."""


class Executor(ABC):
    """The processes that do the jobs of one study; to be used in a `with` block, whose end ends them.

    Args:
        plan: the plan of the study.
        stop: once set, the jobs in hand end after their current step, with everything saved, and no other begins.
    """

    def __init__(self, plan: StudyPlan, stop: Event) -> None:
        self.plan, self.stop = plan, stop

    @abstractmethod
    def carry_out(self, jobs: Iterable[Job[T]]) -> Iterator[T]:
        """Do the jobs.

        Args:
            jobs: the jobs; the next one is taken when a process is free for it.

        Yields:
            The answer of each job that was begun, in the order in which they end.

        Raises:
            UserError: a process was lost again and again.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class ThisProcess(Executor):
    """The process of the study itself, which does one job after the other."""

    def carry_out(self, jobs: Iterable[Job[T]]) -> Iterator[T]:
        """Do the jobs in order, as `Executor.carry_out` says."""
        for job in jobs:
            if self.stop.is_set():
                return
            yield job.carry_out(self.plan, self.stop)
