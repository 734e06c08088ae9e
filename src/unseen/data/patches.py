"""Clean training patches, drawn from photographs held in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .photographs import Photo, Pixels


class Patches:
    """Random square patches of photographs, flipped and turned by quarters (eight-fold augmentation).

    Each patch comes from a photograph drawn evenly, whatever its size. A photograph with a side shorter
    than the patch is padded by mirroring, so that no photo of the user's is left out.

    photos: at least one; pixels uint8 (H, W, 3).
    size: side of a patch in pixels.
    """

    def __init__(self, photos: Sequence[Photo], size: int):
        self.size = size
        self.photos = [torch.from_numpy(_padded(photo.pixels, size)) for photo in photos]

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n patches, float32 (n, 3, size, size) in [0, 1]."""
        picks = torch.randint(2**31, (n, 6), generator=generator).tolist()
        return torch.stack([self._patch(*pick) for pick in picks]).permute(0, 3, 1, 2) / 255  # channels last in memory

    def _patch(self, photo: int, top: int, left: int, flip: int, mirror: int, turn: int) -> Tensor:
        pixels = self.photos[photo % len(self.photos)]
        top %= pixels.shape[0] - self.size + 1
        left %= pixels.shape[1] - self.size + 1
        patch = pixels[top : top + self.size, left : left + self.size]
        axes = [axis for axis, on in ((0, flip), (1, mirror)) if on % 2]
        patch = patch.flip(axes) if axes else patch
        return patch.transpose(0, 1) if turn % 2 else patch


def _padded(pixels: Pixels, size: int) -> Pixels:
    short = [max(0, size - side) for side in pixels.shape[:2]]
    if not any(short):
        return pixels
    return np.pad(pixels, [(0, short[0]), (0, short[1]), (0, 0)], mode="symmetric")


def to_tensor(pixels: Pixels) -> Tensor:
    """uint8 (H, W, 3) to float32 (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def centre(pixels: Pixels, size: int) -> Pixels:
    """The middle of a photograph (H, W, 3), at most `size` pixels a side."""
    top, left = (max(0, (side - size) // 2) for side in pixels.shape[:2])
    return pixels[top : top + size, left : left + size]
