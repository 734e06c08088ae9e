"""Restoration of a visitor's photograph in full size, to a file."""

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

from ..data.photo import Pixels, to_8_bits
from ..models.card import Envelope, envelope, safety
from ..models.loading import Model
from ..restoration.guarded_model import Change, MonitoredModel
from ..restoration.imagefiles.decode import FileFormat
from ..restoration.imagefiles.image_file import ImageFile
from ..restoration.imagefiles.save import save
from ..restoration.self_check import SelfCheck, envelope_warning, self_check, with_change, worth_its_risk
from ..restoration.tiles import Tiling, count_tiles, for_strips_of, restored_strips
from .excerpt import open_usable

PREVIEW_SIDE = 1024
"""The longest side of a whole photograph on the page, in pixels."""

ProgressCallback = Callable[[float], None]
"""A function called with the share of the work that is done, 0 to 1."""
Pair = tuple[Pixels, Pixels]
"""The pictures before and after restoration."""


class PageClosed(Exception):  # noqa: N818 (a state of affairs)
    """Signal that the page is closed while a photograph is being restored."""


@dataclass(frozen=True, eq=False)
class RestoredPhoto:
    """A restored photograph, with its preview.

    Attributes:
        file: the file of the result.
        whole: the whole pictures, made small.
        description: the input in a few words.
        notes: the input's noise level, and warnings.
    """

    file: Path
    whole: Pair
    description: str
    notes: tuple[str, ...]


def restore_to_file(
    path: Path, model: Model, tiling: Tiling, folder: Path, stop: Event, progress: ProgressCallback
) -> RestoredPhoto:
    """Restore a photograph into a new folder within `folder`: PNG in its depth, TIFF for floating point.

    The name of the file has the strength in it where that is not 1.

    Args:
        path: the photograph.
        model: the model.
        tiling: size and overlap of the tiles.
        folder: folder for the result.
        stop: event that is set when the page is to end.
        progress: function called after every tile.

    Raises:
        UnreadableImage: the file cannot be used; a file that is too large is refused by its header alone.
        PageClosed: `stop` was set.
        UserError: the model fails, or the result cannot be written.
    """
    source = open_usable(path, model)
    tiles = count_tiles(source.height, source.width, tiling)
    finished = 0

    def advance(n: int) -> None:
        nonlocal finished
        finished += n
        progress(finished / tiles)
        if stop.is_set():
            raise PageClosed

    safe = None if model.card is None else envelope(model.card.quality)
    model = for_strips_of(model, source.reader, source.height)
    check = self_check(source.crops(), model, safe)
    monitored = MonitoredModel(model, [check.noise_level])
    before: list[Pixels] = []
    after: list[Pixels] = []
    reader = source.reader()

    def read(top: int, bottom: int) -> NDArray[np.float32]:
        strip = reader(top, bottom)
        before.append(to_8_bits(strip))
        return strip

    format: FileFormat = "tiff" if source.depth == "float32" else "png"
    strength = "" if model.strength == 1 else f"-{model.strength:g}"
    file = Path(tempfile.mkdtemp(dir=folder)) / f"{path.stem}-restored{strength}.{format}"
    size = source.height, source.width
    strips = restored_strips(monitored.model, read, *size, tiling, advance, monitored.measure)
    remarks = save(source, file, copied(strips, after), format=format, scale=model.receptive_field.scale)
    first, second = np.concatenate(before), np.concatenate(after)
    first = first.repeat(model.receptive_field.scale, axis=0).repeat(model.receptive_field.scale, axis=1)
    return RestoredPhoto(
        file,
        (shrunk_for_preview(first), shrunk_for_preview(second)),
        describe_input(source),
        (*notes_on(model, safe, check, monitored.changes[0]), *remarks),
    )


def copied(strips: Iterable[NDArray[np.float32]], copies: list[Pixels]) -> Iterator[NDArray[np.float32]]:
    """Yield the strips unchanged, and append an 8-bit copy of each to `copies`."""
    for strip in strips:
        copies.append(to_8_bits(strip))
        yield strip


def shrunk_for_preview(pixels: Pixels) -> Pixels:
    """Make a picture small enough for the page; small ones stay as they are."""
    image = Image.fromarray(pixels)
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
    return np.array(image)


def describe_input(source: ImageFile) -> str:
    """Describe an input in a few words: `PNG, 640×480 pixels, 16 bits, gray`."""
    depth = {"uint8": "8 bits", "uint16": "16 bits", "float32": "floating point"}[source.depth]
    colour = ", gray" if source.gray else ""
    return f"{source.format.upper()}, {source.width}×{source.height} pixels, {depth}{colour}"


def notes_on(model: Model, safe: Envelope | None, before: SelfCheck, change: Change) -> Iterator[str]:
    """Yield the noise of the input, what `unseen restore` warns of or leaves alone, and what the model's card lacks."""
    check = with_change(before, change, harm_check=False)
    if check.noise_range:
        yield f"The network reads noise of {check.noise_range.words} of 255 in it."
    elif not math.isnan(check.noise_level) and envelope_warning(check.noise_level, safe) not in check.warnings:
        yield f"Its noise level is about {check.noise_level:.1f} gray levels of 255."
    for warning in check.warnings:
        yield f"Careful: {warning.text}."
    if model.strength and not worth_its_risk(change.rms, before.noise_level, model.strength):
        yield f"unseen restore would leave it as it is: a change of {255 * change.rms:.1f} gray levels is too slight."
    if model.card is None:
        yield "This network came without a card: where it is safe is not known."
    elif safe is None:
        yield safety(model.card.quality)
