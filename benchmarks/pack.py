"""Training from a pack: 1 500 photographs of 2 megapixels against 20 of them held in memory.

python benchmarks/pack.py [--rounds 5] [--count 1500]

The photographs are made of the embedded ones, enlarged, each at another shift; they and their pack take 12 GB of the
temporary folder while the script runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from pairs import Ratio, Row, measure, ratio, repeated, show
from PIL import Image
from steps import training_step

from unseen.data.embedded import embedded_photos
from unseen.data.reading import read_photo
from unseen.training.config import TrainConfig

SIZE = (1632, 1224)
"""Width and height of a photograph, pixels: 2 megapixels."""

FEW = 20
"""Photographs of the floor, which are held in memory."""

FIRST_STEP = """
import os, sys
from unseen.cli.main import main
from unseen.training.observer import Observer
Observer.after_step = lambda *_: os._exit(0)
main(sys.argv[1:])
"""
"""`unseen`, ended after the first step of a training."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=1500)
    options = parser.parse_args()
    show(rows(options.rounds, options.count))


def rows(rounds: int, count: int = 1500) -> Iterator[Row]:
    """Make the photographs, pack them, and measure."""
    with tempfile.TemporaryDirectory() as folder:
        photos, few, pack = Path(folder, "photos"), Path(folder, "few"), Path(folder, "photos.pack")
        make_photos(photos, count)
        few.mkdir()
        for path in sorted(photos.iterdir())[:FEW]:
            os.link(path, few / path.name)
        packed = processor_time(lambda: subprocess.run(unseen("pack", str(photos), "-o", str(pack)), check=True))
        decoded = processor_time(lambda: decode_all(photos))
        yield Row(f"packing {count} photographs", "decoding them, one after another", "", ratio([packed], [decoded]))
        words = ("train", "--threads", "1", "--method", "erm", "--backbone", "plain:features=32", "--batch", "8")
        for name, data in ((f"a pack of {count}", pack), (f"a folder of {FEW}", few)):
            command = [sys.executable, "-c", FIRST_STEP, *words, "--data", str(data), "--out", f"{folder}/run"]
            seconds = sorted(wall_time(partial(subprocess.run, command, check=True)) for _ in range(3))
            target = "≤ 5" if data == pack else ""
            took = Ratio(seconds[1], seconds[0], seconds[-1])
            yield Row(f"from the start of the program to the end of the first step, {name}", "", target, took, "s")
        for method in ("erm", "dil_sf"):
            for batch in (8, 16):
                yield measure_step(method, batch, pack, few, rounds)


def make_photos(folder: Path, count: int) -> None:
    """Write JPEG files of photographs that all differ."""
    folder.mkdir()
    sources = [Image.fromarray(photo.pixels).resize(SIZE) for photo in embedded_photos("train")]
    for i in range(count):
        pixels = np.roll(np.asarray(sources[i % len(sources)]), (7 * i, 13 * i), (0, 1))
        Image.fromarray(pixels).save(folder / f"{i:05}.jpg", quality=88)


def decode_all(folder: Path) -> None:
    for path in folder.iterdir():
        read_photo(path)


def unseen(*words: str) -> list[str]:
    return [sys.executable, "-m", "unseen", *words]


def processor_time(work: Callable[[], object]) -> float:
    """Seconds of processor time that this process and those that it waits for spend."""
    before = os.times()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def wall_time(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure_step(method: str, batch: int, pack: Path, few: Path, rounds: int) -> Row:
    """A step that draws from the pack, by a step that draws from photographs in memory."""

    def step_on(data: Path) -> Callable[[], None]:
        config = TrainConfig(
            method=method,
            backbone="plain:features=32",
            batch=batch,
            patch=48,
            data=[str(data)],
            budget=10**6,
            device="cpu",
            threads=1,
        )
        return training_step(config)

    ways = {
        name: repeated(step_on(data), 40 if method == "erm" else 10) for name, data in (("pack", pack), ("few", few))
    }
    seconds = measure(ways, rounds)
    what = f"a step of `{method}`, `plain:features=32`, batch {batch}, patch 48"
    return Row(what, f"the same out of {FEW} photographs in memory", "≤ 1.03", ratio(seconds["pack"], seconds["few"]))


if __name__ == "__main__":
    main()
