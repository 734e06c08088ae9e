"""Shrink photographs for training, so that the traces that JPEG and noise have left in them vanish."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from .photo import Photo, Pixels

COPIES = 3
"""Copies of a photograph that is shrunk, by factors from the largest down in equal ratios."""


def shrink_factors(shrink: float) -> tuple[float, ...]:
    """The factors by which the copies of a photograph are shrunk, the largest first; 1 alone where `shrink` is 1."""
    return (1.0,) if shrink == 1 else tuple(shrink ** (i / COPIES) for i in range(COPIES, 0, -1))


def shrunk(photo: Photo, shrink: float) -> Photo:
    """Replace a clean photograph by its copy shrunk by `shrink`, with the copies shrunk by less as its `larger`.

    All copies keep name, fingerprint and digest of the photograph itself, so that it is known wherever it is met.

    Args:
        photo: the photograph, without a recorded picture.
        shrink: the largest factor, at least 1; the photograph itself at 1.
    """
    if shrink == 1:
        return photo
    original = replace(photo, whole=photo.fingerprint, stored_digest=photo.digest, announce=None)
    smallest, *larger = [replace(original, pixels=_resized(photo.pixels, factor)) for factor in shrink_factors(shrink)]
    return replace(smallest, larger=tuple(larger))


def bytes_of_copies(height: int, width: int, shrink: float) -> int:
    """Bytes of the pixels of all copies of a picture."""
    sizes = [_shrunk_size(height, width, factor) for factor in shrink_factors(shrink)]
    return sum(3 * rows * columns for rows, columns in sizes)


def _resized(pixels: Pixels, factor: float) -> Pixels:
    """Shrink uint8 (H, W, 3) bicubically, with the kernel widened by the factor, so that nothing aliases."""
    height, width = _shrunk_size(pixels.shape[0], pixels.shape[1], factor)
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def _shrunk_size(height: int, width: int, factor: float) -> tuple[int, int]:
    return max(1, round(height / factor)), max(1, round(width / factor))
