"""The end of a process whose launcher has ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

POLL = 0.5
"""Seconds between two looks at the launcher."""

GRACE = 10.0
"""Seconds that a process has to finish its step and save, once its launcher has ended."""


@contextmanager
def ending_with_launcher() -> Iterator[None]:
    """End this process if its parent ends while the block runs, where a launcher such as torchrun started several.

    torchrun ends its processes when it is interrupted, but not when it is killed: they would go on, each with the
    memory of a GPU. The process gets SIGTERM, as from Ctrl-C, and after `GRACE` is ended in the middle of its work.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield
        return
    launcher, left = os.getppid(), Event()

    def watch() -> None:
        while not left.wait(POLL):
            if os.getppid() != launcher:
                os.kill(os.getpid(), signal.SIGTERM)
                if not left.wait(GRACE):
                    os._exit(128 + signal.SIGTERM)
                return

    Thread(target=watch, name="launcher", daemon=True).start()
    try:
        yield
    finally:
        left.set()
