"""Folders of photographs: find them, read any of the usual formats as 8-bit RGB, hold them in memory."""

from __future__ import annotations

import hashlib
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
    """What is kept of a whole clean picture, to know it again where only a part of it is in memory.

    thumbnail: uint8 (h, w), its gray values averaged over boxes; both sides at most `THUMBNAIL`, and never enlarged.
    digest: hexadecimal digits of its size and pixels (SHA-256), the same for the same pixels alone.
    """

    thumbnail: Pixels
    digest: str

    @classmethod
    def of(cls, pixels: Pixels) -> Fingerprint:
        """From uint8 (H, W, 3)."""
        gray = Image.fromarray(pixels).convert("L")
        small = gray.resize((min(gray.width, THUMBNAIL), min(gray.height, THUMBNAIL)), Image.Resampling.BOX)
        return cls(np.array(small), hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest())


@dataclass(frozen=True, eq=False)
class Photo:
    """One photograph in memory.

    name: path relative to the folder it was found in, with forward slashes; the bare name if embedded.
    pixels: uint8 (H, W, 3), RGB, 0 to 255.
    recorded: the same scene as it was really recorded, distorted; as large, or smaller by a whole factor. None
        where the distortion is made.
    whole: what is kept of the picture that this is a part of; None where it is all of it.

    Two photographs are equal only if they are the same object: arrays have no single truth value.
    """

    name: str
    pixels: Pixels
    recorded: Pixels | None = None
    whole: Fingerprint | None = None

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Of the whole clean picture."""
        return self.whole or Fingerprint.of(self.pixels)

    @property
    def scale(self) -> int:
        """By how much the recorded picture is smaller than the clean one."""
        return 1 if self.recorded is None else self.pixels.shape[0] // self.recorded.shape[0]

    def window(self, top: int, left: int, height: int, width: int) -> Photo:
        """A part of it, at most so large, the recorded picture with it; corner and size in steps of `scale`."""
        s = self.scale
        top, left, height, width = (value // s for value in (top, left, height, width))
        clean = self.pixels[top * s : (top + height) * s, left * s : (left + width) * s]
        recorded = None if self.recorded is None else self.recorded[top : top + height, left : left + width]
        return Photo(self.name, clean, recorded, self.fingerprint)

    def centre(self, size: int) -> Photo:
        """The middle, at most `size` pixels a side."""
        top, left = (max(0, (side - size) // 2) for side in self.pixels.shape[:2])
        return self.window(top, left, size, size)
