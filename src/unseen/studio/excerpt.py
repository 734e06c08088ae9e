"""The part of a visitor's photograph that is shown pixel by pixel, restored alone and at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.photo import Pixels, to_8_bits
from ..data.tensors import to_pixels
from ..models.loading import Model
from ..restoration.guarded_model import with_clear_errors
from ..restoration.imagefiles.image_file import ImageFile, open_image
from ..restoration.tiles import READ_ROWS, Span, for_strips_of
from .specimen import require_page_size

EXCERPT_WIDTH, EXCERPT_HEIGHT = 640, 480
"""The size of the largest excerpt that is shown pixel by pixel, in pixels of the output."""
OVERVIEW_SIDE = 320
"""The longest side of the small picture of the whole photograph, in pixels."""

Place = tuple[float, float]
"""The middle of an excerpt as shares of the photograph's width and height, each from 0 to 1."""
MIDDLE: Place = (0.5, 0.5)


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A part of a photograph, with the pixels around it that the network sees, so that it is what the whole will be.

    Attributes:
        model: the network, which has the whole photograph's statistics where it takes any.
        values: float32 (1, 3, h, w) in [0, 1]: the excerpt and what is around it.
        columns: the columns of `values` in the photograph; those that are kept are shown.
        rows: the rows.
        size: width and height of the photograph, in pixels.
    """

    model: Model
    values: Tensor
    columns: Span
    rows: Span
    size: tuple[int, int]

    @property
    def before(self) -> Pixels:
        """The excerpt as it is in the file, its pixels repeated where the network enlarges."""
        scale = self.model.receptive_field.scale
        return self._shown(self.values, 1).repeat(scale, axis=0).repeat(scale, axis=1)

    def restored(self, strength: float) -> Pixels:
        """Restore the excerpt, at a strength where the network takes one. Raises UserError if the model fails."""
        model = at_strength(self.model, strength)
        return self._shown(model.run(self.values), model.receptive_field.scale)

    def _shown(self, values: Tensor, scale: int) -> Pixels:
        return to_pixels(values[..., self.rows.kept_slice(scale), self.columns.kept_slice(scale)].clamp(0, 1))


def at_strength(model: Model, strength: float) -> Model:
    """The model at a strength; itself if it takes none. Raises UserError if the strength is out of range."""
    return model.with_strength(strength) if model.takes_strength else model


def excerpt_span(length: int, shown: int, middle: float, overlap: int, stride: int) -> Span:
    """Place an excerpt along one side of a photograph, within its borders.

    Args:
        length: length of the side, in pixels.
        shown: pixels to show; the whole side where it is shorter.
        middle: where the middle of the excerpt is to be, as a share of the side.
        overlap: pixels around the excerpt that the network sees.
        stride: number that divides where the window begins.
    """
    first = min(max(0, round(middle * length) - shown // 2), max(0, length - shown))
    last = min(first + shown, length)
    return Span(max(0, first - overlap) // stride * stride, min(last + overlap, length), first, last)


def read_excerpt(path: Path, model: Model, overlap: int, place: Place) -> Excerpt:
    """Read an excerpt of a photograph, and no rows below it unless the network takes statistics of the whole.

    Args:
        path: the photograph.
        model: the network.
        overlap: pixels around the excerpt that the network needs (`Tiling.overlap`).
        place: the middle of the excerpt.

    Raises:
        UnreadableImage: the file cannot be used; a file that is too large is refused by its header alone.
    """
    source, field = open_usable(path, model), model.receptive_field
    columns = excerpt_span(source.width, EXCERPT_WIDTH // field.scale, place[0], overlap, field.stride)
    rows = excerpt_span(source.height, EXCERPT_HEIGHT // field.scale, place[1], overlap, field.stride)
    read, values = source.reader(), np.empty((rows.size, columns.size, 3), np.float32)
    first = 0 if source.alpha else rows.begin  # what is spread under transparency comes from all rows above
    for top in range(first, rows.end, READ_ROWS):
        bottom = min(top + READ_ROWS, rows.end)
        strip = read(top, bottom)[max(0, rows.begin - top) :, columns.begin : columns.end]
        values[max(0, top - rows.begin) : max(0, bottom - rows.begin)] = strip
    model = for_strips_of(with_clear_errors(model), source.reader, source.height)
    tensor = torch.from_numpy(values).permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
    return Excerpt(model, tensor, columns, rows, (source.width, source.height))


def open_usable(path: Path, model: Model) -> ImageFile:
    """Read the header of a photograph. Raises UnreadableImage, also where the result is too large for the page."""
    source = open_image(path)
    require_page_size(path, source.width, source.height, model.receptive_field.scale)
    return source


def read_overview(source: ImageFile) -> Pixels:
    """Read a small picture of the whole photograph. Raises UnreadableImage if the file is broken."""
    step = max(1, max(source.width, source.height) // (2 * OVERVIEW_SIDE))
    read, rows = source.reader(), list[Pixels]()
    for top in range(0, source.height, READ_ROWS):
        strip = read(top, min(top + READ_ROWS, source.height))
        rows.append(to_8_bits(strip[-top % step :: step, ::step]))
    image = Image.fromarray(np.concatenate(rows))
    image.thumbnail((OVERVIEW_SIDE, OVERVIEW_SIDE), Image.Resampling.LANCZOS)
    return np.array(image)
