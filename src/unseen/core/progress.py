"""Progress with an ETA on a terminal, silence elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
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
from .terminal import harmless

T = TypeVar("T")

DESCRIPTION = 60
"""Characters of the description of a bar, which may be the name of a file."""


@dataclass
class Task:
    """One bar on the terminal.

    Attributes:
        bars: all bars that are on the terminal.
        id: the number of this bar among them.
        done: the amount done, in the unit of the bar's total.
        parent: the bar that collects the progress of this one, in the same unit; None if there is none.
    """

    bars: Progress
    id: TaskID
    done: float = 0.0
    parent: Task | None = None

    def advance(self, amount: float = 1) -> None:
        """Add `amount` to the amount done."""
        self.done += amount
        self.bars.advance(self.id, amount)
        if self.parent:
            self.parent.advance(amount)

    def set(self, done: float) -> None:
        """Set the amount done to `done`."""
        self.advance(done - self.done)

    def describe(self, text: str) -> None:
        """Replace the description of the bar."""
        self.bars.update(self.id, description=harmless(text, DESCRIPTION))


_bars: ContextVar[Progress | None] = ContextVar("the bars on the terminal", default=None)
_collecting: ContextVar[Task | None] = ContextVar("the task that collects the progress of its subtasks", default=None)


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Show the bars of all tasks inside on standard error, with amount, time spent and time left.

    Draws only on a terminal, and only in the first process of a training; elsewhere the bars are silent.
    """
    console = Console(stderr=True)
    bars = Progress(
        TextColumn("{task.description}", markup=False),  # file names hold brackets
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal or os.environ.get("RANK", "0") != "0",
        transient=True,
    )
    before = _bars.set(bars)
    try:
        with bars:
            yield bars
    finally:
        _bars.reset(before)


@contextmanager
def task(
    description: str, total: float | None = None, *, collects: bool = False, counts: bool = False
) -> Iterator[Task]:
    """Show a bar while the body runs, among the bars that are on the terminal already.

    Args:
        description: the work in a few words.
        total: the amount to do; None if it is unknown.
        collects: whether tasks in the body with `counts` advance this bar too.
        counts: whether this task advances the enclosing task with `collects`, in the same unit.
    """
    bars = _bars.get()
    if bars is None:
        with progress_bars(), task(description, total, collects=collects) as alone:
            yield alone
        return
    number = bars.add_task(harmless(description, DESCRIPTION), total=total)
    shown = Task(bars, number, parent=_collecting.get() if counts else None)
    before = _collecting.set(shown) if collects else None
    try:
        yield shown
    finally:
        if before:
            _collecting.reset(before)
        bars.remove_task(shown.id)


def advance_collected(amount: float) -> None:
    """Advance the enclosing task that collects, for work that is already done."""
    if collecting := _collecting.get():
        collecting.advance(amount)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` under a bar of their own, among the bars that are on the terminal already."""
    with task(description, total) as shown:
        for item in items:
            yield item
            shown.advance()
