"""Restoring beside onnxruntime, with the shipped model and one thread: whole processes, and in memory.

    python benchmarks/restore.py [--rounds 7]

Ratios are speeds: the CPU time of the rival (onnx_loop.py, with the same network from `unseen export`) by that of
`unseen restore`, children included. In memory: `Restorer.restore` beside the rival's loop over tiles. The thumbnail is
a time: by that of a process that imports PyTorch and ends. Pictures are noise, which no codec makes small.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnx_loop import opened, restored
from pairs import Row, measure, ratio, show_measured
from PIL import Image

from unseen import Restorer, keep_freed_memory
from unseen.models.files import DEFAULT
from unseen.models.onnx_export import export_checkpoint

RIVAL = "onnxruntime, a script of twenty lines"


def rows(rounds: int) -> Iterator[Row]:
    """Yield the rows as they are measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_checkpoint(DEFAULT, folder / "denoiser.onnx")
        pictures(folder / "large", 1, 2000, 3000)
        pictures(folder / "small", 200, 256, 256)
        pictures(folder / "thumbnail", 1, 128, 128)
        for what, source in (("restore, one image of 6 MP", "large"), ("restore, 200 images of 256²", "small")):
            seconds = measure(
                {"ours": process(*restore(folder, source)), "rival": process(*rival(folder, source))}, rounds, children
            )
            yield Row(what, RIVAL, "≥ 1.3", ratio(seconds["rival"], seconds["ours"]))
        yield in_memory(folder, rounds)
        ways = {"ours": process(*restore(folder, "thumbnail")), "floor": process("-c", "import torch")}
        seconds = measure(ways, rounds, children)
        yield Row("restore, a thumbnail: time", "import torch", "≤ 1.3", ratio(seconds["ours"], seconds["floor"]))


def in_memory(folder: Path, rounds: int) -> Row:
    """Measure 1 MP in this process."""
    torch.set_num_threads(1)
    keep_freed_memory()
    pixels, restorer, session = noise(1024, 1024), Restorer.load(device="cpu"), opened(str(folder / "denoiser.onnx"))
    ways = {"ours": lambda: restorer.restore(pixels), "rival": lambda: restored(session, pixels)}
    seconds = measure(ways, rounds)
    return Row(
        "Restorer.restore, 1 MP in memory", "onnxruntime's loop", "≥ 2.0", ratio(seconds["rival"], seconds["ours"])
    )


def restore(folder: Path, source: str) -> list[str]:
    """The arguments of a Python that restores a folder, whatever lies in the output folder."""
    words = ["restore", str(folder / source), "-o", str(folder / "ours"), "--device", "cpu", "--threads", "1"]
    return ["-m", "unseen", *words, "--overwrite", "--no-harm-check"]


def rival(folder: Path, source: str) -> list[str]:
    script = Path(__file__).with_name("onnx_loop.py")
    return [str(script), str(folder / "denoiser.onnx"), str(folder / source), str(folder / "rival")]


def process(*arguments: str) -> Callable[[], object]:
    """A way that runs Python to its end; compiled modules are kept, as they are in every installation."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run() -> None:
        subprocess.run([sys.executable, *arguments], env=variables, check=True, capture_output=True)

    return run


def children() -> float:
    """The CPU time of the processes that have ended, s."""
    times = os.times()
    return times.children_user + times.children_system


def pictures(folder: Path, count: int, height: int, width: int) -> None:
    """Write PNG files of noise."""
    folder.mkdir()
    for i in range(count):
        Image.fromarray(noise(height, width, i)).save(folder / f"{i:03}.png", compress_level=1)


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    levels = np.random.default_rng(seed).normal(128, 25, (height, width, 3))
    return levels.clip(0, 255).round().astype(np.uint8)


if __name__ == "__main__":
    show_measured(__doc__, rows)
