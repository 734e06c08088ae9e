"""Whether two photographs show one picture, whatever their size: a test image must not be a training image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .photographs import Photo

SIDE = 24
SAME = 0.97
"""Correlation of thumbnails above which two photographs are one. Thumbnails of different scenes stay below: of the
13 600 pairs between BSDS500's test split and CBSD68, the highest is told in docs/data.md."""


@dataclass(frozen=True)
class Overlap:
    """Two photographs that show one picture, and how alike their thumbnails are."""

    first: Photo
    second: Photo
    correlation: float


def thumbnail(photo: Photo) -> NDArray[np.float64]:
    """The clean photograph as SIDE² gray values of mean 0 and norm 1; zeros for one of a single colour."""
    small = Image.fromarray(photo.pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.float64).ravel()
    values -= values.mean()
    length = float(np.linalg.norm(values))
    return values / length if length > SIDE else np.zeros_like(values)  # a gray level of contrast: nothing to compare


def overlaps(first: Sequence[Photo], second: Sequence[Photo]) -> list[Overlap]:
    """Pairs from two sets that show one picture, the most alike first. Crops and flips are not found."""
    if not first or not second:
        return []
    products = np.stack([thumbnail(photo) for photo in first]) @ np.stack([thumbnail(photo) for photo in second]).T
    found = [Overlap(first[i], second[j], float(products[i, j])) for i, j in np.argwhere(products > SAME).tolist()]
    return sorted(found, key=lambda overlap: -overlap.correlation)
