"""The first photograph of a run, decoded for its judgement while PyTorch is imported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from ..data.file_jobs import FileJob
from ..evaluation.noise import Crop, sampled_crops
from .imagefiles.image_file import ImageFile, open_image

STEP = 64
"""Rows that are decoded ahead at a time: who interrupts the command waits for no more."""

CropReader = Callable[[ImageFile], list[Crop]]
"""A function to the crops of a picture for its judgement, as `ImageFile.crops`."""


@contextmanager
def crops_ahead(jobs: Sequence[FileJob], folder: Path, *, overwrite: bool) -> Iterator[CropReader]:
    """Read the crops of the first photograph of a run in a thread, and yield a function that has them.

    Nothing is decoded ahead that a decoder holds whole: whether memory allows that is not known yet. What goes wrong
    ahead is left to the function, which then reads as it does for all other photographs. The thread ends with the
    context.

    Args:
        jobs: the photographs of the run.
        folder: folder of the outputs.
        overwrite: whether photographs are restored whose outputs are there.
    """
    first = next((job.path for job in jobs if overwrite or not os.path.exists(folder / job.file)), None)
    if first is None:
        yield ImageFile.crops
        return
    stop, before = Event(), _state(first)
    with ThreadPoolExecutor(1, "decoding") as pool:
        ahead = pool.submit(_crops_of, first, stop)

        def crops(source: ImageFile) -> list[Crop]:
            if source.path == first and not ahead.exception() and _state(first) == before:
                decoded, read = ahead.result()
                return read if decoded == source else source.crops()
            return source.crops()

        try:
            yield crops
        finally:
            stop.set()


def _state(path: Path) -> tuple[int, int, int] | None:
    """What tells whether a file is still the same: inode, size and time of the last change; None for none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns


def _crops_of(path: Path, stop: Event) -> tuple[ImageFile | None, list[Crop]]:
    """A picture with its crops; None where it is not to be decoded ahead. Raises CancelledError once `stop` is set."""
    source = open_image(path)
    if source.decoder_bytes:
        return None, []
    read, begun = source.reader(clip=True, spread=False), 0

    def read_in_steps(top: int, bottom: int) -> Crop:
        nonlocal begun
        for row in range(begun, top, STEP):
            if stop.is_set():
                raise CancelledError
            read(row, row + 1)
        begun = bottom
        return read(top, bottom)

    return source, sampled_crops(read_in_steps, source.height, source.width)
