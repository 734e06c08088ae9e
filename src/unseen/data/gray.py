"""Gray photographs: the luma of colour photographs, for protocols that are of gray ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from .photo import Photo, Pixels


def luma_of(pixels: Pixels) -> Pixels:
    """The ITU-R 601 luma of uint8 (H, W, 3), rounded as Pillow does: uint8 (H, W, 1)."""
    return np.array(Image.fromarray(pixels).convert("L"))[..., None]


def grayed(photo: Photo) -> Photo:
    """Replace a photograph, its recorded picture and its larger copies by their luma, in memory.

    Name, fingerprint and digest stay those of the photograph itself, so that it is known wherever it is met.
    """
    return replace(
        photo,
        pixels=luma_of(photo.pixels),
        recorded=None if photo.recorded is None else luma_of(photo.recorded),
        whole=photo.fingerprint,
        stored_digest=photo.digest,
        announce=None,
        larger=tuple(map(grayed, photo.larger)),
    )
