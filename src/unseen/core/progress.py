"""Progress with an ETA on a terminal, silence elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")

_shown: ContextVar[Progress | None] = ContextVar("the bars on the terminal", default=None)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Bars on standard error with count, time spent and time left; nothing is drawn where that is no terminal."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),  # file names hold brackets
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal or os.environ.get("RANK", "0") != "0",  # one process draws for all
        transient=True,
    )
    before = _shown.set(bar)
    try:
        with bar:
            yield bar
    finally:
        _shown.reset(before)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` under a bar of their own, among those that are on the terminal already."""
    bar = _shown.get()
    if bar is None:
        with progress_bar():
            yield from track(items, description, total)
        return
    task = bar.add_task(description, total=total)
    yield from bar.track(items, total=total, task_id=task)
    bar.remove_task(task)
