"""A photograph that is bad already, restored whole, to a file."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.photo import Pixels
from ..evaluation.noise import PLACES, SIDE, estimate_noise
from ..models.card import envelope, safety
from ..models.loading import Model
from ..restoration.imagefiles.decode import FileFormat
from ..restoration.imagefiles.image_file import ImageFile, open_image
from ..restoration.imagefiles.save import save
from ..restoration.self_check import outside
from ..restoration.tiles import Tiling, count_tiles, restored_strips
from .specimen import middle, require_fitting

SEEN_WHOLE = 1024
"""The longest side of a whole photograph on the page, in pixels."""
SEEN_CLOSE = 640
"""The longest side of its middle, pixel by pixel."""

Progress = Callable[[float], None]
"""Told the share that is done, 0 to 1."""
Pair = tuple[Pixels, Pixels]


class Ended(Exception):  # noqa: N818 (a state of affairs)
    """The page was closed meanwhile."""


@dataclass(frozen=True, eq=False)
class Restored:
    """What became of a photograph.

    file: the result. whole, close: before and after; made small, and the middle pixel by pixel. facts: of the input.
    remarks: what to be careful about.
    """

    file: Path
    whole: Pair
    close: Pair
    facts: str
    remarks: tuple[str, ...]


def restore_to_file(
    path: Path, model: Model, tiling: Tiling, folder: Path, stop: Event, progress: Progress
) -> Restored:
    """Restore a photograph into a folder of its own within `folder`: PNG in its depth, TIFF for floating point.

    Raises UnreadableImage, by the header alone where it is too large; Ended once `stop` is set.
    """
    picture = open_image(path)
    require_fitting(path, picture.width, picture.height, model.receptive_field.scale)
    tiles = count_tiles(picture.height, picture.width, tiling)
    finished = 0

    def done(n: int) -> None:
        nonlocal finished
        finished += n
        progress(finished / tiles)
        if stop.is_set():
            raise Ended

    before: list[Pixels] = []
    after: list[Pixels] = []
    reader = picture.reader()

    def read(top: int, bottom: int) -> NDArray[np.float32]:
        strip = reader(top, bottom)
        before.append(in_8_bits(strip))
        return strip

    format: FileFormat = "tiff" if picture.depth == "float32" else "png"
    file = Path(tempfile.mkdtemp(dir=folder)) / f"{path.stem}-restored.{format}"
    strips = restored_strips(model, read, picture.height, picture.width, tiling, done)
    save(picture, file, kept(strips, after), format=format, scale=model.receptive_field.scale)
    first, second = np.concatenate(before), np.concatenate(after)
    first = first.repeat(model.receptive_field.scale, axis=0).repeat(model.receptive_field.scale, axis=1)
    return Restored(
        file,
        (shrunk_for_preview(first), shrunk_for_preview(second)),
        (middle(first, SEEN_CLOSE), middle(second, SEEN_CLOSE)),
        facts_of(picture),
        tuple(remarks_on(model, picture, np.array_equal(first, second))),
    )


def kept(strips: Iterable[NDArray[np.float32]], into: list[Pixels]) -> Iterator[NDArray[np.float32]]:
    """The strips, each put aside in 8 bits as it passes."""
    for strip in strips:
        into.append(in_8_bits(strip))
        yield strip


def in_8_bits(strip: NDArray[np.float32]) -> Pixels:
    levels: Pixels = np.rint(strip.clip(0, 1) * 255).astype(np.uint8)
    return levels


def shrunk_for_preview(pixels: Pixels) -> Pixels:
    image = Image.fromarray(pixels)
    image.thumbnail((SEEN_WHOLE, SEEN_WHOLE), Image.Resampling.LANCZOS)
    return np.array(image)


def facts_of(picture: ImageFile) -> str:
    """`PNG, 640×480 pixels, 16 bits, gray`."""
    depth = {"uint8": "8 bits", "uint16": "16 bits", "float32": "floating point"}[picture.depth]
    colour = ", gray" if picture.gray else ""
    return f"{picture.format.upper()}, {picture.width}×{picture.height} pixels, {depth}{colour}"


def remarks_on(model: Model, picture: ImageFile, unchanged: bool) -> Iterator[str]:
    """How noisy it is, whether the model is known to be safe there, and whether anything changed."""
    reading = estimate_noise(picture.crops(PLACES, SIDE))
    safe = None if model.card is None else envelope(model.card.quality)
    warning = outside(reading, safe)
    if warning:
        yield f"Careful: {warning}."
    elif not math.isnan(reading):
        yield f"Its noise reads about {reading:.1f} gray levels of 255."
    if model.card is None:
        yield "This network came without a card: where it is safe is not known."
    elif safe is None:
        yield safety(model.card.quality)
    if unchanged:
        yield "The network changed nothing."
