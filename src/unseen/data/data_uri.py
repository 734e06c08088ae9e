"""Pictures as text, to stand inside of a page."""

from __future__ import annotations

import base64
import io

from PIL import Image

from .photo import Pixels


def data_uri(pixels: Pixels, quality: int | None, profile: bytes | None = None) -> str:
    """Encode a picture as a data URI.

    Args:
        pixels: uint8 (H, W, 3), or (H, W, 1) for gray.
        quality: quality of JPEG, whose colours keep full resolution, or their noise would be lost; None for PNG.
        profile: ICC profile of the colours; None for sRGB.
    """
    file, image = io.BytesIO(), Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    kind = "png" if quality is None else "jpeg"
    if quality is None:
        image.save(file, "PNG", optimize=True, icc_profile=profile)
    else:  # without `optimize`, for which Pillow's memory is too small where a picture is nothing but noise
        image.save(file, "JPEG", quality=quality, subsampling=0, icc_profile=profile)
    return f"data:image/{kind};base64," + base64.b64encode(file.getvalue()).decode("ascii")
