"""Camera noise: made on the sensor, and shaped by demosaicking and by the response curve."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple, TypeVar, get_args

import torch
from torch import Tensor

from .distortion import (
    Distortion,
    Parameters,
    Range,
    ends,
    normal_fields,
    per_image,
    power,
    require_logarithm,
    require_within,
    sample_log_range,
    sample_range,
    sample_seeds,
)

NoiseConvention = Literal["paper", "matlab", "python"]
Bayer = Literal["any", "rggb", "grbg", "gbrg", "bggr", "none"]

BAYER_PATTERNS: tuple[Bayer, ...] = ("rggb", "grbg", "gbrg", "bggr")
"""Pattern i is the first pattern, seen from i // 2 rows and i % 2 columns further."""

FloatOrTensor = TypeVar("FloatOrTensor", float, Tensor)


@dataclass(frozen=True)
class CameraNoise(Distortion):
    """Shot and read noise under a Bayer mosaic and a camera's response curve (Guo et al. 2019, CBDNet, section 3.1).

    y = f(DM(M(L + n))), L = f⁻¹(x): the response f is undone; noise n of zero mean, with a variance that depends on the
    light L, is added; one colour per pixel is kept (M); the others are interpolated (DM); and f is applied again. RGB
    in [0, 1] only.

    The three `convention`s have the same letters in CBDNet and are not compatible:

    * `paper`: variance L·shot² + read²; both drawn evenly, one value per image. CBDNet: [0, 0.16] and [0, 0.06].
    * `matlab`: the authors' AddNoiseMosai.m, two Gaussian terms of *standard deviation* shot·L and read, so variance
      (shot·L)² + read²; drawn evenly, one value per channel. Theirs: [0, 0.16] and [0, 0.06].
    * `python`: the port by Z. Yue in their repository, *variance* shot·L + read; drawn log-uniformly, one value per
      image. There: [1e-4, 0.16] and [1e-4, 0.06], up to 120 gray levels. Brooks et al. (2019), with the same variance,
      draw shot from [1e-4, 0.012] to resemble the photographs of DND.

    Departures from both programs: no 16-bit rounding before demosaicking (MATLAB), no white balance and colour matrix
    (port). JPEG, a stage of the paper's model, is a distortion of its own. An image of one row or column is
    photographed as if it went on unchanged, so that every colour is measured.

    Attributes:
        convention: the meaning of `shot` and `read`, see above.
        shot: a value, or a range [low, high] drawn as above, 0 to 1; a range of `python` starts above 0.
        read: as `shot`.
        bayer: the pattern by its first two rows; `any` of the four drawn evenly for each image; or `none`: all colours
            measured in every pixel. (AddNoiseMosai.m draws `none` as well, in a fifth of the images.)
        gamma: exponent of the response, 1 (linear) to 5, or a range drawn evenly, one value per image; see `response`.
            A named family in place of CBDNet's 201 measured curves: S-shaped film curves are not in it.
        clip: keep the sensor's values and the result in [0, 1], as both programs do.
        errors: the errors of mosaic and interpolation on the clean image belong to the distortion, as in both programs.
            Without them, the image is x + f(DM(M(L + n))) - f(DM(M(L))): noise shaped by mosaic, interpolation and
            response, on an image that is not damaged otherwise.

    Raises:
        ValueError: for settings outside these bounds, and by `apply` for images of other than three channels.
    """

    degree_unit: ClassVar[str] = "standard deviation at mid-gray, gray levels of 255"

    convention: NoiseConvention
    shot: Range
    read: Range
    bayer: Bayer = "any"
    gamma: Range = 2.4
    clip: bool = True
    errors: bool = True

    def __post_init__(self) -> None:
        for name, value, words in (("convention", self.convention, NoiseConvention), ("bayer", self.bayer, Bayer)):
            if value not in get_args(words):
                raise ValueError(f"{name} {value!r} is none of {', '.join(get_args(words))}")
        for name, levels in (("shot", self.shot), ("read", self.read)):
            require_within(name, levels, 0, 1)
            if self.convention == "python":
                require_logarithm(name, levels)
        require_within("gamma", self.gamma, 1, 5)

    @property
    def degree(self) -> Range:
        """Standard deviation of the noise on a flat mid-gray (0.5), in gray levels of 255, to two decimals.

        To first order in the noise, without clipping, for the middle of the range of `gamma`: comparable between
        conventions, and with the σ of Gaussian noise. A range where shot or read is a range.
        """
        (low_shot, high_shot), (low_read, high_read) = ends(self.shot), ends(self.read)
        low, high = self._sigma_of_gray(low_shot, low_read), self._sigma_of_gray(high_shot, high_read)
        return low if low == high else (low, high)

    @property
    def on_device(self) -> bool:
        """True: all is tensor operations."""
        return True

    @property
    def family(self) -> Hashable:
        """The type, the convention and the pattern; `any` of the patterns is four `alternatives`."""
        return type(self), self.convention, self.bayer

    @property
    def spans(self) -> tuple[Range | str, ...]:
        """Shot, read and gamma, since different combinations can have the same degree."""
        return self.shot, self.read, self.gamma

    @property
    def alternatives(self) -> list[tuple[Distortion, ...]]:
        """One alternative for each pattern that may be drawn."""
        return [(replace(self, bayer=bayer),) for bayer in (BAYER_PATTERNS if self.bayer == "any" else (self.bayer,))]

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw noise levels, the response's exponent, the seed of the noise and, where there is a mosaic, its pattern.

        The names are `shot`, `read`, `gamma`, `seed` and `pattern`.
        """
        parameters = {
            "shot": self._sample_level(self.shot, generator, n),
            "read": self._sample_level(self.read, generator, n),
            "gamma": sample_range(self.gamma, generator, n),
            "seed": sample_seeds(generator, n),
        }
        if self.bayer == "any":
            parameters["pattern"] = torch.randint(len(BAYER_PATTERNS), (n,), generator=generator)
        elif self.bayer != "none":
            parameters["pattern"] = torch.full((n,), BAYER_PATTERNS.index(self.bayer))
        return parameters

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Take the images back to the sensor, add its noise, and develop them again."""
        n, channels, _, _ = clean.shape
        if channels != 3:
            raise ValueError(f"camera noise is made of 3 colour channels, not of {channels}")
        gamma, pattern = parameters["gamma"], parameters.get("pattern")
        noise = normal_fields(parameters["seed"], clean)
        shot, read = (parameters[name].to(clean).view(n, -1, 1, 1) for name in ("shot", "read"))
        scene = clean
        if pattern is not None:  # what the mosaic drops need not be computed
            sites = _sites_around(pattern.to(clean.device), clean.shape[2], clean.shape[3])
            scene, noise = (_measured(images, sites) for images in (clean, noise))
            shot, read = (level if level.shape[1] == 1 else _of_channel(level, sites) for level in (shot, read))
        light = inverse_response(scene, gamma)
        variance = noise_variance(self.convention, light.clamp(min=0), shot, read)
        measured = self._clipped(noise.mul_(variance.sqrt_()).add_(light))
        developed = _developed(measured, pattern, gamma)
        return self._clipped(developed if self.errors else clean + developed - _developed(light, pattern, gamma))

    def _sample_level(self, level: Range, generator: torch.Generator, n: int) -> Tensor:
        """Draw shot or read: (n, 3) for `matlab`, else (n,)."""
        if self.convention == "matlab":
            return sample_range(level, generator, 3 * n).view(n, 3)
        if self.convention == "paper":
            return sample_range(level, generator, n)
        return sample_log_range(level, generator, n)

    def _sigma_of_gray(self, shot: float, read: float) -> float:
        gamma = torch.tensor([sum(ends(self.gamma)) / 2], dtype=torch.float64)
        light = float(inverse_response(torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64), gamma))
        slope = (0.5 + OFFSET_PER_GAMMA * (float(gamma) - 1)) / (
            float(gamma) * light
        )  # of the response, where it is 0.5
        share = 1 if self.bayer == "none" else DEMOSAICKED
        return round(255 * slope * math.sqrt(share * noise_variance(self.convention, light, shot, read)), 2)

    def _clipped(self, images: Tensor) -> Tensor:
        return images.clamp(0, 1) if self.clip else images


