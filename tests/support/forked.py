"""Copies of the test process that may be killed: `fork` costs a hundredth of a new interpreter that imports PyTorch."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from support.commandline import CommandResult
from unseen.cli.main import main


def killed() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


class Forked:
    """A function that runs in a copy of this process, and returns an exit code.

    What it changes in the memory of the copy, such as an attribute that it replaces, is not changed here.
    """

    def __init__(self, folder: Path, body: Callable[[], int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.out, self.err = folder / "out", folder / "err"
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(body)

    def _run(self, body: Callable[[], int]) -> None:
        code = 70
        try:
            for number, name, path in ((1, "stdout", self.out), (2, "stderr", self.err)):
                stream = path.open("w")
                os.dup2(stream.fileno(), number)
                setattr(sys, name, stream)
            code = body()
            threading._shutdown()  # type: ignore[attr-defined]  # as an interpreter ends: it waits for threads
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def ended(self, seconds: float = 60) -> CommandResult:
        """Wait for the end; the code is that of the process, or minus the number of the signal that ended it."""
        deadline = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return CommandResult(os.waitstatus_to_exitcode(status), self.out.read_text(), self.err.read_text())
            if time.monotonic() > deadline:
                self.kill()
                os.waitpid(self.pid, 0)
                raise AssertionError(f"ran for {seconds} s: {self.err.read_text()}")
            time.sleep(0.005)


def forked(folder: Path, *words: object, change: Callable[[], object] = lambda: None) -> Forked:
    """Run `unseen` in a copy of this process.

    Args:
        folder: folder for what the command prints.
        words: the words of the command.
        change: function that the copy calls first, to replace attributes.
    """

    def body() -> int:
        change()
        return main([str(word) for word in words])

    return Forked(folder, body)


def wait_for(path: Path, process: Forked, seconds: float = 60) -> None:
    """Wait until a file is there that a process makes."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, process.err.read_text()
        time.sleep(0.005)
