"""A small study of methods that are killed, wait or diverge, for the tests of processes that share its runs."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from support.commandline import TINY, CommandLine, CommandResult, json_lines
from support.forked import Forked
from unseen.study.executors.pool import Worker
from unseen.study.executors.worker import serve

OWN = """
import os, signal, time
from pathlib import Path
from unseen.methods.erm import ERM

MARKS = Path(__file__).parent / "marks"  # where this folder is missing, all is as ERM

def first(name):
    try:
        os.close(os.open(MARKS / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except (FileExistsError, FileNotFoundError):
        return False
    return True

class Counting(ERM):
    steps = 0

    def gradient(self, objective, params, episode):
        self.steps += 1
        if self.steps == 10:  # of 16, between the two validations
            self.at_tenth()
        return super().gradient(objective, params, episode)

class Killed(Counting):
    def at_tenth(self):
        if first("killed"):
            os.kill(os.getpid(), signal.SIGKILL)

class Waiting(Counting):
    def at_tenth(self):
        if first("waiting"):
            (MARKS / "pid").write_text(str(os.getpid()))
            (MARKS / "pid").rename(MARKS / "waits")
            while not (MARKS / "go").exists():
                time.sleep(0.01)

class Diverging(ERM):
    def gradient(self, objective, params, episode):
        return {name: value * float("nan") for name, value in super().gradient(objective, params, episode).items()}
"""


class ForkedProcess(Forked):
    """A copy of this process that is waited for as subprocess.Popen is."""

    code: int | None = None

    def wait(self, timeout: float = 60) -> int:
        deadline = time.monotonic() + timeout
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("worker", timeout)
            else:
                time.sleep(0.005)
        return self.code


class ForkedWorker(Worker):
    """A worker that is a copy of this process: a new interpreter that imports PyTorch costs four seconds."""

    def _start(self, theirs: Connection, variables: Mapping[str, str]) -> Any:
        def body() -> int:
            self.connection.close()
            serve(theirs)
            return 0

        return ForkedProcess(Path(tempfile.mkdtemp()), body)


@dataclass(frozen=True)
class SharedStudy:
    """A study in a folder, with the module of its methods beside it.

    Attributes:
        folder: the folder of both.
        module: the name of the module.
        words: the options of the study.
    """

    folder: Path
    module: str
    words: list[object]

    @classmethod
    def of(cls, folder: Path, module: str, photos: Path, tests: Path) -> SharedStudy:
        """Write the module."""
        (folder / f"{module}.py").write_text(OWN)
        return cls(folder, module, ["compare", *TINY, "--data", photos, "--test", f"q={tests}"])

    def method(self, name: str) -> str:
        """The dotted path of a method."""
        return f"{self.module}.{name}"

    @property
    def marks(self) -> Path:
        """The folder in which methods mark what they did; they do it only where the folder is there."""
        return self.folder / "marks"

    def run(self, unseen: CommandLine, name: str, *words: object, code: int = 0) -> CommandResult:
        """Run the study into the folder of a name."""
        return unseen(*self.words, "--out", self.folder / name, *words, code=code)

    def files(self, name: str) -> dict[str, Any]:
        """What equal studies have equal: rows, trials, and records without times and memory."""
        folder = self.folder / name
        records = json_lines(folder / "runs.jsonl")
        measured = ("seconds", "waiting", "memory")
        for record in records:
            record["curve"] = [{k: v for k, v in point.items() if k not in measured} for point in record["curve"]]
        trials = folder / "tuning.jsonl"
        return {
            "results": (folder / "results.jsonl").read_text(),
            "trials": trials.read_text() if trials.exists() else "",
            "runs": [{key: value for key, value in record.items() if key not in measured} for record in records],
        }

    @contextmanager
    def when_waiting(self, act: Callable[[int], object]) -> Iterator[None]:
        """Act in a thread once `Waiting` waits, by the number of its process; let it go on a little later."""
        self.marks.mkdir()

        def watch() -> None:
            act(waiting_process(self.marks))
            time.sleep(1.5)  # a process of a cluster asks twice a second whether it should stop
            (self.marks / "go").touch()

        thread = threading.Thread(target=watch)
        thread.start()
        yield
        thread.join()


def waiting_process(marks: Path, seconds: float = 60) -> int:
    """The number of the process in which `Waiting` waits."""
    deadline = time.monotonic() + seconds
    while not (marks / "waits").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int((marks / "waits").read_text())


def ends(pid: int, seconds: float = 20) -> bool:
    """Whether a process ends in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def terminate(pid: int) -> None:
    """Ask this process, that of the study, to stop."""
    os.kill(os.getpid(), signal.SIGTERM)
