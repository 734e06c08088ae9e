"""A photograph to experiment with on the page: made small to be quick, distorted by the visitor, and restored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..core.randomness import generator
from ..data.embedded import embedded_photos
from ..data.photo import Pixels, central_crop
from ..data.reading import UnreadableImage, header_size, read_photo
from ..data.tensors import as_levels, to_pixels, to_tensor
from ..evaluation.metrics import psnr
from ..models.loading import Model
from ..protocols.convention import Convention
from .kinds import Candidate, SliderKind

SHOWN_SIDE = 512
"""The longest side of a photograph on the page, in pixels."""
CURVE_SIDE = 256
"""The longest side of the crop on which curves are measured, in pixels."""
CURVE_POINTS = 9
"""The number of strengths at which a curve is measured."""
MAX_MEGAPIXELS = 24
"""The size of the largest photograph that the page takes, in millions of pixels."""


@dataclass(frozen=True, eq=False)
class Specimen:
    """A photograph to experiment with, small enough for the page.

    Attributes:
        name: name of the photograph's file.
        pixels: uint8 (H, W, 3), at most `SHOWN_SIDE` a side.
        original_size: width and height of the file.
    """

    name: str
    pixels: Pixels
    original_size: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the page."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, eq=False)
class SpecimenPanel:
    """One of the pictures to compare.

    Attributes:
        title: name of the picture on the page.
        pixels: uint8 (H, W, 3); None while the picture is being made.
        psnr: PSNR in dB, against the original.
        familiarity: result of `Candidate.familiarity` for a restoration; else `original` or `input`.
    """

    title: str
    pixels: Pixels | None
    psnr: float
    familiarity: str


@dataclass(frozen=True)
class SeverityPoint:
    """The quality at one strength.

    Attributes:
        strength: strength in the slider's unit.
        psnr: PSNR in dB, of the input and then of each candidate.
    """

    strength: float
    psnr: tuple[float, ...]


def require_page_size(path: Path, width: int, height: int, scale: int = 1) -> None:
    """Raise UnreadableImage, with a hint, if a photograph `scale` times as wide and high is too large for the page."""
    megapixels = width * height * scale**2 / 1e6
    if megapixels > MAX_MEGAPIXELS:
        size = f"{megapixels:.0f} megapixels" if scale == 1 else f"{megapixels:.0f} megapixels once it is enlarged"
        raise UnreadableImage(
            path,
            f"it has {size}, and this page takes up to {MAX_MEGAPIXELS}; in a terminal, unseen restore has no limit",
        )


def read_specimen(path: Path) -> Specimen:
    """Read a photograph and make it small. Raises UnreadableImage; a too large file is refused by its header alone."""
    height, width = header_size(path)
    require_page_size(path, width, height)
    return shrunk_specimen(path.name, read_photo(path))


def example_specimen() -> Specimen:
    """A test photograph of scikit-image, on which the shipped networks were not trained."""
    photo = embedded_photos("test")[1]
    return shrunk_specimen(photo.name, photo.pixels)


def shrunk_specimen(name: str, pixels: Pixels) -> Specimen:
    """Make a specimen of pixels of any size."""
    image = Image.fromarray(pixels)
    original_size = image.size
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    return Specimen(name, np.array(image), original_size)


def distort(clean: Tensor, kind: SliderKind, strength: float) -> Tensor:
    """Distort an image and round it to 8 bits, as a file would; all strengths share one random draw."""
    distortion = kind.distortion(strength)
    image = distortion.apply(clean, distortion.sample(generator(0, "studio", kind.name), 1))
    return as_levels(image) / 255


def restore_clipped(model: Model, image: Tensor) -> Tensor:
    """Restore float32 (1, 3, H, W) in [0, 1], and clip the result to [0, 1]."""
    return model.run(image).clamp(0, 1)


def psnr_8_bit(image: Tensor, clean: Tensor) -> float:
    """PSNR in dB over all channels, 8 bits."""
    return float(psnr(image, clean, Convention()))


def restored_panels(
    specimen: Specimen, kind: SliderKind, strength: float, candidates: Sequence[Candidate], first: Sequence[int]
) -> Iterator[list[SpecimenPanel]]:
    """Yield the original, the input and each candidate's restoration: the same list again after each restoration.

    Args:
        specimen: the original.
        kind: the distortion.
        strength: strength of the distortion, in the slider's unit.
        candidates: the networks, in the order of the list.
        first: indices in the list of the pictures to restore before all others.
    """
    clean = to_tensor(specimen.pixels)
    noisy = distort(clean, kind, strength)
    panels = [
        SpecimenPanel("original", specimen.pixels, math.inf, "original"),
        SpecimenPanel("input", to_pixels(noisy), psnr_8_bit(noisy, clean), "input"),
        *(SpecimenPanel(one.name, None, math.nan, one.familiarity(kind, strength)) for one in candidates),
    ]
    yield panels
    for place in sorted(range(2, len(panels)), key=lambda place: (place not in first, place)):
        image = restore_clipped(candidates[place - 2].model, noisy)
        panels[place] = replace(panels[place], pixels=to_pixels(image), psnr=psnr_8_bit(image, clean))
        yield panels


def severity_points(specimen: Specimen, kind: SliderKind, candidates: Sequence[Candidate]) -> Iterator[SeverityPoint]:
    """Measure the curves over all strengths on the middle of the photograph, and yield them point by point."""
    clean = to_tensor(central_crop(specimen.pixels, CURVE_SIDE))
    for strength in map(kind.nearest, torch.linspace(kind.lowest, kind.highest, CURVE_POINTS).tolist()):
        noisy = distort(clean, kind, strength)
        restored = (psnr_8_bit(restore_clipped(one.model, noisy), clean) for one in candidates)
        yield SeverityPoint(strength, (psnr_8_bit(noisy, clean), *restored))
