"""Progress with the time left: bars on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .console import Console
from .number_text import rough_duration
from .terminal import harmless, tell

T = TypeVar("T")

DESCRIPTION = 60
"""Characters of the description of a bar, which may be the name of a file."""

INTERVAL = 30.0
"""Seconds between two lines of progress where there is no terminal."""


class Bars(Progress):
    """The bars of all tasks, on standard error; where that is no terminal, a line at most every `INTERVAL` seconds.

    Of several processes of a training, only the first one shows anything.
    """

    def __init__(self, silent: bool = False) -> None:
        console = Console(stderr=True)
        self.silent = silent or os.environ.get("RANK", "0") != "0"
        self.in_lines = not console.is_terminal and not self.silent
        self.running: list[Task] = []
        self.due = time.monotonic() + INTERVAL
        super().__init__(
            TextColumn("{task.description}", markup=False),  # file names hold brackets
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=self.silent or self.in_lines,
            transient=True,
        )

    def tell_if_due(self) -> None:
        """Tell of all running tasks in one line, if there is no terminal and `INTERVAL` seconds have passed."""
        if self.in_lines and time.monotonic() >= self.due:
            self.due = time.monotonic() + INTERVAL
            tell("; ".join(running.line() for running in self.running))


@dataclass
class Task:
    """One task, and its bar on the terminal.

    Attributes:
        bars: all bars that are on the terminal.
        id: the number of this bar among them.
        description: the work in a few words.
        total: the amount to do; None if it is unknown.
        done: the amount done, in the unit of the bar's total.
        skipped: the amount within `done` that was done before, and says nothing of the speed.
        note: what else a line of progress says, such as the loss.
        unit: the unit of the amounts in a line of progress, with a space before it; empty for a number of things.
        parent: the bar that collects the progress of this one, in the same unit; None if there is none.
        started: the time when the task began, s, of the monotonic clock.
    """

    bars: Bars
    id: TaskID
    description: str
    total: float | None
    done: float = 0.0
    skipped: float = 0.0
    note: str = ""
    unit: str = ""
    parent: Task | None = None
    started: float = field(default_factory=lambda: time.monotonic())

    def advance(self, amount: float = 1) -> None:
        """Add `amount` to the amount done."""
        self.done += amount
        self.bars.advance(self.id, amount)
        if self.parent:
            self.parent.advance(amount)
        self.bars.tell_if_due()

    def skip(self, amount: float) -> None:
        """Add an amount that was done before; the time starts anew if nothing else is done yet."""
        if self.done == self.skipped:
            self.started = time.monotonic()
        self.skipped += amount
        if self.parent:
            self.parent.skipped += amount
        self.advance(amount)

    def set(self, done: float) -> None:
        """Set the amount done to `done`."""
        self.advance(done - self.done)

    def describe(self, text: str) -> None:
        """Replace the description of the bar."""
        self.description = harmless(text, DESCRIPTION)
        self.bars.update(self.id, description=self.description)

    def seconds_left(self) -> float | None:
        """The seconds that the rest will take at the mean speed so far; None where that is unknown."""
        worked = self.done - self.skipped
        if self.total is None or worked <= 0:
            return None
        return (time.monotonic() - self.started) * max(self.total - self.done, 0) / worked

    def line(self) -> str:
        """The progress in one line: amount done, note, time left."""
        amount = f"{self.done:.0f}" + (f" of {self.total:.0f}" if self.total is not None else "") + self.unit
        left = self.seconds_left()
        facts = [amount, self.note, f"about {rough_duration(left)} left" if left is not None else ""]
        return f"{self.description}: {', '.join(filter(None, facts))}"


_bars: ContextVar[Bars | None] = ContextVar("the bars on the terminal", default=None)
_collecting: ContextVar[Task | None] = ContextVar("the task that collects the progress of its subtasks", default=None)


@contextmanager
def progress_bars(silent: bool = False) -> Iterator[Bars]:
    """Show all tasks inside on standard error, with amount, time spent and time left.

    Args:
        silent: whether to show nothing: the progress is for another process to show.
    """
    bars = Bars(silent)
    before = _bars.set(bars)
    try:
        with bars:
            yield bars
    finally:
        _bars.reset(before)


@contextmanager
def task(
    description: str, total: float | None = None, *, collects: bool = False, counts: bool = False, unit: str = ""
) -> Iterator[Task]:
    """Show a bar while the body runs, among the bars that are on the terminal already.

    Args:
        description: the work in a few words.
        total: the amount to do; None if it is unknown.
        collects: whether tasks in the body with `counts` advance this bar too.
        counts: whether this task advances the enclosing task with `collects`, in the same unit.
        unit: the unit of the amounts, as `Task` has it.
    """
    bars = _bars.get()
    if bars is None:
        with progress_bars(), task(description, total, collects=collects, unit=unit) as alone:
            yield alone
        return
    description = harmless(description, DESCRIPTION)
    number = bars.add_task(description, total=total)
    shown = Task(bars, number, description, total, unit=unit, parent=_collecting.get() if counts else None)
    before = _collecting.set(shown) if collects else None
    bars.running.append(shown)
    try:
        yield shown
    finally:
        bars.running.remove(shown)
        if before:
            _collecting.reset(before)
        bars.remove_task(shown.id)


def advance_collected(amount: float, *, skipped: bool = True) -> None:
    """Advance the enclosing task that collects, for work that was done before (`skipped`), or by another process."""
    if collecting := _collecting.get():
        (collecting.skip if skipped else collecting.advance)(amount)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` under a bar of their own, among the bars that are on the terminal already."""
    with task(description, total) as shown:
        for item in items:
            yield item
            shown.advance()
