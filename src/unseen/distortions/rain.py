"""Rain: streaks of falling drops, and the veil of rain that is far away."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Floats, Integers
from .air import scene_depth, veil
from .distortion import Distortion, Parameters, Range, per_image, require_within, sample_range, sample_seeds

# Length, width and brightness differ between the streaks of one image by these factors, evenly drawn, of mean 1.
_LENGTHS, _WIDTHS, _BRIGHTNESSES = (0.5, 1.5), (0.75, 1.25), (0.5, 1.5)
# Ends of a streak, in lengths from its middle; distance at which exp(-π r²), then below 1e-3, is cut off, in widths.
_END, _SIDE = 0.75, 1.5
_AT_ONCE = 256  # streaks that are drawn together, a bound on memory


@dataclass(frozen=True)
class RainStreaks(Distortion):
    """Rain streaks added to the scene, J + S (Zhang & Patel 2018, DID-MDN).

    A falling drop is a streak while the shutter is open, and the light it adds hardly depends on what is behind it
    (Garg & Nayar, "Vision and rain", IJCV 75, 2007): hence the sum, the model under which Zhang & Patel, "Density-aware
    single image de-raining using a multi-stream dense network", CVPR 2018, and most others work. Their images come from
    a drawing program. Here streaks are straight lines with a Gaussian cross-section at the places of a Poisson point
    process, gray, soft at the edges, parallel, and each of its own length, width and brightness. On average they add
    density · length · width · brightness to a pixel, at the border as anywhere, whatever the image's size; the sum is
    then clipped to [0, 1]. Each range is drawn once per image.

    Attributes:
        density: streaks for each pixel of the image, 0 to 1, or a range.
        length: mean length in pixels, 1 to 1000, or a range.
        angle: degrees from the vertical, -90 to 90, positive where the lower end is on the right, or a range.
        brightness: mean brightness along a streak's middle in units of white, 0 to 1, or a range.
        width: mean width in pixels (integral of the cross-section over its peak), 0.1 to 50, or a range. Streaks
            thinner than a pixel are drawn a pixel wide and dimmer by as much.

    Raises:
        ValueError: for values outside these ranges.
    """

    degree_unit: ClassVar[str] = "streaks for each pixel of the image"

    density: Range
    length: Range = (10, 20)
    angle: Range = (-20, 20)
    brightness: Range = (0.2, 0.5)
    width: Range = (1, 1.5)

    def __post_init__(self) -> None:
        require_within("density", self.density, 0, 1)
        require_within("length", self.length, 1, 1000)
        require_within("angle", self.angle, -90, 90)
        require_within("brightness", self.brightness, 0, 1)
        require_within("width", self.width, 0.1, 50)

    @property
    def degree(self) -> Range:
        """The density of streaks."""
        return self.density

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw the five settings and the seed of the streaks for each image: by the settings' names, and `seed`."""
        return {
            "density": sample_range(self.density, generator, n),
            "length": sample_range(self.length, generator, n),
            "angle": sample_range(self.angle, generator, n),
            "brightness": sample_range(self.brightness, generator, n),
            "width": sample_range(self.width, generator, n),
            "seed": sample_seeds(generator, n),
        }

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Add streaks to each image."""
        return (clean + _streaks(parameters, clean)).clamp(0, 1)


@dataclass(frozen=True)
class DenseRain(RainStreaks):
    """Dense rain driven by wind: long faint streaks that overlap, at large angles (Fu et al. 2017, Rain14000).

    Fu et al., "Removing rain from single images via a deep detail network", CVPR 2017, draw 14 orientations and
    magnitudes of rain over each photograph. The model and the settings are those of `RainStreaks`.
    """

    length: Range = (30, 60)
    angle: Range = (-60, 60)
    brightness: Range = (0.1, 0.25)
    width: Range = (1.5, 2.5)


@dataclass(frozen=True)
class HeavyRain(RainStreaks):
    """Streaks near and far behind a veil, T (J + Σ S_k) + (1 - T) A (Li, Cheong & Tan 2019, Heavy Rain).

    Li, Cheong & Tan, "Heavy rain image restoration: integrating physics model and conditional adversarial learning",
    CVPR 2019, equation 1. Rain too far away to be seen as streaks veils the scene as haze does: T = `transmission` to
    the power d, with d the made-up depth of `scene_depth`. The sum is clipped to [0, 1] at the end.

    `density`, `length`, `angle`, `brightness` and `width` are those of `RainStreaks`, for the nearest layer.

    Attributes:
        layers: K, 1 to 10. Layer k is k times as far away as the first: its streaks are k times as short and as thin,
            and k² times as many, so that each layer adds as much light as the first.
        transmission: share of the light that comes through from mean depth, 0 to 1, or a range.
        airlight: a, gray, in units of white, 0 to 1, or a range.

    Raises:
        ValueError: for values outside these ranges.
    """

    layers: int = 3
    transmission: Range = (0.5, 0.8)
    airlight: Range = (0.7, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within("layers", self.layers, 1, 10)
        require_within("transmission", self.transmission, 0, 1)
        require_within("airlight", self.airlight, 0, 1)

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw streaks as `RainStreaks` does, then the veil and the seed of the depth.

        Their names are `transmission`, `airlight` and `depth_seed`.
        """
        return super().sample(generator, n) | {
            "transmission": sample_range(self.transmission, generator, n),
            "airlight": sample_range(self.airlight, generator, n),
            "depth_seed": sample_seeds(generator, n),
        }

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Add the streaks of all layers, and veil the scene."""
        depth = scene_depth(parameters["depth_seed"], clean)
        transmission = torch.exp(per_image(parameters["transmission"].log(), clean) * depth)
        rainy = clean + _streaks(parameters, clean, self.layers)
        return veil(rainy, transmission, per_image(parameters["airlight"], clean)).clamp(0, 1)


def _streaks(parameters: Parameters, like: Tensor, layers: int = 1) -> Tensor:
    """Draw Σ S_k, the light that the streaks of all layers add to images (n, C, H, W).

    Drawn on the CPU whatever the device, so that a seed means the same rain everywhere.

    Returns:
        Shape (n, 1, H, W), not below 0.
    """
    height, width = like.shape[-2:]
    names = ("seed", "density", "length", "angle", "brightness", "width")
    images = np.zeros((len(like), 1, height, width), np.float32)
    for image, values in zip(images, zip(*(parameters[name].tolist() for name in names), strict=True), strict=True):
        seed, density, length, angle, brightness, thickness = values
        draws = torch.Generator().manual_seed(seed)
        for k in range(1, layers + 1):
            image += _layer(draws, height, width, density * k**2, length / k, angle, brightness, thickness / k)
    return torch.from_numpy(images).to(like)


def _layer(
    draws: torch.Generator,
    height: int,
    width: int,
    density: float,
    length: float,
    angle: float,
    brightness: float,
    thickness: float,
) -> Floats:
    """Draw one layer of parallel streaks, (height, width)."""
    if abs(angle) > 45:  # nearer to the horizontal: drawn with rows and columns exchanged
        angle = math.copysign(90, angle) - angle
        return _layer(draws, width, height, density, length, angle, brightness, thickness).T
    tilt = math.radians(angle)
    brightness, thickness = brightness * min(thickness, 1), max(thickness, 1)
    # Middles are drawn beyond the border too, as far away as the largest streak is long and wide.
    side = _SIDE * _WIDTHS[1] * thickness
    top = _END * _LENGTHS[1] * length * math.cos(tilt) + side * abs(math.sin(tilt)) + 1
    left = top * abs(math.tan(tilt)) + side / math.cos(tilt) + 1
    tall, wide = height + 2 * top, width + 2 * left
    count = int(torch.poisson(torch.tensor(density * tall * wide), generator=draws))
    layer = np.zeros((height, width + 2), np.float32)  # with a rim at both sides that collects what falls outside
    for chunk in torch.rand(5, count, generator=draws).split(_AT_ONCE, dim=1):  # type: ignore[no-untyped-call]
        y, x, long, thick, bright = chunk.numpy()
        streaks = _Streaks(
            y * tall - top,
            x * wide - left,
            length * _between(_LENGTHS, long),
            thickness * _between(_WIDTHS, thick),
            brightness * _between(_BRIGHTNESSES, bright),
        )
        _draw(layer, streaks, tilt, side)
    return layer[:, 1:-1]


class _Streaks(NamedTuple):
    """Streaks by their middles, lengths and widths in pixels, and their brightness; float32 (m,) each."""

    y: Floats
    x: Floats
    length: Floats
    width: Floats
    brightness: Floats


def _between(span: tuple[float, float], share: Floats) -> Floats:
    return span[0] + (span[1] - span[0]) * share


def _draw(layer: Floats, streaks: _Streaks, tilt: float, side: float) -> None:
    """Add streaks at one tilt of at most π/4 to a layer with a rim of a column left and right.

    Each streak adds `brightness` · exp(-π (a / width)²) · p(s / length) to the pixel at distance a across and s along
    the streak; `width` and `length` are the integrals of the two factors. p is flat in the middle half and falls
    linearly to 0 at ±0.75.

    Args:
        layer: the layer to draw on, changed in place.
        streaks: the streaks to draw.
        tilt: angle from the vertical, in radians.
        side: distance across a streak at which it is cut off, in pixels.
    """
    height, width = layer.shape[0], layer.shape[1] - 2
    sine, cosine = math.sin(tilt), math.cos(tilt)
    across = math.ceil(side / cosine)
    columns = np.arange(-across, across + 1, dtype=np.float32)
    i, row = _rows_crossed(streaks.y, _END * cosine * streaks.length + side * abs(sine), height)
    down = row.astype(np.float32) - streaks.y[i]
    middle = streaks.x[i] + down * (sine / cosine)  # where the streak crosses the row
    near = (middle > -across) & (middle < width + across)
    i, row, down, middle = i[near, None], row[near, None], down[near, None], middle[near, None]
    nearest = np.rint(middle)
    right = columns + (nearest - middle)
    along = right * sine + down / cosine
    ends = np.clip(2 * _END - np.abs(along) * (2 / streaks.length)[i], 0, 1)
    sides = np.exp(right**2 * (-math.pi * (cosine / streaks.width) ** 2)[i])
    place = row * (width + 2) + np.clip(columns + nearest, -1, width).astype(np.int64) + 1
    light = ends * sides * streaks.brightness[i]
    np.add.at(layer.reshape(-1), place.ravel(), light.ravel())


def _rows_crossed(middles: Floats, extents: Floats, height: int) -> tuple[Integers, Integers]:
    """Pair every streak with each row, 0 to `height` - 1, within `extents` of its middle: indices of both."""
    first = np.maximum(np.ceil(middles - extents), 0).astype(np.int64)
    last = np.minimum(np.floor(middles + extents), height - 1).astype(np.int64)
    counts = np.maximum(last - first + 1, 0)
    streaks = np.repeat(np.arange(len(middles)), counts)
    return streaks, first[streaks] + np.arange(len(streaks)) - (np.cumsum(counts) - counts)[streaks]
