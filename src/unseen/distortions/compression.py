"""Compression by real codecs: images are encoded in memory, and decoded again."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.tensors import as_levels
from .distortion import Distortion, Parameters, Range, ends, require_within, sample_range

Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]


@dataclass(frozen=True)
class Compression(Distortion):
    """Base of lossy compression: 8-bit pixels of 1 or 3 channels, and one whole quality per image.

    Attributes:
        quality: a whole number, 1 to 100, or a range [low, high] of such, drawn evenly and rounded, one per image.

    Raises:
        ValueError: for other qualities.
    """

    degree_unit: ClassVar[str] = "quality (lower is stronger)"

    quality: Range

    def __post_init__(self) -> None:
        require_within("quality", self.quality, 1, 100)
        if any(end != int(end) for end in ends(self.quality)):
            raise ValueError(f"quality {self.quality}: expected a whole number, or a range of two")

    @property
    def degree(self) -> Range:
        """The quality: the lower, the stronger."""
        return self.quality

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw a whole quality for each image: `quality`, int64."""
        return {"quality": sample_range(self.quality, generator, n).round().to(torch.int64)}

    def refuse_channels(self, images: Tensor) -> None:
        """Raise ValueError for images (n, C, H, W) of other than 1 or 3 channels."""
        if images.shape[1] not in (1, 3):
            raise ValueError(f"{type(self).__name__} codes images of 1 or 3 channels, and not of {images.shape[1]}")


@dataclass(frozen=True)
class _Codec(Compression):
    """Base of the codecs."""

    @abstractmethod
    def recode(self, image: Image.Image, quality: int) -> Image.Image:
        """Encode an image, gray (`L`) or `RGB`, and decode it in the same mode."""

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Encode and decode each image at its quality. Raises ValueError for images of other than 1 or 3 channels."""
        self.refuse_channels(clean)
        levels = as_levels(clean).permute(0, 2, 3, 1).float().cpu().numpy().astype(np.uint8, order="C")
        mode, size = "L" if clean.shape[1] == 1 else "RGB", (clean.shape[3], clean.shape[2])
        for pixels, quality in zip(levels, parameters["quality"].tolist(), strict=True):
            coded = self.recode(Image.frombytes(mode, size, pixels.tobytes()), quality)
            pixels[:] = np.frombuffer(coded.tobytes(), np.uint8).reshape(pixels.shape)
        return torch.from_numpy(levels).permute(0, 3, 1, 2).to(clean).div_(255)


@dataclass(frozen=True)
class JPEG(_Codec):
    """JPEG compression by Pillow's codec (ITU-T T.81, 1992), with the quality scale of libjpeg.

    The image is clipped to [0, 1] and rounded to 8 bits before. Images have 1 channel (gray) or 3 (RGB).

    Attributes:
        quality: a whole number, 1 to 100, or a range [low, high] of such, drawn evenly and rounded, one value per
            image. Lower is stronger.
        subsampling: colour at full resolution (`4:4:4`), at half the width (`4:2:2`), or at half of both (`4:2:0`).

    Raises:
        ValueError: for settings outside these.
    """

    subsampling: Subsampling = "4:2:0"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.subsampling not in get_args(Subsampling):
            raise ValueError(f"subsampling {self.subsampling!r} is none of {', '.join(get_args(Subsampling))}")

    def recode(self, image: Image.Image, quality: int) -> Image.Image:
        """Encode and decode as a file would be, without the file's parsing: half of the time for a small image."""
        file = image.tobytes("jpeg", *_jpeg_arguments(image.mode, quality, self.subsampling))
        image.frombytes(file, "jpeg", image.mode, "")
        return image


@cache
def _jpeg_arguments(mode: str, quality: int, subsampling: Subsampling) -> tuple[Any, ...]:
    """Return the arguments of Pillow's encoder, which differ between its versions, as it makes them to save a file."""
    image = Image.new(mode, (8, 8))
    image.save(BytesIO(), "JPEG", quality=quality, subsampling=subsampling)
    return (mode, *image.encoderconfig)


@dataclass(frozen=True)
class WebP(_Codec):
    """Lossy WebP compression by Pillow's codec (VP8 key frames, RFC 6386, 2011), colour at half resolution.

    The image is clipped to [0, 1] and rounded to 8 bits before. Images have 1 channel (gray) or 3 (RGB).

    Attributes:
        quality: a whole number, 1 to 100, or a range [low, high] of such, drawn evenly and rounded, one value per
            image. Lower is stronger.

    Raises:
        ValueError: for settings outside these.
    """

    def recode(self, image: Image.Image, quality: int) -> Image.Image:
        """Write and read the image as lossy WebP."""
        with BytesIO() as file:
            image.save(file, "WebP", quality=quality)
            with Image.open(file) as coded:
                return coded.convert(image.mode)
