"""Draw clean training patches and recorded pairs of patches from photographs, in memory or in packs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .photo import Photo, Pixels

WHITE = np.float32(255)

WholePixels = NDArray[np.void]
"""Pictures (H, W) of whole pixels, of as many bytes as channels: NumPy copies these faster than three numbers."""


class Patches:
    """Random square patches of photographs, flipped and turned by quarters (eight-fold augmentation).

    Each patch comes from a photograph drawn evenly, whatever its size. A photograph with a side shorter than the patch
    is padded by mirroring, in memory, so that no photograph is left out; all other photographs are viewed where they
    are.

    Args:
        photos: the photographs, at least one; pixels uint8 (H, W, C), C the same for all.
        size: side of a patch in pixels; of recorded pairs, a multiple of their scale.

    Attributes:
        size: side of a patch in pixels.
        mirrored: the number of photographs that are padded.
        clean: the clean pictures, padded.
        recorded: the recorded pictures, padded; None for a photograph that has none.
        announce: function of each photograph that is read from the disk when it is drawn (`Photo.announce`), else None.
    """

    def __init__(self, photos: Sequence[Photo], size: int):
        self.size = size
        self.mirrored = sum(min(photo.pixels.shape[:2]) < size for photo in photos)
        self.clean = [_padded(photo.pixels, size) for photo in photos]
        self.recorded = [
            None if photo.recorded is None else _padded(photo.recorded, size // photo.scale) for photo in photos
        ]
        self.announce = [photo.announce if min(photo.pixels.shape[:2]) >= size else None for photo in photos]

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n clean patches, float32 (n, C, size, size) in [0, 1]."""
        return self.at(self.picks(n, generator))

    def at(self, picks: Tensor) -> Tensor:
        """The clean patches at drawn places, float32 (n, C, size, size) in [0, 1]; picks: int64 (n, 6)."""
        places = picks.tolist()
        for photo, top, *_ in places:  # all of them before the first is waited for
            if announce := self.announce[photo]:
                announce(top % (self.clean[photo].shape[0] - self.size + 1), self.size)
        return _batch([_patch(self.clean[place[0]], self.size, *place[1:]) for place in places])

    def pairs_at(self, picks: Tensor) -> tuple[Tensor, Tensor]:
        """The recorded patches at drawn places, and the clean patches of the same places.

        Recorded patches are smaller by the scale of the pairs. Raises ValueError where the photographs have no recorded
        pictures.
        """
        views = []
        for photo, top, left, *turns in picks.tolist():
            large, small = self.clean[photo], self.recorded[photo]
            if small is None:
                raise ValueError("patches: these photographs have no recorded pictures")
            s = large.shape[0] // small.shape[0]
            top, left = (
                start % (side - self.size // s + 1) for start, side in zip((top, left), small.shape, strict=True)
            )
            if announce := self.announce[photo]:
                announce(top * s, self.size)
            views.append(
                (
                    _patch(small, self.size // s, top, left, *turns),
                    _patch(large, self.size, top * s, left * s, *turns),
                )
            )
        recorded, clean = zip(*views, strict=True)
        return _batch(recorded), _batch(clean)

    def picks(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw the places of n patches, int64 (n, 6): photograph, top, left, flip, mirror, turn.

        Top and left count modulo the places that the photograph has; flip, mirror and turn are done where odd.
        """
        picks = torch.randint(2**31, (n, 6), generator=generator)
        picks[:, 0] %= len(self.clean)
        return picks


def _patch(whole: WholePixels, size: int, top: int, left: int, flip: int, mirror: int, turn: int) -> WholePixels:
    """View a patch (size, size) of a picture."""
    top %= whole.shape[0] - size + 1
    left %= whole.shape[1] - size + 1
    patch = whole[top : top + size, left : left + size][:: -1 if flip % 2 else 1, :: -1 if mirror % 2 else 1]
    return patch.T if turn % 2 else patch


def _batch(patches: Sequence[WholePixels]) -> Tensor:
    levels = np.stack(patches)[..., None].view(np.uint8)
    return torch.from_numpy(np.divide(levels, WHITE, dtype=np.float32)).permute(0, 3, 1, 2)  # channels last in memory


def _padded(pixels: Pixels, size: int) -> WholePixels:
    short = [max(0, size - side) for side in pixels.shape[:2]]
    if any(short):
        pixels = np.pad(pixels, [(0, short[0]), (0, short[1]), (0, 0)], mode="symmetric")
    channels = pixels.shape[2]
    if pixels.strides[1:] != (channels, 1):
        pixels = np.ascontiguousarray(pixels)
    return pixels.view(f"V{channels}")[..., 0]
