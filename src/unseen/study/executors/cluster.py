"""A Ray cluster: each job is one of Ray's tasks, with its need of processors and GPUs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import count
from threading import Event, current_thread, main_thread
from types import TracebackType
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...core.errors import UserError, one_line
from ...core.launcher import GRACE, POLL
from ..jobs import Job
from ..plan import StudyPlan
from .executor import RETRIES, Executor
from .progress import RelayedProgress
from .workplace import Answer, Report, Workplace

T = TypeVar("T")

OBJECTS = 128 * 2**20
"""Bytes of shared memory of a cluster that the study starts itself: jobs and answers are small."""

AHEAD = 2
"""Jobs that are handed to Ray for each that can run: those that wait tell a cluster that it may grow."""


class Board:
    """Where the tasks report, and learn that they should stop; it lives beside the study's process."""

    def __init__(self) -> None:
        self.reports: dict[int, list[Report]] = {}
        self.stopped = False

    def report(self, number: int, report: Report) -> bool:
        """Take the report on a job. Returns whether its task should stop."""
        self.reports.setdefault(number, []).append(report)
        return self.stopped

    def stop(self) -> None:
        """Let all tasks stop after their current step."""
        self.stopped = True

    def taken(self) -> dict[int, list[Report]]:
        """The reports since the last call, by number of the job."""
        reports, self.reports = self.reports, {}
        return reports


@lru_cache(maxsize=1)
def plan_at(workplace: Workplace) -> StudyPlan:
    """The plan of the study that this process works for, loaded once."""
    return workplace.plan()


def carry_out(workplace: Workplace, number: int, job: Job[T], board: Any) -> Answer[T]:
    """Do a job in a process of the cluster."""
    stop = Event()

    def report(progress: Report) -> None:
        try:
            if ray.get(board.report.remote(number, progress)):
                stop.set()
        except RayError:  # the machine of the study's process is gone, and nobody waits for the answer
            stop.set()

    report(Report())
    return workplace.answer(job, lambda: plan_at(workplace), stop, report)


class RayCluster(Executor):
    """A Ray cluster, joined for the length of the study, or started on this machine.

    Args:
        plan: the plan of the study.
        stop: as for `Executor`.

    Raises:
        UserError: no cluster answers, or none of its machines has what a run needs.
    """

    def __init__(self, plan: StudyPlan, stop: Event) -> None:
        super().__init__(plan.without_training_data(), stop)
        config = plan.config
        self.workplace = Workplace.of(plan)
        self.needs = {"CPU": config.threads, "GPU": (config.gpus_per_run or 1) if config.device == "cuda" else 0}
        self.joined = join(config.ray)
        self._require_resources()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.board: Any = ray.remote(Board).options(num_cpus=0, scheduling_strategy=here).remote()
        needs = {"num_cpus": self.needs["CPU"], "num_gpus": self.needs["GPU"]}
        self.task: Any = ray.remote(carry_out).options(**needs, max_retries=RETRIES)
        self.progress = RelayedProgress()
        self.numbers = count()
        self.running: dict[Any, Job[Any]] = {}

    def carry_out(self, jobs: Iterable[Job[T]]) -> Iterator[T]:
        """Do the jobs, as many at a time as the cluster has room for, as `Executor.carry_out` says."""
        waiting, running, stopping = iter(jobs), self.running, False
        while True:
            if self.stop.is_set() and not stopping:
                stopping = True
                self.board.stop.remote()
            while not stopping and len(running) < AHEAD * self._room() and (job := next(waiting, None)):
                running[self._begin(job)] = job
            if not running:
                return
            ended, _ = ray.wait(list(running), timeout=POLL)
            self._show_progress()
            for reference in ended:
                answer = _answer(reference, running.pop(reference), stopping)
                if answer is not None:
                    yield answer.unpacked()

    def _begin(self, job: Job[T]) -> Any:
        """Hand a job to Ray."""
        return self.task.remote(self.workplace, next(self.numbers), job, self.board)

    def _room(self) -> int:
        """How many jobs can run at a time, one at least."""
        resources = ray.cluster_resources()
        return max(1, int(min(resources.get(kind, 0) / need for kind, need in self.needs.items() if need)))

    def _require_resources(self) -> None:
        """Refuse needs that no machine of the cluster meets: Ray would wait for such a machine without end."""
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        for kind, need in self.needs.items():
            most = max((resources.get(kind, 0) for resources in machines), default=0)
            if need > most:
                option = "threads" if kind == "CPU" else "gpus_per_run"
                raise UserError(
                    f"{option}: a run takes {need:g} {kind}, and no machine of the cluster has over {most:g}"
                )

    def _show_progress(self) -> None:
        for number, reports in ray.get(self.board.taken.remote()).items():
            for report in reports:
                self.progress.note(number, report)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs for this study: at once where Ctrl-C was given twice, else after the step in hand."""
        with suppress(RayError):
            if self.running:
                self.board.stop.remote()
                seconds = 0.0 if isinstance(error, KeyboardInterrupt) else GRACE
                _, left = ray.wait(list(self.running), num_returns=len(self.running), timeout=seconds)
                for reference in left:
                    ray.cancel(reference, force=True)
            ray.kill(self.board)
        if self.joined:
            ray.shutdown()


def join(address: str) -> bool:
    """Join a cluster, or start one on this machine.

    Args:
        address: `auto`, HOST:PORT, or `local` for a cluster of its own.

    Returns:
        Whether the cluster was joined here, and must be left; False where the calling program had joined one.

    Raises:
        UserError: no cluster answers there.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anyone unasked
    handler = signal.getsignal(signal.SIGTERM)
    own = {"include_dashboard": False, "object_store_memory": OBJECTS} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except (RuntimeError, OSError, ValueError, RayError) as error:
        advice = "start one with `ray start --head`, or give --ray local"
        raise UserError(f"ray: no cluster at {address}: {one_line(error):.200}; {advice}") from error
    if current_thread() is main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray would end this process in the middle of its work
    return True


def _answer(reference: Any, job: Job[T], stopping: bool) -> Answer[T] | None:
    """The answer of a task that has ended; None where its process was lost while the study stops.

    Raises:
        UserError: its process or machine was lost too often.
    """
    try:
        answer: Answer[T] = ray.get(reference)
    except RayTaskError:  # a fault of ours, outside of the job
        raise
    except RayError as error:
        if stopping:
            return None
        raise UserError(
            f"ray: {job.name}: its process was lost {RETRIES + 1} times: {one_line(error):.300}; "
            "the same command goes on"
        ) from error
    return answer
