"""Ctrl-C that takes effect between two steps of a computation instead of in the middle of one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from types import FrameType


@contextmanager
def interruptible() -> Iterator[Event]:
    """Yield an event that the first Ctrl-C (or SIGTERM) sets; the second one raises KeyboardInterrupt at once.

    Outside the main thread, which alone may handle signals, the event is never set.
    """
    stop = Event()
    if current_thread() is not main_thread():  # only the main thread may set handlers
        yield stop
        return

    def request_stop(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    previous = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
