"""The preview of the studio: a visible part of 640 × 480 pixels, restored with what is around it at a new strength.

    python benchmarks/preview.py [--rounds 7]

The middle of a photograph of 24 megapixels, a JPEG with noise, by the shipped denoiser. *Turned* is what the strength
slider does: the network alone runs anew. *Shown* decodes the file down to that place first. On one thread seconds are
those of the processor; on two they are those of a clock, so that other work counts, and there is no target.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from pairs import Row, measure, show_measured
from photograph import photograph, spread

from unseen import keep_freed_memory
from unseen.models.files import DEFAULT
from unseen.models.loading import load_model
from unseen.restoration.tiles import tiling_for
from unseen.studio.excerpt import MIDDLE, read_excerpt

WAYS: list[tuple[int, str, Callable[[], float], str]] = [
    (1, "one thread", time.process_time, "≤ 1"),
    (2, "two threads, by the clock", time.perf_counter, ""),
]
"""Threads, with the words for them, their clock and the target."""


def rows(rounds: int) -> Iterator[Row]:
    """Yield the rows as they are measured."""
    keep_freed_memory()
    model = load_model(DEFAULT)
    overlap = tiling_for(model, 2**30).overlap
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "photo.jpg"
        photograph(path)
        excerpt = read_excerpt(path, model, overlap, MIDDLE)
        for threads, how, clock, target in WAYS:
            torch.set_num_threads(threads)
            ways: dict[str, Callable[[], object]] = {
                "turned": lambda: excerpt.restored(0.8),
                "shown": lambda: read_excerpt(path, model, overlap, MIDDLE).restored(1.0),
            }
            for way, seconds in measure(ways, rounds, clock).items():
                yield Row(f"preview, {way}, {how}", "640 × 480 of 24 MP", target, spread(seconds), "s")


if __name__ == "__main__":
    show_measured(__doc__, rows)
