"""Ways to one end, timed in turn in one process, so that their ratios hold whatever else the machine does."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
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


def measure(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """The CPU seconds of this process that every way takes, one entry a round, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(rounds + 1):
        for name, way in ways.items():
            started = time.process_time()
            way()
            if i:
                seconds[name].append(time.process_time() - started)
    return seconds


def ratio(times: list[float], floor: list[float], factor: float = 1.0) -> Ratio:
    """The times by `factor` times the floor."""
    ratios = [time / (factor * least) for time, least in zip(times, floor, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))
