"""Ways to one end, timed in turn in one process, so that their ratios hold whatever else the machine does.

Every script here but coverage.py, tiles.py and bf16.py has a function `rows(rounds)` that yields one `Row` after
another as it is measured. `bench.py` runs the scripts that its SCRIPTS name, each in a process of its own, and keeps
their rows.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Times of a way by the times of another, round by round.

    Attributes:
        median: the median over the rounds.
        lowest: the lowest of them.
        highest: the highest of them.
    """

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.lowest:.2f}, {self.highest:.2f}]"


@dataclass(frozen=True)
class Row:
    """A line of the table of one script.

    Attributes:
        what: what was measured, such as `erm, plain:features=32, batch 8`; with `rival` unlike every other row.
        rival: the floor or the rival in the same run, by which the measure was divided.
        target: `≤ 1.04` or `≥ 1.5`; empty where there is none.
        ratio: what was measured, over the rounds.
        unit: `×`, or the unit of a row that is no ratio.
    """

    what: str
    rival: str
    target: str
    ratio: Ratio
    unit: str = "×"

    @property
    def verdict(self) -> str:
        """`reached` or `not`, by the median as it is shown; empty where there is no target."""
        bound, _, limit = self.target.partition(" ")
        if not bound:
            return ""
        median = round(self.ratio.median, 2)
        return "reached" if (median <= float(limit) if bound == "≤" else median >= float(limit)) else "not"

    def __str__(self) -> str:
        return f"{self.what:44} {self.ratio} {self.unit} {self.rival}  {self.target} {self.verdict}".rstrip()


def show(rows: Iterable[Row]) -> None:
    """Print the rows as they are measured."""
    for row in rows:
        print(row, flush=True)


def show_measured(about: str | None, rows: Callable[[int], Iterable[Row]], rounds: int = 7) -> None:
    """Be the program of a script: measure its rows in as many rounds as its one option says, and print them.

    Args:
        about: what the script measures; its first line is the help.
        rows: function from the number of rounds to the rows.
        rounds: number of rounds where none is given.
    """
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    show(rows(parser.parse_args().rounds))


def measure(
    ways: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """The seconds that every way takes, one entry a round, after one round that is not counted.

    Args:
        ways: the ways by name, which are taken in turn.
        rounds: how often each is counted.
        clock: a clock, s: the CPU time of this process unless another one is given.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(rounds + 1):
        for name, way in ways.items():
            started = clock()
            way()
            if i:
                seconds[name].append(clock() - started)
    return seconds


def repeated(way: Callable[[], object], times: int) -> Callable[[], None]:
    """The way, `times` times."""

    def all_of_them() -> None:
        for _ in range(times):
            way()

    return all_of_them


def ratio(times: list[float], floor: list[float], factor: float = 1.0) -> Ratio:
    """The times by `factor` times the floor."""
    ratios = [time / (factor * least) for time, least in zip(times, floor, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))
