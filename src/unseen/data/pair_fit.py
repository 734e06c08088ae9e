"""How a distorted picture fits its clean one: as large, or smaller by a whole factor."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.terminal import tell
from .photo import Fingerprint, Photo, Pixels


def fitted_pair(name: str, clean: Pixels, distorted: Pixels, whole: Fingerprint, enlarge: int) -> Photo:
    """Make a photograph of a recorded pair, its clean picture cut as `cut_to_scale` does.

    Args:
        name: the name of the photograph.
        clean: the clean picture, whole.
        distorted: the distorted picture.
        whole: fingerprint of the clean picture.
        enlarge: factor of the bicubic enlargement of inputs that are smaller by just this factor; 1 for none.

    Raises:
        ValueError: the clean picture, cut, is neither as large as the distorted one nor a whole multiple.
    """
    cut = cut_to_scale(clean, distorted)
    return Photo(name, cut, _at_whole_scale(distorted, cut, enlarge), whole)


def cut_to_scale(clean: Pixels, distorted: Pixels) -> Pixels:
    """Cut a clean picture at right and bottom to whole multiples of the distorted one's sides, where these miss it.

    Sets for super-resolution are made so: the clean picture is cut to a multiple of the scale before it is made small,
    and the uncut one is published. Only less than a pixel of the distorted picture is cut away; else the clean picture
    is returned as it is.
    """
    height, width = distorted.shape[:2]
    scale = clean.shape[0] // height
    rest = (clean.shape[0] - scale * height, clean.shape[1] - scale * width)
    if scale > 1 and any(rest) and all(0 <= side < scale for side in rest):
        return clean[: scale * height, : scale * width]
    return clean


def _at_whole_scale(distorted: Pixels, clean: Pixels, enlarge: int) -> Pixels:
    """Return the distorted picture, enlarged if it is smaller than the clean one by just the factor `enlarge`.

    Raises ValueError unless it is as large as the clean picture or smaller by a whole factor.
    """
    height, width = distorted.shape[:2]
    scale = clean.shape[0] // height
    if scale < 1 or clean.shape[:2] != (height * scale, width * scale):
        sizes = f"{width}×{height} for a clean picture of {clean.shape[1]}×{clean.shape[0]}"
        raise ValueError(f"{sizes}: neither equal nor smaller by a whole factor")
    return _enlarged(distorted, enlarge) if scale == enlarge > 1 else distorted


def _enlarged(pixels: Pixels, scale: int) -> Pixels:
    from .tensors import enlarge, to_pixels, to_tensor  # loads torch, which `check-data` can do without

    return np.ascontiguousarray(to_pixels(enlarge(to_tensor(pixels), scale)))


def tell_of_cuts(source: Path, names: list[str]) -> None:
    """Say how many clean pictures were cut to a multiple of their input, if any were.

    Args:
        source: the folder of the clean pictures, or the pack.
        names: the pairs with such a picture.
    """
    if names:
        cut = "1 clean picture is" if len(names) == 1 else f"{len(names)} clean pictures are"
        tell(f"{source}: {cut} cut to a multiple of the input, as papers do (first: that of {min(names)})")
