"""One network, two processes: a step against half of one process's step, each process on one core.

python benchmarks/processes.py [--rounds 3]

What is above 1 is the exchange (gloo, on one machine), and what both processes do twice: the outer step, the draws. A
machine with fewer than two idle cores measures its other work instead.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pairs import Row, ratio, show_measured

NETWORKS = {"plain:features=32": 240, "rrdb_small": 48}
"""Backbones, each with the gradient evaluations of a training."""

METHODS = ("erm", "dil_sf", "dil_ps")


def rows(rounds: int) -> Iterator[Row]:
    """A row for each network, method and mode; the three ways in turn in every round."""
    for backbone, budget in NETWORKS.items():
        for method in METHODS:
            words = f"train --device cpu --threads 1 --batch 16 --validations 1 --method {method} --budget {budget}"
            times = [
                [seconds(f"{words} --backbone {backbone} {mode}", count) for mode, count in WAYS] for _ in range(rounds)
            ]
            for i, mode in ((1, "exact"), (2, "meta")):
                halves, shared = [of_round[0] / 2 for of_round in times], [of_round[i] for of_round in times]
                what = f"`{method}`, `{backbone}`, batch 16, `--sync {mode}`, 2 processes"
                yield Row(what, "half of the step of one process", "≤ 1.25", ratio(shared, halves))


WAYS = [("", 1), ("--sync exact", 2), ("--sync meta", 2)]


def seconds(words: str, count: int) -> float:
    """The seconds that a training spends in its steps, by so many processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"] if count > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *launcher, "-m", "unseen", *words.split(), "--out", f"{folder}/run"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        last = Path(folder, "run", "log.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        return float(json.loads(last)["seconds"])


if __name__ == "__main__":
    show_measured(__doc__, rows, rounds=3)
