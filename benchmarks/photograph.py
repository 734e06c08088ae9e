"""A photograph of 24 megapixels, from the start of the program to the written file, on all cores.

    python benchmarks/photograph.py [--rounds 3]

A JPEG of 6000 × 4000 pixels with noise, restored by the shipped denoiser, in float32, and in bfloat16 where the
processor multiplies it by itself. Seconds are those of a clock on the wall, so that other work counts, and beside them
those of the processor, all threads together; memory is the largest resident size of the process, PyTorch and mapped
files with it. Compiled modules are kept, as they are in every installation.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pairs import Ratio, Row, measure, show_measured
from PIL import Image

from unseen.core.precision import native_bf16
from unseen.models.files import DEFAULT

HEIGHT, WIDTH = 4000, 6000


def rows(rounds: int) -> Iterator[Row]:
    """Yield the rows as they are measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photograph(folder / "photo.jpg")
        model = ["--model", DEFAULT, "--device", "cpu", "--overwrite"]
        yield from restored(folder, [*model, "--precision", "fp32"], f"`{DEFAULT}`", "≤ 10", rounds)
        if native_bf16("cpu"):
            yield from restored(folder, [*model, "--precision", "bf16"], f"`{DEFAULT}`, bfloat16", "≤ 7", rounds)


def restored(folder: Path, options: list[str], what: str, most: str, rounds: int) -> Iterator[Row]:
    """Yield the rows of one number format."""
    busy: list[float] = []
    peaks: list[float] = []

    def restore() -> None:
        used = unseen("restore", str(folder / "photo.jpg"), "-o", str(folder / "out.jpg"), *options)
        busy.append(used.ru_utime + used.ru_stime)
        peaks.append(used.ru_maxrss / 2**10)

    seconds = measure({"restore": restore}, rounds, time.perf_counter)["restore"]
    yield Row(f"{what}, time", "start to file", most, spread(seconds), "s")
    yield Row(f"{what}, processor time", "start to file", "", spread(busy), "s")
    yield Row(f"{what}, memory of the process", "start to file", "≤ 1024", spread(peaks), "MiB")


def unseen(*words: str) -> resource.struct_rusage:
    """Run the program to its end, and return what its process used."""
    silent = subprocess.DEVNULL
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "unseen", *words]
    process = subprocess.Popen(command, env=variables, stdout=silent, stderr=silent)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"unseen {words[0]} ended with {process.returncode}")
    return used


def photograph(path: Path) -> None:
    """Write a JPEG of slopes and edges with noise of σ 8.

    Row by row: the largest size of a process counts that of its parent before it starts, which is to stay small.
    """
    draws, x = np.random.default_rng(0), np.arange(WIDTH)
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    for y in range(HEIGHT):
        row = 128 + 60 * np.sin(x / 97)[:, None] + 40 * np.sign(np.sin(y / 41)) * np.array([1, 0.6, -0.4])
        pixels[y] = (row + draws.normal(0, 8, row.shape)).clip(0, 255).round()
    Image.fromarray(pixels).save(path, quality=93, subsampling=0)


def spread(values: list[float]) -> Ratio:
    return Ratio(statistics.median(values), min(values), max(values))


if __name__ == "__main__":
    show_measured(__doc__, rows, rounds=3)
