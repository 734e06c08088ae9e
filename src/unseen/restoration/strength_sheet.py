"""A sheet that shows a photograph's own crops at several strengths, so that its owner can choose one by eye."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..core.atomic import replacing
from ..data.photo import Pixels, to_8_bits
from ..models.loading import Model
from .before_after import profile_of
from .imagefiles.image_file import ImageFile
from .self_check import noise_range_of
from .tiles import Strip, Tiling, for_strips_of, restore_tiled

STRENGTHS = (0.5, 0.75, 1.0, 1.25)
"""Strengths on the sheet, beside the photograph itself."""
SIDE = 256
"""Side of the crops in pixels, or that of a photograph which is smaller."""
GRAIN = 4
"""Side in pixels of the squares whose means make detail: noise between single pixels is none."""
CLIPPED = 0.5 / 255
"""Values this near to black or white count as clipped."""
LARGEST_PROFILE = 2**22
"""Most bytes of the photograph's profile, which the sheet takes over."""
GAP, LINE = 8, 26
"""Pixels between crops, and of a line of text."""
BACKGROUND, TEXT = (48, 48, 48), (235, 235, 235)
"""Colours of the sheet: dark and gray, which does not tint what is seen beside it."""


@dataclass(frozen=True)
class Place:
    """A crop of the photograph, chosen by content.

    Attributes:
        kind: what it was chosen for.
        top: first row.
        left: first column.
    """

    kind: str
    top: int
    left: int


@dataclass(frozen=True)
class CellStatistics:
    """What the squares of a photograph hold, in reading order.

    Attributes:
        tops: first row of each.
        lefts: first column of each.
        means: mean value of each, in [0, 1].
        details: mean absolute difference of neighbouring means over `GRAIN` pixels.
        clipped: share of values that are black or white.
    """

    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]
    means: NDArray[np.float64]
    details: NDArray[np.float64]
    clipped: NDArray[np.float64]


def write_strength_sheet(source: ImageFile, model: Model, tiling: Tiling, path: Path) -> None:
    """Write the sheet of a photograph as PNG, atomically.

    A row for each place (`places_of`), in it the photograph and what the model makes of it at `STRENGTHS`, pixel by
    pixel. The photograph is read a few times, row by row; memory does not grow with its height.

    Args:
        source: the photograph.
        model: a model that keeps sizes and takes a strength.
        tiling: the tiles into which photographs are cut for the model.
        path: the file to write.

    Raises:
        UnreadableImage: the photograph is broken.
        UserError: the file cannot be written.
    """

    def reader() -> Callable[[int, int], Strip]:
        return source.reader(clip=True)

    model = for_strips_of(model, reader, source.height)
    side = min(SIDE, source.height, source.width)
    rows = []
    for place in places_of(cell_statistics(reader(), source.height, source.width, side)):
        window, top, left = window_around(reader(), source, place, side, tiling.overlap, model.receptive_field.stride)
        crops = [window, *(_restored(model.with_strength(strength), tiling, window) for strength in STRENGTHS)]
        own = [crop[top : top + side, left : left + side] for crop in crops]
        noise = noise_range_of(model, [own[0]])
        read = f"; the network reads noise of {noise.words} here" if noise else ""
        text = f"{place.kind}: {side} by {side} pixels from column {place.left}, row {place.top}, at 100 %{read}"
        rows.append((text, [to_8_bits(crop) for crop in own]))
    sheet = drawn_sheet(["as it is", *(f"strength {strength:g}" for strength in STRENGTHS)], rows)
    with replacing(path) as temporary, temporary.open("wb") as file:
        sheet.save(file, "PNG", icc_profile=profile_of(source, LARGEST_PROFILE))


