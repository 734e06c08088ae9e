"""One photograph in memory, and the fingerprint that identifies its picture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

THUMBNAIL = 96
"""Largest side of a thumbnail in pixels."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Thumbnail and digest of a whole clean picture, to identify it where only a window is in memory.

    Attributes:
        thumbnail: uint8 (h, w), gray values averaged over boxes; both sides at most `THUMBNAIL`, and never enlarged.
        digest: SHA-256 of size and pixels, in hexadecimal digits.
    """

    thumbnail: Pixels
    digest: str

    @classmethod
    def of(cls, pixels: Pixels) -> Fingerprint:
        """Make the fingerprint of uint8 (H, W, 3)."""
        gray = Image.fromarray(pixels).convert("L")
        small = gray.resize((min(gray.width, THUMBNAIL), min(gray.height, THUMBNAIL)), Image.Resampling.BOX)
        return cls(np.array(small), digest_of(pixels))


@dataclass(frozen=True, eq=False)
class Photo:
    """One photograph, in memory or in a pack that is mapped into memory.

    Two photographs are equal only if they are the same object: arrays have no single truth value.

    Attributes:
        name: path relative to the folder of photographs, with forward slashes; the bare name if embedded.
        pixels: the clean picture, uint8 (H, W, 3), RGB, 0 to 255; (H, W, 1) where it was made gray (`gray.grayed`).
        recorded: the distorted picture of a recorded pair; as large, or smaller by a whole factor. None where the
            distortion is synthetic.
        whole: fingerprint of the whole clean picture; None where it is still to be made, of `pixels`, which are the
            whole picture then.
        stored_digest: SHA-256 of the pictures as `digest` makes it, where a pack holds it; else empty.
        announce: function that lets the system read rows of the pictures from the disk before they are looked at; takes
            the first row of the clean picture and the number of rows. None where the pictures are in memory.
        larger: copies of a photograph that was shrunk, shrunk by less, to be trained on beside it (`shrinking.shrunk`).
    """

    name: str
    pixels: Pixels
    recorded: Pixels | None = None
    whole: Fingerprint | None = None
    stored_digest: str = ""
    announce: Callable[[int, int], None] | None = None
    larger: tuple[Photo, ...] = ()

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Fingerprint of the whole clean picture."""
        return self.whole or Fingerprint.of(self.pixels)

    @property
    def digest(self) -> str:
        """SHA-256 of size and pixels, of the clean picture and then of the recorded one, in hexadecimal digits."""
        return self.stored_digest or digest_of(self.pixels, *(() if self.recorded is None else (self.recorded,)))

    @property
    def copies(self) -> tuple[Photo, ...]:
        """The photograph and its larger copies."""
        return (self, *self.larger)

    @property
    def scale(self) -> int:
        """Factor by which the recorded picture is smaller than the clean one."""
        return 1 if self.recorded is None else self.pixels.shape[0] // self.recorded.shape[0]

    def window(self, top: int, left: int, height: int, width: int) -> Photo:
        """Cut out a window, the recorded picture with it.

        Args:
            top: first row; all four numbers are in pixels of the clean picture, rounded down to a multiple of `scale`.
            left: first column.
            height: largest number of rows.
            width: largest number of columns.
        """
        s = self.scale
        top, left, height, width = (value // s for value in (top, left, height, width))
        clean = self.pixels[top * s : (top + height) * s, left * s : (left + width) * s]
        recorded = None if self.recorded is None else self.recorded[top : top + height, left : left + width]
        return Photo(self.name, clean, recorded, self.fingerprint)

    def centre(self, size: int) -> Photo:
        """Cut out the middle, at most `size` pixels a side."""
        top, left = (max(0, (side - size) // 2) for side in self.pixels.shape[:2])
        return self.window(top, left, size, size)


def digest_of(*pictures: Pixels) -> str:
    """SHA-256 of size and pixels of pictures, one after another, in hexadecimal digits."""
    digest = hashlib.sha256()
    for pixels in pictures:
        digest.update(str(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def central_crop(pixels: Pixels, side: int) -> Pixels:
    """Cut out the middle of a picture, at most `side` a side."""
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def to_8_bits(values: NDArray[np.float32]) -> Pixels:
    """Clip to [0, 1] and round to 8 bits."""
    levels: Pixels = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    return levels
