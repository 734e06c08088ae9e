"""Pictures of a photograph before and after its restoration, small enough for a page.

Both files are read strip by strip, so that memory does not grow with their size. Values far outside of 0 to 1 are
clipped: where that was not asked for, there is no restored file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.data_uri import data_uri
from ..data.photo import Pixels, central_crop, to_8_bits
from .imagefiles.image_file import ImageFile

Values = NDArray[np.float32]
"""(H, W, 3) in [0, 1]; changes are (H, W)."""

STRIP_VALUES = 4_000_000
"""The number of values that are read at once, if it is at least a row."""
MOST_WIDE = 1_000_000
"""The width of the widest file of which pictures are made, in pixels: whole rows are read."""
WHOLE_SIDES = (960, 800, 640, 520, 420, 340, 280, 220, 160, 96, 48)
"""Longest sides of the whole photographs to try, largest first, in pixels."""
CROP_SIDES = (480, 400, 320, 256, 208, 160, 128, 96, 64, 32)
"""Sides of the crops to try, largest first, in pixels."""
QUALITY = 88
"""Quality of JPEG: pictures that need too much room are made smaller, and never coarser."""
MOST_PROFILE = 4096
"""The number of bytes of a profile that is kept in the pictures; a larger one is left out."""


@dataclass(frozen=True)
class PicturePair:
    """One view of a photograph before and after, both of one size.

    Attributes:
        before: picture as data URI.
        after: picture as data URI.
        width: width in pixels.
        height: height in pixels.
    """

    before: str
    after: str
    width: int
    height: int


@dataclass(frozen=True)
class BeforeAfter:
    """The views of a restored photograph on a page.

    Attributes:
        whole: the whole photograph, made small.
        crop: a crop, pixel by pixel, of the place that changed most; None where `whole` is in full size.
    """

    whole: PicturePair
    crop: PicturePair | None


def pictures_of(source: ImageFile, target: ImageFile, room: int) -> BeforeAfter:
    """Make the pictures of a restored photograph.

    Args:
        source: the photograph.
        target: the restored file, of the same size or enlarged by a whole number.
        room: number of characters that all pictures together may take.

    Raises:
        UnreadableImage: a file is broken.
        ValueError: the sizes do not belong together, or are too wide.
    """
    scale = target.width // source.width
    if (target.width, target.height) != (scale * source.width, scale * source.height):
        raise ValueError(f"{target.width}×{target.height} is no multiple of {source.width}×{source.height}")
    if target.width > MOST_WIDE:
        raise ValueError(f"{target.width} pixels wide, and pictures are made of {MOST_WIDE} at most")
    profile = profile_of(source)
    block = math.ceil(max(source.height, source.width) / WHOLE_SIDES[0])
    *views, changes = reduced(source, target, scale, block)
    wholes = [to_8_bits(view) for view in views]
    whole = fitting(lambda side: [shrunk(pixels, side) for pixels in wholes], WHOLE_SIDES, room // 2, profile)
    crop = None
    if (whole.width, whole.height) != (target.width, target.height):
        side = CROP_SIDES[0] // scale
        top, left = (block * first for first in place_of(changes, max(1, side // block)))
        crops = [window(source, top, left, side, 1), window(target, top, left, side, scale)]
        crops[0] = crops[0].repeat(scale, axis=0).repeat(scale, axis=1)
        crop = fitting(lambda side: [central_crop(pixels, side) for pixels in crops], CROP_SIDES, room // 2, profile)
    return BeforeAfter(whole, crop)


def reduced(source: ImageFile, target: ImageFile, scale: int, block: int) -> tuple[Values, Values, Values]:
    """Average over blocks of `block` pixels of the source: both files, and the changes of the pixels, (H, W)."""
    tops, lefts = (np.arange(0, length, block) for length in (source.height, source.width))
    sums = [np.zeros((len(tops), len(lefts), bands), np.float32) for bands in (3, 3, 1)]
    for top, before, enlarged in strips(source, target, scale):
        after = averaged(enlarged, scale)
        change = np.abs(after - before).mean(2, keepdims=True)
        places = (top + np.arange(len(before))) // block
        firsts = np.flatnonzero(np.diff(places, prepend=-1))
        for total, values in zip(sums, (before, after, change), strict=True):
            total[places[firsts]] += np.add.reduceat(np.add.reduceat(values, firsts, axis=0), lefts, axis=1)
    rows, columns = np.diff(tops, append=source.height), np.diff(lefts, append=source.width)
    counts = (rows[:, None] * columns).astype(np.float32)[..., None]
    before, after, changes = (total / counts for total in sums)
    return before, after, changes[..., 0]


def strips(source: ImageFile, target: ImageFile, scale: int) -> Iterator[tuple[int, Values, Values]]:
    """Yield both files from top to bottom: the first row of a strip, and the rows of the strip of each."""
    rows = max(1, STRIP_VALUES // (source.width * 3 * scale**2))
    read_source, read_target = source.reader(clip=True), target.reader()
    for top in range(0, source.height, rows):
        bottom = min(top + rows, source.height)
        yield top, read_source(top, bottom), read_target(scale * top, scale * bottom)


def averaged(values: Values, block: int) -> Values:
    """Average over blocks of `block` pixels a side."""
    if block == 1:
        return values
    height, width, bands = values.shape
    means: Values = values.reshape(height // block, block, width // block, block, bands).mean((1, 3))
    return means


def place_of(changes: Values, side: int) -> tuple[int, int]:
    """The top and left of the window of `side` values that holds the largest sum."""
    height, width = (min(side, length) for length in changes.shape)
    table = np.pad(changes.cumsum(0, dtype=np.float64).cumsum(1), ((1, 0), (1, 0)))  # sums above and left of a place
    sums = table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]
    top, left = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(top), int(left)


def window(file: ImageFile, top: int, left: int, side: int, scale: int) -> Pixels:
    """Read a square window of a file; place and side are in pixels of a file `scale` times smaller."""
    bottom, right = min(top + side, file.height // scale), min(left + side, file.width // scale)
    rows = file.reader(clip=True)(scale * max(0, bottom - side), scale * bottom)
    return to_8_bits(rows[:, scale * max(0, right - side) : scale * right])


def fitting(
    views_of: Callable[[int], list[Pixels]], sides: tuple[int, ...], room: int, profile: bytes | None
) -> PicturePair:
    """Encode two pictures at the first of some sizes at which they fit into `room` characters, or at the last one."""
    promising: float = sides[0]
    for side in sides:
        if side > promising and side != sides[-1]:
            continue
        views = views_of(side)
        before, after = (data_uri(pixels, QUALITY, profile) for pixels in views)
        size = len(before) + len(after)
        if size <= room:
            break
        promising = 1.15 * max(views[0].shape[:2]) * math.sqrt(room / size)  # room grows about with the area
    height, width = views[0].shape[:2]
    return PicturePair(before, after, width, height)


def shrunk(pixels: Pixels, side: int) -> Pixels:
    """Make a picture at most `side` a side; a smaller one stays as it is."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.BOX)
    return np.array(image)


def profile_of(source: ImageFile, most: int = MOST_PROFILE) -> bytes | None:
    """The profile of a colour photograph, if it has no more than `most` bytes: few enough for a page."""
    image = source.decoded()
    if source.gray or not image.get_typeof("icc-profile-data"):
        return None
    profile = bytes(image.get("icc-profile-data"))
    return profile if len(profile) <= most and profile[16:20] == b"RGB " else None
