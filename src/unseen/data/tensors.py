"""Convert pixels to tensors and back, and enlarge bicubically."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .photo import Pixels


def to_tensor(pixels: Pixels) -> Tensor:
    """Convert uint8 (H, W, C) to float32 (1, C, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(pixels, order="C")).permute(2, 0, 1)[None].float() / 255


def enlarge(images: Tensor, scale: int) -> Tensor:
    """Enlarge (n, C, H, W) to (n, C, scale·H, scale·W) by bicubic interpolation, clipped to [0, 1]."""
    return F.interpolate(images, scale_factor=scale, mode="bicubic", align_corners=False).clamp(0, 1)


def as_levels(images: Tensor) -> Tensor:
    """Round values in [0, 1] to the 256 levels of a file, 0 to 255, as float."""
    return images.clamp(0, 1).mul_(255).round_()


def to_pixels(image: Tensor) -> NDArray[np.uint8]:
    """Convert float (1, C, H, W) in [0, 1] to uint8 (H, W, C), rounded."""
    pixels: NDArray[np.uint8] = as_levels(image[0]).permute(1, 2, 0).byte().numpy()
    return pixels
