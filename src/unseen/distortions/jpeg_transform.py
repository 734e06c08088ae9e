"""The loss of JPEG by tensor operations alone, on any device: what a codec does to pixels, without the file."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.tensors import as_levels
from .compression import JPEG, Compression
from .distortion import Parameters, Range

TransformSubsampling = Literal["4:4:4", "4:2:0", "any"]

STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Steps of the luma's coefficients at quality 50 (ITU-T T.81, table K.1)."""

COLOUR_STEPS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8 for _ in range(4)),
)
"""Steps of the colours' coefficients at quality 50 (ITU-T T.81, table K.2)."""

SLACK = 1e-3
"""Levels that a value may lie below a half and yet be rounded up, as halves are: float32 is wrong by less."""


@dataclass(frozen=True)
class JPEGTransform(Compression):
    """The loss of JPEG by tensor operations, on any device and at any phase of its blocks (ITU-T T.81, 1992).

    As libjpeg computes it by default: 8-bit levels, YCbCr (JFIF), colours averaged over 2×2 pixels for 4:2:0, the
    cosine transform of 8×8 pixels, its coefficients rounded to multiples of the quality's steps, and back, with
    colours enlarged by a triangle filter. `jpeg` is the codec itself; the two differ by about a tenth of a level on
    average, where libjpeg's integers round otherwise than float32. Images have 1 channel (gray) or 3 (RGB).

    Attributes:
        quality: a whole number, 1 to 100, or a range [low, high] of such, drawn evenly and rounded, one value per
            image. Lower is stronger.
        subsampling: colour at full resolution (`4:4:4`), at half of width and height (`4:2:0`), or either, drawn
            evenly for each image (`any`).
        aligned: the grid of blocks begins at the first pixel, as in a file. Otherwise it begins up to 15 rows and
            columns before, drawn for each image, so that no network learns where a patch has its blocks; the pixels
            before the first are the first's.

    Raises:
        ValueError: for settings outside these, and by `apply` for images of other than 1 or 3 channels.
    """

    quality: Range  # again, since a spec's settings are read by the names in this module
    subsampling: TransformSubsampling = "4:2:0"
    aligned: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        words = get_args(TransformSubsampling)
        if self.subsampling not in words:
            raise ValueError(f"subsampling {self.subsampling!r} is none of {', '.join(words)}")

    @property
    def on_device(self) -> bool:
        """True: all is tensor operations."""
        return True

    @property
    def family(self) -> Hashable:
        """The codec's, so that its qualities are compared with these."""
        return JPEG

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw a whole quality, the rows and columns before an image's first pixel, and where it may be, 4:2:0.

        The names are `quality`, `offset` (n, 2) unless aligned, and `halved` where the subsampling is `any`.
        """
        parameters = super().sample(generator, n)
        if not self.aligned:
            parameters["offset"] = torch.randint(16, (n, 2), generator=generator)
        if self.subsampling == "any":
            parameters["halved"] = torch.randint(2, (n,), generator=generator)
        return parameters

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Lose what a file of each image's quality would lose."""
        self.refuse_channels(clean)
        n, _, height, width = clean.shape
        quality = parameters["quality"].to(clean.device)
        offset = torch.zeros_like(quality)[:, None].expand(n, 2) if self.aligned else parameters["offset"].to(quality)
        top, left = offset[:, :1], offset[:, 1:]
        levels = as_levels(clean).float()
        farthest = 0 if self.aligned else 15
        rows, columns = (_indices(_whole_blocks(side + farthest), quality) for side in (height, width))
        placed = _at(levels, (rows - top).clamp(0, height - 1), (columns - left).clamp(0, width - 1))
        coded = self._coded(placed, quality, (top + height - 1) // 2, (left + width - 1) // 2, parameters)
        lossy = _at(coded, top + _indices(height, top), left + _indices(width, left))
        return torch.empty_like(clean).copy_(lossy).div_(255)

    def _coded(
        self, levels: Tensor, quality: Tensor, last_row: Tensor, last_column: Tensor, parameters: Parameters
    ) -> Tensor:
        """Code and decode levels (n, C, H, W) whose sides are multiples of 16.

        Args:
            levels: whole levels, 0 to 255.
            quality: (n,).
            last_row: last row of colours at half resolution that is the image's, (n, 1).
            last_column: likewise, (n, 1).
            parameters: the draw, of which `halved` is used.
        """
        if levels.shape[1] == 1:
            return _quantised(levels, _steps(STEPS, quality))
        luma, colours = _to_ycc(levels)
        luma, steps = _quantised(luma, _steps(STEPS, quality)), _steps(COLOUR_STEPS, quality)
        if self.subsampling == "4:4:4":
            return _to_rgb(luma, _quantised(colours, steps))
        halves = _through_halves(colours, steps, last_row, last_column)
        if self.subsampling == "any":
            halved = parameters["halved"].to(quality.device).view(-1, 1, 1, 1) == 1
            halves = torch.where(halved, halves, _quantised(colours, steps))
        return _to_rgb(luma, halves)


def _to_ycc(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Convert RGB levels to luma (n, 1, H, W) and the two colour differences (n, 2, H, W), rounded."""
    red, green, blue = levels.unbind(dim=1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    colours = torch.stack([(blue - luma) / 1.772, (red - luma) / 1.402], dim=1) + 128
    return luma[:, None].round(), colours.round_().clamp_(max=255)


def _to_rgb(luma: Tensor, colours: Tensor) -> Tensor:
    """Convert luma and colour differences to RGB levels, rounded and clipped."""
    luma, (blue, red) = luma[:, 0], (colours - 128).unbind(dim=1)
    green = luma - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587
    return torch.stack([luma + 1.402 * red, green, luma + 1.772 * blue], dim=1).round_().clamp_(0, 255)


def _through_halves(colours: Tensor, steps: Tensor, last_row: Tensor, last_column: Tensor) -> Tensor:
    """Code and decode colours at half of height and width, as libjpeg averages, repeats and enlarges them."""
    whole = 4 * F.avg_pool2d(colours, 2)
    n, _, height, width = whole.shape
    columns = _indices(width, steps).expand(n, width)
    halved = torch.floor((whole + 1 + columns.view(n, 1, 1, width) % 2) / 4)
    rows = torch.minimum(_indices(height, steps), last_row)
    coded = _quantised(_at(halved, rows, columns), steps)
    coded = _at(coded, rows, torch.minimum(columns, last_column))
    before, after = _neighbours(coded, dim=2)
    tall = torch.stack([3 * coded + before, 3 * coded + after], dim=3).flatten(2, 3)
    before, after = _neighbours(tall, dim=3)
    both = torch.stack([3 * tall + before + 8, 3 * tall + after + 7], dim=4).flatten(3, 4)
    return torch.floor(both / 16)


def _neighbours(images: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the images moved on and back by one pixel along a dimension, the edge repeated."""
    size = images.shape[dim]
    first, last = images.narrow(dim, 0, 1), images.narrow(dim, size - 1, 1)
    before = torch.cat([first, images.narrow(dim, 0, size - 1)], dim)
    return before, torch.cat([images.narrow(dim, 1, size - 1), last], dim)


def _quantised(planes: Tensor, steps: Tensor) -> Tensor:
    """Round the coefficients of every 8×8 block to multiples of their steps: levels of levels (n, C, H, W).

    Args:
        planes: whole levels, 0 to 255, of sides that are multiples of 8.
        steps: the step of each coefficient, (n, 64).
    """
    n, channels, height, width = planes.shape
    blocks = planes.reshape(n, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    basis, steps = _basis(planes.device), steps[:, None].to(planes)
    # libjpeg's coefficients are whole eighths, and rounded away from zero.
    eighths = (8 * ((blocks.reshape(n, -1, 64) - 128) @ basis.T)).round_()
    multiples = torch.floor((eighths.abs() + 4 * steps) / (8 * steps)) * eighths.sign()
    decoded = torch.floor((multiples * steps) @ basis + (128.5 + SLACK)).clamp_(0, 255)
    return decoded.view(blocks.shape).transpose(3, 4).reshape(planes.shape)


@cache
def _basis(device: torch.device) -> Tensor:
    """Return the orthonormal cosine transform of 8×8 pixels: (64, 64), a coefficient in each row."""
    place = torch.arange(8, dtype=torch.float64)
    rows = torch.cos((2 * place + 1) * place[:, None] * (math.pi / 16)) / 2
    rows[0] /= math.sqrt(2)
    return torch.kron(rows, rows).float().to(device)


@cache
def _table(steps: tuple[tuple[int, ...], ...], device: torch.device) -> Tensor:
    """Return the steps at quality 50 as int64 (64,)."""
    return torch.tensor(steps, device=device).flatten()


def _steps(steps: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """Scale the steps at quality 50 to each quality, as libjpeg does: int64 (n, 64), 1 to 255."""
    percent = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return ((_table(steps, quality.device) * percent[:, None] + 50) // 100).clamp_(1, 255)


def _at(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Gather rows (n, h) and columns (n, w) of each image: (n, C, h, w) of (n, C, H, W)."""
    n, channels, _, width = images.shape
    places = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
    gathered = images.flatten(2).gather(2, places[:, None].expand(n, channels, -1))
    return gathered.view(n, channels, rows.shape[1], columns.shape[1])


def _indices(size: int, like: Tensor) -> Tensor:
    """Return the indices of `size` pixels, (1, size)."""
    return torch.arange(size, device=like.device)[None]


def _whole_blocks(size: int) -> int:
    """Return the next multiple of 16."""
    return -(-size // 16) * 16
