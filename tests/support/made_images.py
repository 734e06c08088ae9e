"""Pictures that ImageMagick makes, and copies of them through a network that changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.programs import magick
from unseen.restoration.imagefiles.image_file import ImageFile, open_image
from unseen.restoration.imagefiles.save import save

Strips = Iterator[NDArray[np.float32]]

COLOURED = ["-size", "61x47", "-seed", "3", "plasma:red-blue"]
GRAY = [*COLOURED, "-colorspace", "Gray"]
ALPHA = ["-alpha", "set", "-channel", "A", "-fx", "i/w", "+channel"]


def strips_of(picture: ImageFile, height: int = 10) -> Strips:
    """What a network that changes nothing would give."""
    read = picture.reader()
    for top in range(0, picture.height, height):
        yield read(top, min(top + height, picture.height))


def copied(path: Path, out: Path, **options: Any) -> Path:
    """Through a network that changes nothing."""
    picture = open_image(path, options.pop("page", None))
    save(picture, out, strips_of(picture), **options)
    return out


def whole(picture: ImageFile) -> NDArray[np.float32]:
    return np.concatenate(list(strips_of(picture)))


def seen_by_magick(path: Path) -> bytes:
    """Red, green, blue and alpha, 16 bits each."""
    return magick(path, "-depth", "16", "rgba:-")
