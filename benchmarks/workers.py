"""A study in two processes: wall time against half of what its runs take alone on one core.

python benchmarks/workers.py [--rounds 1]

Twelve runs (four methods, three seeds) of some 25 seconds each, on one thread each; a round takes nine minutes.
What the runs take alone is the time of the study in one process, less that of the same command once all runs are
finished: starting, reading and writing the page count for the study in two processes, and not for the runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from pairs import Row, ratio, show_measured

STUDY = (
    "compare --device cpu --threads 1 --backbone rrdb_small:features=12,growth=6,blocks=1 --budget 600 --batch 8 "
    "--patch 32 --validations 2 --methods erm dil_sf sam vrex --seeds 3 --images 2 --crop 128"
)
"""The study: 600 gradient evaluations a run, embedded photographs, seeds 0 to 2."""


MOST = 2
"""Rounds that are worth their nine minutes each."""


def rows(rounds: int) -> Iterator[Row]:
    """Measure the study in one process and in two, in turn; at most `MOST` rounds, which take long."""
    pairs = [times(STUDY.split()) for _ in range(min(rounds, MOST))]
    shared, halves = [two for two, _ in pairs], [alone / 2 for _, alone in pairs]
    yield Row("12 runs, 2 workers", "the runs alone on one core ÷ 2", "≤ 1.10", ratio(shared, halves))


def times(words: Sequence[str]) -> tuple[float, float]:
    """The seconds of a study in two processes, and those of its runs alone."""
    with tempfile.TemporaryDirectory() as folder:
        two = seconds([*words, "--workers", "2", "--out", "two"], folder)
        one = seconds([*words, "--out", "one"], folder)
        return two, one - seconds([*words, "--out", "one"], folder)


def seconds(words: Sequence[str], folder: str) -> float:
    """The wall time of a command in a process of its own, in a folder."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "unseen", *words], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    show_measured(__doc__, rows, rounds=1)