def cell_statistics(read: Callable[[int, int], Strip], height: int, width: int, side: int) -> CellStatistics:
    """Read a photograph in squares of `side` pixels; what is left over on the right and below is left out.

    Args:
        read: function from (top, bottom) to float32 (bottom − top, W, 3) in [0, 1], called with rows in order.
        height: height of the photograph, pixels.
        width: width of the photograph, pixels.
        side: side of the squares, pixels; at most height and width.
    """
    cells = []
    for top in range(0, height - side + 1, side):
        rows = read(top, top + side)
        for left in range(0, width - side + 1, side):
            cell = rows[:, left : left + side]
            grain = max(1, min(GRAIN, side // 2))
            end = side // grain * grain
            blocks = cell[:end, :end].reshape(end // grain, grain, end // grain, grain, 3).mean((1, 3, 4))
            detail = sum(float(np.abs(np.diff(blocks, axis=axis)).mean()) for axis in (0, 1) if end > grain)
            clipped = float(((cell <= CLIPPED) | (cell >= 1 - CLIPPED)).mean())
            cells.append((top, left, float(cell.mean()), detail, clipped))
    tops, lefts, means, details, clipped_shares = (np.array(column) for column in zip(*cells, strict=True))
    return CellStatistics(tops, lefts, means, details, clipped_shares)


def places_of(cells: CellStatistics) -> list[Place]:
    """Choose up to three different places: of the most detail, the flattest, and the darkest.

    The last two are chosen among those that are not mostly clipped, since noise does not show in clipped ones.
    """
    hidden = np.where(cells.clipped > 0.5, 10.0, 0.0)
    ranks = {"most detail": -cells.details, "flattest": cells.details + hidden, "darkest": cells.means + hidden}
    chosen: dict[int, str] = {}
    for kind, rank in ranks.items():
        free = [i for i in np.argsort(rank, kind="stable").tolist() if i not in chosen]
        if free:
            chosen[free[0]] = kind
    return [Place(kind, int(cells.tops[i]), int(cells.lefts[i])) for i, kind in chosen.items()]


def window_around(
    read: Callable[[int, int], Strip], source: ImageFile, place: Place, side: int, margin: int, stride: int
) -> tuple[Strip, int, int]:
    """Read a place with at least `margin` pixels around it, as far as the photograph goes.

    Args:
        read: as for `cell_statistics`.
        source: the photograph.
        place: the place.
        side: its side in pixels.
        margin: pixels around it.
        stride: step of the places where the window may begin, pixels.

    Returns:
        The window, and the first row and column of the place in it.
    """
    first, left = (max(0, (start - margin) // stride * stride) for start in (place.top, place.left))
    last, right = min(source.height, place.top + side + margin), min(source.width, place.left + side + margin)
    strips = [read(top, min(top + SIDE, last))[:, left:right].copy() for top in range(first, last, SIDE)]
    return np.concatenate(strips), place.top - first, place.left - left


def _restored(model: Model, tiling: Tiling, window: Strip) -> Strip:
    images = torch.from_numpy(window).permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
    return restore_tiled(model, images, tiling)[0].permute(1, 2, 0).numpy()


def drawn_sheet(heads: Sequence[str], rows: Sequence[tuple[str, Sequence[Pixels]]]) -> Image.Image:
    """Draw rows of equal pictures, each below its text, under heads for the columns."""
    height, width = rows[0][1][0].shape[:2]
    font = ImageFont.load_default(16)
    column = max(width, _widest(heads, font)) + GAP
    across = GAP + max(len(heads) * column, _widest([text for text, _ in rows], font) + GAP)
    sheet = Image.new("RGB", (across, LINE + len(rows) * (LINE + height + GAP) + GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for i, head in enumerate(heads):
        draw.text((GAP + i * column, 4), head, TEXT, font)
    for j, (text, pictures) in enumerate(rows):
        top = LINE + j * (LINE + height + GAP)
        draw.text((GAP, top + 4), text, TEXT, font)
        for i, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (GAP + i * column, top + LINE))
    return sheet


def _widest(texts: Sequence[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return max(int(font.getlength(text)) + 1 for text in texts)
