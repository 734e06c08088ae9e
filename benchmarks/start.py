"""Starting: the processor time of whole commands against that of importing PyTorch, or of Python alone.

python benchmarks/start.py [--rounds 7]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

from pairs import Row, ratio, show_measured

TRAIN = "train --method erm --backbone plain:features=4,depth=2 --batch 2 --patch 16 --budget 2 --overwrite --out run"
EVALUATE = "evaluate run --images 1 --crop 64 --overwrite --out test"
COMMANDS = {
    "--help": ("--help", "python -c pass", ""),
    "list methods": ("list methods", "python -c 'import torch'", "≤ 0.3"),
    "train, two steps of a tiny network": (TRAIN, "python -c 'import torch'", ""),
    "evaluate, one crop of 64 × 64": (EVALUATE, "python -c 'import torch'", ""),
}
"""Name → the command, what it is divided by, and the target."""


def rows(rounds: int) -> Iterator[Row]:
    """Measure whole processes in turn, after one round that is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        for what, (command, rival, target) in COMMANDS.items():
            code = "import torch" if "torch" in rival else "pass"
            pairs = [
                (seconds(["-m", "unseen", *command.split()], folder), seconds(["-c", code], folder))
                for _ in range(rounds + 1)
            ]
            _, *counted = pairs
            yield Row(what, rival, target, ratio([ours for ours, _ in counted], [floor for _, floor in counted]))


def seconds(words: Sequence[str], folder: str) -> float:
    """The processor time of a Python process of its own, in a folder."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    show_measured(__doc__, rows)