def _developed(measured: Tensor, pattern: Tensor | None, gamma: Tensor) -> Tensor:
    """Interpolate the colours that a mosaic lacks, where there is one, and apply the response."""
    return response(measured if pattern is None else demosaic(measured, pattern), gamma)


def noise_variance(
    convention: NoiseConvention, light: FloatOrTensor, shot: FloatOrTensor, read: FloatOrTensor
) -> FloatOrTensor:
    """Compute the variance of the noise on linear light in [0, 1], by one of the three conventions of CameraNoise."""
    if convention == "paper":
        return light * shot**2 + read**2
    if convention == "matlab":
        return (shot * light) ** 2 + read**2
    return shot * light + read


OFFSET_PER_GAMMA = 0.055 / 1.4
"""Offset of the response for each unit of its exponent above 1, such that 2.4 has sRGB's, 0.055."""


def response(light: Tensor, gamma: Tensor) -> Tensor:
    """Apply the response f(L) = (1 + a) L^(1/γ) - a with a = 0.055 (γ - 1) / 1.4, straight near black.

    A straight line from black up to where it touches the curve replaces the curve there. The shape is that of IEC
    61966-2-1: γ 2.4 is sRGB's curve (to 1e-4, since the standard rounds its constants), γ 1 the identity. The line's
    slope is finite, so that noise in black stays finite; the line goes on below 0 as the power does above 1.

    Args:
        light: linear light L, (n, C, H, W).
        gamma: γ, (n,), at least 1.
    """
    exponent, offset, knee, slope = (per_image(value, light) for value in _curve(gamma))
    curved = (1 + offset) * power(light.clamp(min=knee), 1 / exponent) - offset
    return torch.where(light < knee, slope * light, curved)


