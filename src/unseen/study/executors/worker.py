"""A process of the local pool: `python -P -m unseen.study.executors.worker DESCRIPTOR`, started by the study's process.

It ends when the study's process ends, however that ends: the connection between the two is then closed.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import cache
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

from ...core.interruption import HANGUP
from ...core.launcher import GRACE
from ..jobs import Job
from .pool import STOP
from .workplace import Workplace


def serve(connection: Connection) -> None:
    """Do the jobs that come over a connection, one after the other, until the study's process stops or ends."""
    stop, over, sending = Event(), Event(), Lock()
    obey_signals(stop)
    inbox: SimpleQueue[Any] = SimpleQueue()

    def receive() -> None:
        try:
            while (message := connection.recv()) != STOP:
                inbox.put(message)
            stop.set()
            inbox.put(STOP)
            while True:  # nothing of interest follows but the end of the study's process
                connection.recv()
        except (EOFError, OSError):
            stop.set()
            inbox.put(STOP)
            if not over.wait(GRACE):
                os._exit(128 + signal.SIGTERM)

    def send(message: object) -> None:
        try:
            with sending:
                connection.send(message)
        except OSError:  # the study's process has ended
            stop.set()

    Thread(target=receive, name="messages", daemon=True).start()
    workplace: Workplace = inbox.get()
    plan = cache(workplace.plan)
    while not stop.is_set():
        job: Job[Any] | str = inbox.get()
        if isinstance(job, str) or stop.is_set():
            break
        send(workplace.answer(job, plan, stop, send))
    over.set()


def obey_signals(stop: Event) -> None:
    """Let Ctrl-C and its like set `stop`, and do no more, as often as they come: the study's process has the say."""
    for number in (signal.SIGINT, signal.SIGTERM, HANGUP):
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
