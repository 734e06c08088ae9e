"""Ctrl-C, SIGTERM and SIGHUP that take effect between two steps of a computation instead of in the middle of one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from types import FrameType

HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""The signal of a terminal that is closed; None on systems without it."""


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does, so that what was begun is cleaned up.

    By default both end the process on the spot, with a half-written temporary file if it writes one. SIGHUP raises
    once: it may come twice, from the kernel and from the shell. A caller who ignores a signal (nohup does), or handles
    it, is obeyed. Outside the main thread nothing is changed.
    """
    if current_thread() is not main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        if number == HANGUP:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    numbers = [number for number in (signal.SIGTERM, HANGUP) if number is not None]
    previous = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if previous[number] == signal.SIG_DFL:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def interruptible() -> Iterator[Event]:
    """Yield an event that the first Ctrl-C (or SIGTERM) sets; the second one raises KeyboardInterrupt at once.

    SIGHUP, of a terminal that is closed, sets the event too, and never raises: it may come twice, from the kernel and
    from the shell. A caller who ignores SIGHUP, such as nohup, is obeyed.

    Outside the main thread, which alone may handle signals, the event is never set.
    """
    stop = Event()
    if current_thread() is not main_thread():  # only the main thread may set handlers
        yield stop
        return

    def request_stop(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number != HANGUP:
            raise KeyboardInterrupt
        stop.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:
        numbers.append(HANGUP)
    previous = {number: signal.signal(number, request_stop) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
