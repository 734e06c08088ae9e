"""A photograph on the page: small enough to be quick, distorted to order, and restored."""

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
from ..data.photo import Pixels
from ..data.reading import UnreadableImage, header_size, read_photo
from ..data.tensors import as_levels, to_pixels, to_tensor
from ..evaluation.metrics import psnr
from ..models.loading import Model
from ..protocols.convention import Convention
from .kinds import Candidate, SliderKind

SIDE = 512
"""The longest side of a photograph on the page, in pixels."""
MEASURED = 256
"""The longest side of what the curves are measured on."""
LEVELS = 9
MEGAPIXELS = 24
"""The largest photograph that the page takes."""


@dataclass(frozen=True, eq=False)
class Specimen:
    """A photograph on the page.

    pixels: uint8 (H, W, 3), at most `SIDE` a side. whole: the width and height that it came with.
    """

    name: str
    pixels: Pixels
    whole: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as shown."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def middle(self, side: int) -> Pixels:
        """At most `side` a side."""
        return middle(self.pixels, side)


@dataclass(frozen=True, eq=False)
class SpecimenPanel:
    """One of the pictures to compare.

    title: for people. pixels: uint8 (H, W, 3), None while it is being made. psnr: in dB. standing: see `Candidate`; for
    what is no restoration, `original` or `input`.
    """

    title: str
    pixels: Pixels | None
    psnr: float
    standing: str


@dataclass(frozen=True)
class SeverityPoint:
    """PSNR in dB of the input and of each candidate at one strength."""

    strength: float
    psnr: tuple[float, ...]


def require_fitting(path: Path, width: int, height: int, scale: int = 1) -> None:
    """Raises UnreadableImage, saying where to go instead, for a photograph that is too large for a page."""
    amount = width * height * scale**2 / 1e6
    if amount > MEGAPIXELS:
        what = f"{amount:.0f} megapixels" if scale == 1 else f"{amount:.0f} megapixels once it is enlarged"
        raise UnreadableImage(
            path, f"it has {what}, and this page takes up to {MEGAPIXELS}; in a terminal, unseen restore has no limit"
        )


def specimen_of(path: Path) -> Specimen:
    """Read a photograph and make it small. Raises UnreadableImage, by the header alone where it is too large."""
    height, width = header_size(path)
    require_fitting(path, width, height)
    return made_small(path.name, read_photo(path))


def example() -> Specimen:
    """A photograph that comes with scikit-image, and that the shipped networks were not trained on."""
    photo = embedded_photos("test")[1]
    return made_small(photo.name, photo.pixels)


def made_small(name: str, pixels: Pixels) -> Specimen:
    image = Image.fromarray(pixels)
    whole = image.size
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return Specimen(name, np.array(image), whole)


def middle(pixels: Pixels, side: int) -> Pixels:
    """The middle, at most `side` a side."""
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def distorted(clean: Tensor, kind: SliderKind, strength: float) -> Tensor:
    """What a file would hold: 8 bits. One draw for all strengths, so that only the strength changes."""
    distortion = kind.at(strength)
    image = distortion.apply(clean, distortion.sample(generator(0, "studio", kind.name), 1))
    return as_levels(image) / 255


def restored(model: Model, image: Tensor) -> Tensor:
    """float32 (1, 3, H, W) in [0, 1], as is what comes out."""
    return model.run(image).clamp(0, 1)


def quality(image: Tensor, clean: Tensor) -> float:
    """PSNR in dB over all channels, 8 bits."""
    return float(psnr(image, clean, Convention()))


def panels_of(
    specimen: Specimen, kind: SliderKind, strength: float, candidates: Sequence[Candidate], first: Sequence[int]
) -> Iterator[list[SpecimenPanel]]:
    """The original, the input and each candidate's restoration: again after each of them, those in `first` soonest.

    first: places in the list.
    """
    clean = to_tensor(specimen.pixels)
    given = distorted(clean, kind, strength)
    panels = [
        SpecimenPanel("original", specimen.pixels, math.inf, "original"),
        SpecimenPanel("input", to_pixels(given), quality(given, clean), "input"),
        *(SpecimenPanel(one.name, None, math.nan, one.standing(kind, strength)) for one in candidates),
    ]
    yield panels
    for place in sorted(range(2, len(panels)), key=lambda place: (place not in first, place)):
        image = restored(candidates[place - 2].model, given)
        panels[place] = replace(panels[place], pixels=to_pixels(image), psnr=quality(image, clean))
        yield panels


def points_of(specimen: Specimen, kind: SliderKind, candidates: Sequence[Candidate]) -> Iterator[SeverityPoint]:
    """The curves over the degrees, point by point, measured on the middle of the photograph."""
    clean = to_tensor(specimen.middle(MEASURED))
    for strength in map(kind.nearest, torch.linspace(kind.lowest, kind.highest, LEVELS).tolist()):
        given = distorted(clean, kind, strength)
        after = (quality(restored(one.model, given), clean) for one in candidates)
        yield SeverityPoint(strength, (quality(given, clean), *after))
