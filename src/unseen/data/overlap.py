"""Find photographs that show one picture, whatever their size: a test image must not be a training image.

Two photographs show one picture where thumbnails of `SIDE` x `SIDE` gray values correlate above `SAME`, and finer
detail does too: thumbnails of `THUMBNAIL` x `THUMBNAIL`, minus their moving average over nine pixels along rows and
minus the mean row, must correlate above `SAME_DETAIL`, and so must they with columns in place of rows. Pages of text,
which differ in their letters alone, stay apart, though their lines and columns are in the same places. Skies and other
gradients have no detail: where the deviation of the detail is below `LEAST_CONTRAST`, it does not count as equal.

Copies, pixel by pixel, need no confirmation. Where a photograph is narrower or lower than `THUMBNAIL`, the finer
thumbnails are smaller too; where that leaves less than twice `SIDE` there is no detail, and the first condition decides
alone.

Whole pictures are compared, even where only a window is in memory. Crops, flips and turns are missed, and so are copies
that have lost their detail, changed copies of pictures without detail, and copies whose tones are changed so much that
the first condition fails, as squared gray values may.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from .arrays import Floats
from .photo import THUMBNAIL, Photo

SIDE = 24
"""Side of the coarse thumbnails in pixels."""

SAME = 0.97
"""Correlation of coarse thumbnails above which two photographs may show one picture.

Of the 32 800 pairs of a photograph of BSDS500's test set and one of CBSD68, Set5, Set14, Urban20, Rain30, CC15 or
City12, all of different scenes, the highest correlation is 0.875.
"""

SAME_DETAIL = 0.5
"""Correlation of detail above which two such photographs show one picture.

The lower of the two correlations of detail is at most 0.07 in the pairs above, and below 0.4 between pages of text.
Between a photograph of BSDS500's test set and its copy at a third of the size, JPEG quality 30, it is at least 0.68.
"""

LEAST_CONTRAST = 1.0
"""Standard deviation of detail, in gray levels of 255, below which rounding and JPEG blocks may be its cause."""


@dataclass(frozen=True)
class Overlap:
    """Two photographs that show one picture.

    Attributes:
        first: a photograph of the first set.
        second: a photograph of the second set.
        correlation: correlation of the thumbnails of `SIDE` x `SIDE` gray values.
    """

    first: Photo
    second: Photo
    correlation: float


def overlaps(first: Sequence[Photo], second: Sequence[Photo]) -> list[Overlap]:
    """List the pairs of photographs from two sets that show one picture, the most alike first."""
    if not first or not second:
        return []
    products = np.stack([thumbnail(photo) for photo in first]) @ np.stack([thumbnail(photo) for photo in second]).T
    detail_of = lru_cache(4096)(detail)  # many photographs may resemble many; half a gigabyte at most

    def confirmed(one: Photo, other: Photo) -> bool:
        side = min(THUMBNAIL, *one.fingerprint.thumbnail.shape, *other.fingerprint.thumbnail.shape)
        if side < 2 * SIDE or one.fingerprint.digest == other.fingerprint.digest:
            return True
        return correlation(detail_of(one, side), detail_of(other, side)) > SAME_DETAIL

    candidates = [(first[i], second[j], float(products[i, j])) for i, j in np.argwhere(products > SAME).tolist()]
    pairs = [Overlap(*candidate) for candidate in candidates if confirmed(*candidate[:2])]
    return sorted(pairs, key=lambda overlap: -overlap.correlation)


def thumbnail(photo: Photo) -> Floats:
    """Shrink the whole clean picture to SIDE² gray values of mean 0 and norm 1.

    Zeros for a picture of nearly a single gray value.
    """
    return _normalised(_shrunk(photo, SIDE).ravel())


def detail(photo: Photo, side: int) -> Floats:
    """Subtract from a thumbnail of side² pixels its moving averages along rows, and, apart from that, along columns.

    Returns:
        The two differences, shape (2, values), each of mean 0 and norm 1; zeros where the standard deviation is below
        `LEAST_CONTRAST`.
    """
    small = _shrunk(photo, side)
    return np.stack([_normalised(_high_passed(values)) for values in (small, small.T)])


def correlation(one: Floats, other: Floats) -> float:
    """Return the lower of the correlations of two details along rows and along columns."""
    return float((one * other).sum(axis=1).min())


def _shrunk(photo: Photo, side: int) -> Floats:
    gray = Image.fromarray(photo.fingerprint.thumbnail.astype(np.float32))
    return np.asarray(gray.resize((side, side), Image.Resampling.BOX), dtype=np.float64)


def _high_passed(values: Floats) -> Floats:
    """Subtract the moving average along rows, where its window lies inside the image, and then the mean row."""
    radius = len(values) // SIDE
    fine = values[:, radius:-radius] - sliding_window_view(values, 2 * radius + 1, axis=1).mean(axis=-1)
    return np.ravel(fine - fine.mean(axis=0))


def _normalised(values: Floats) -> Floats:
    """Scale to mean 0 and norm 1; zeros where the standard deviation is below `LEAST_CONTRAST`."""
    deviation = float(values.std())
    if deviation < LEAST_CONTRAST:
        return np.zeros_like(values)
    return (values - float(values.mean())) / (deviation * math.sqrt(values.size))