def inverse_response(images: Tensor, gamma: Tensor) -> Tensor:
    """Invert `response` in closed form: compute the light L from values f(L)."""
    exponent, offset, knee, slope = (per_image(value, images) for value in _curve(gamma))
    curved = power((images.clamp(min=knee * slope) + offset) / (1 + offset), exponent)
    return torch.where(images < knee * slope, images / slope, curved)


def _curve(gamma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return exponent and offset of the power, and the light at which the line from black meets it and its slope."""
    offset = OFFSET_PER_GAMMA * (gamma - 1)
    knee = (OFFSET_PER_GAMMA * gamma / (1 + offset)) ** gamma
    return gamma, offset, knee, OFFSET_PER_GAMMA / knee


DEMOSAICKED = 11 / 12
"""Variance of white noise after `demosaic`, averaged over sites and colours: the mean square sum of its weights."""


def through_bayer(images: Tensor, pattern: Tensor) -> Tensor:
    """Send linear RGB (n, 3, H, W) through the colour filter and demosaicking.

    Beyond the edge the scene is mirrored about its outermost pixels, which keeps the phase of the pattern: colours that
    are flat stay flat up to the edge. A single row or column, which cannot be mirrored, goes on unchanged instead.

    Args:
        images: linear RGB, (n, 3, H, W).
        pattern: (n,), indices into BAYER_PATTERNS.
    """
    sites = _sites_around(pattern.to(images.device), images.shape[2], images.shape[3])
    return demosaic(_measured(images, sites), pattern)


class _SitesAround(NamedTuple):
    """The sites of the pattern rggb of images and of two more pixels on every side, (n, H + 4, W + 4).

    The four sites, row by row: red, green beside red, green beside blue, blue.

    Attributes:
        numbers: which of the four sites each pixel is.
        rows: the row of the image that each row stands for, (H + 4,).
        columns: likewise, (W + 4,).
    """

    numbers: Tensor
    rows: Tensor
    columns: Tensor


def _sites_around(pattern: Tensor, height: int, width: int) -> _SitesAround:
    rows, columns = _mirrored(height, pattern.device), _mirrored(width, pattern.device)
    return _SitesAround(_sites(pattern, height + 4, width + 4), rows, columns)


def _measured(images: Tensor, sites: _SitesAround) -> Tensor:
    """Keep the one colour that each pixel of the scene measures, two more on every side: (n, 1, H + 4, W + 4)."""
    n, _, _, width = images.shape
    places = 3 * (sites.rows[:, None] * width + sites.columns) + _channel(sites.numbers)
    return images.permute(0, 2, 3, 1).reshape(n, -1).gather(1, places.flatten(1)).view(n, 1, *places.shape[1:])


def _of_channel(levels: Tensor, sites: _SitesAround) -> Tensor:
    """Give each pixel the level of the colour that it measures: (n, 1, H + 4, W + 4) of (n, 3, 1, 1)."""
    channels = _channel(sites.numbers)
    return levels.flatten(1).gather(1, channels.flatten(1)).view(len(levels), 1, *channels.shape[1:])


def _channel(sites: Tensor) -> Tensor:
    """Return the channel that each site measures: 0, 1, 1 and 2 for the sites 0 to 3."""
    return (sites + 1) // 2


def mosaic(images: Tensor, pattern: Tensor) -> Tensor:
    """Keep the one colour that each pixel measures: (n, 1, H, W) of RGB (n, 3, H, W).

    Args:
        images: linear RGB, (n, 3, H, W).
        pattern: (n,), indices into BAYER_PATTERNS.
    """
    height, width = images.shape[-2:]
    sites = _sites(pattern.to(images.device), height, width)
    return images.gather(1, _channel(sites).unsqueeze(1))


def demosaic(raw: Tensor, pattern: Tensor) -> Tensor:
    """Interpolate RGB (n, 3, H, W) from a mosaic with two more pixels on every side, (n, 1, H + 4, W + 4).

    The linear 5×5 interpolation of Malvar, He and Cutler (ICASSP 2004, figure 2): bilinear, corrected by the second
    difference of the colour that is measured. Exact on planes, each colour its own. Computed as sums of shifted images,
    whose rounding does not depend on the size of the batch, as that of a convolution may.
    """
    height, width = raw.shape[-2] - 4, raw.shape[-1] - 4

    def at(row: int, column: int) -> Tensor:
        return raw[:, 0, 2 + row : 2 + row + height, 2 + column : 2 + column + width]

    centre = at(0, 0)
    beside, above = at(0, -1) + at(0, 1), at(-1, 0) + at(1, 0)
    beside_2, above_2 = at(0, -2) + at(0, 2), at(-2, 0) + at(2, 0)
    corners = at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)
    crossing = (4 * centre + 2 * (beside + above) - (beside_2 + above_2)) / 8  # green at red or blue
    along = (5 * centre + 4 * beside - beside_2 - corners + above_2 / 2) / 8  # at green, the colour beside it
    down = (5 * centre + 4 * above - above_2 - corners + beside_2 / 2) / 8  # at green, the colour above it
    diagonal = (6 * centre + 2 * corners - 1.5 * (beside_2 + above_2)) / 8  # blue at red, red at blue
    site = _sites(pattern.to(raw.device), height, width)
    red, beside_red, beside_blue = site == 0, site == 1, site == 2
    green = beside_red | beside_blue
    return torch.stack(
        [
            torch.where(green, torch.where(beside_red, along, down), torch.where(red, centre, diagonal)),
            torch.where(green, centre, crossing),
            torch.where(green, torch.where(beside_red, down, along), torch.where(red, diagonal, centre)),
        ],
        dim=-1,
    ).permute(0, 3, 1, 2)


def _sites(pattern: Tensor, height: int, width: int) -> Tensor:
    """Return (n, H, W): which site of the pattern rggb each pixel is, 0 to 3."""
    rows = torch.arange(height, device=pattern.device).view(1, -1, 1) + (pattern // 2).view(-1, 1, 1)
    columns = torch.arange(width, device=pattern.device).view(1, 1, -1) + (pattern % 2).view(-1, 1, 1)
    return 2 * (rows % 2) + columns % 2


def _mirrored(size: int, device: torch.device) -> Tensor:
    """Map indices from -2 to size + 1 into 0 to size - 1, mirrored at both ends without repeating the ends."""
    period = max(2 * (size - 1), 1)
    index = torch.arange(-2, size + 2, device=device) % period
    return torch.minimum(index, period - index)
