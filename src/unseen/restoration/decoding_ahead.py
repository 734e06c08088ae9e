"""The first photograph of a run, decoded for its judgement while PyTorch is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..data.file_jobs import FileJob
from ..evaluation.noise import Crop
from .imagefiles.image_file import ImageFile, open_image

MOST_PIXELS = 50_000_000
"""Pixels of a picture above which its decoding is not begun: who is interrupted would wait for it too long."""

CropReader = Callable[[ImageFile], list[Crop]]
"""A function to the crops of a picture for its judgement, as `ImageFile.crops`."""


def crops_ahead(jobs: Sequence[FileJob], folder: Path, *, overwrite: bool) -> CropReader:
    """Begin to read the crops of the first photograph of a run in a thread, and return a function that has them.

    Nothing is decoded ahead that a decoder holds whole: whether memory allows that is not known yet. What goes wrong
    ahead is left to the function, which then reads as it does for all other photographs.

    Args:
        jobs: the photographs of the run.
        folder: folder of the outputs.
        overwrite: whether photographs are restored whose outputs are there.
    """
    first = next((job.path for job in jobs if overwrite or not (folder / job.file).exists()), None)
    if first is None:
        return ImageFile.crops
    pool = ThreadPoolExecutor(1, "decoding")
    ahead = pool.submit(_crops_of, first)
    pool.shutdown(wait=False)

    def crops(source: ImageFile) -> list[Crop]:
        if source.path == first and not ahead.exception() and ahead.result()[0] == source:
            return ahead.result()[1]
        return source.crops()

    return crops


def _crops_of(path: Path) -> tuple[ImageFile | None, list[Crop]]:
    """A picture with its crops; None where it is not to be decoded ahead."""
    source = open_image(path)
    if source.decoder_bytes or source.width * source.height > MOST_PIXELS:
        return None, []
    return source, source.crops()
