"""Lower resolution, at a lower size or at the same size."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from .distortion import Distortion, Parameters, Range, degree_in_words, require_within, sample_range

ResizeMode = Literal["area", "bilinear", "bicubic", "matlab"]
WHITE = 255


def resize(images: Tensor, height: int, width: int, mode: ResizeMode) -> Tensor:
    """Resize float (n, C, H, W) to (n, C, height, width); pixels are areas, and both images cover the same area.

    Args:
        images: float (n, C, H, W).
        height: new height.
        width: new width.
        mode: `area` is the mean of all pixels that the new one touches; `bilinear` and `bicubic` (a = −1/2: Keys 1981)
            are widened where they shrink, to prevent aliasing, and cut off at the border; `matlab` is
            `matlab_bicubic`. `bicubic` may leave [0, 1].

    Raises:
        ValueError: for an unknown mode.
    """
    _require_mode("mode", mode)
    images = images.contiguous()  # other memory layouts are summed in another order
    if mode == "matlab":
        return matlab_bicubic(images, height, width)
    return F.interpolate(images, size=(height, width), mode=mode, antialias=mode != "area")


def matlab_bicubic(images: Tensor, height: int, width: int) -> Tensor:
    """Resize as MATLAB's `imresize` does with an 8-bit image: bicubic, and rounded after each direction.

    Float (n, C, H, W) in [0, 1] to (n, C, height, width), of values k/255. The kernel is that of Keys 1981 with a =
    −1/2, widened where the image shrinks. The direction that shrinks more goes first; height goes first where both
    shrink alike. The edge is repeated beyond the border, as in the published pairs of Set5 and Set14 (Huang et al.
    2015), which this function reproduces to every gray level; later releases of MATLAB mirror instead.
    """
    levels = (images.double() * WHITE).round().clamp(0, WHITE)
    for dim, length in sorted({2: height, 3: width}.items(), key=lambda to: to[1] / images.shape[to[0]]):
        levels = (_cubic(levels, dim, length) + 0.5).floor().clamp(0, WHITE)  # MATLAB rounds halves up
    return (levels / WHITE).to(images)


def _cubic(images: Tensor, dim: int, length: int) -> Tensor:
    """Resize bicubically in one direction, as a sum over shifted copies, so that batches change no bit."""
    before = images.shape[dim]
    wide = max(before / length, 1.0)
    centres = (torch.arange(length, dtype=torch.float64, device=images.device) + 0.5) * (before / length) - 0.5
    taps = torch.arange(math.ceil(4 * wide) + 2, device=images.device)
    positions = (centres - 2 * wide).floor().long()[:, None] + taps
    weights = _keys((centres[:, None] - positions) / wide)
    weights = weights / weights.sum(dim=1, keepdim=True)
    shape = [length if i == dim else 1 for i in range(4)]
    resized = torch.zeros([length if i == dim else size for i, size in enumerate(images.shape)]).to(images)
    for position, weight in zip(positions.clamp(0, before - 1).unbind(dim=1), weights.unbind(dim=1), strict=True):
        resized.addcmul_(images.index_select(dim, position), weight.view(shape))
    return resized


def _keys(x: Tensor) -> Tensor:
    """Evaluate the cubic convolution kernel of Keys 1981, a = −1/2."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))


@dataclass(frozen=True)
class Downsample(Distortion):
    """A smaller image, each side divided by a factor, as super-resolution's test pairs are (Huang et al. 2015).

    The result is clipped to [0, 1].

    Attributes:
        factor: whole number, 2 to 16.
        mode: as for `resize`.

    Raises:
        ValueError: for settings outside these, and by `apply` for images whose height or width the factor does not
            divide.
    """

    degree_unit: ClassVar[str] = "factor by which each side shrinks"

    factor: int
    mode: ResizeMode = "matlab"

    def __post_init__(self) -> None:
        require_within("factor", self.factor, 2, 16)
        _require_mode("mode", self.mode)

    @property
    def degree(self) -> Range | str:
        """The factor, followed by the mode unless the mode is `matlab`."""
        return self.factor if self.mode == "matlab" else f"{self.factor}, {self.mode}"

    @property
    def family(self) -> Hashable:
        """The type and the mode."""
        return type(self), self.mode

    @property
    def spans(self) -> tuple[Range | str, ...]:
        """The factor."""
        return (self.factor,)

    @property
    def scale(self) -> int:
        """The factor."""
        return self.factor

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Return no parameters: nothing is random."""
        return {}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Shrink the images."""
        height, width = clean.shape[2:]
        if height % self.factor or width % self.factor:
            raise ValueError(f"an image of {height} x {width} pixels cannot be divided by {self.factor}: crop it first")
        return resize(clean, height // self.factor, width // self.factor, self.mode).clamp(0, 1)


@dataclass(frozen=True)
class Resample(Distortion):
    """Low resolution at the same size: made smaller, and larger again (after Wang et al. 2021, Real-ESRGAN, 3.1).

    The result is clipped to [0, 1].

    Attributes:
        factor: factor by which height and width shrink, 1 to 16, or a range [low, high] drawn evenly, one value per
            image. Shrunk sides are rounded to whole pixels, 1 at least.
        down: mode of shrinking, as for `resize`.
        up: mode of enlarging, as for `resize`.

    Raises:
        ValueError: for settings outside these.
    """

    degree_unit: ClassVar[str] = "factor by which each side shrinks"

    factor: Range
    down: ResizeMode = "bicubic"
    up: ResizeMode = "bicubic"

    def __post_init__(self) -> None:
        require_within("factor", self.factor, 1, 16)
        _require_mode("down", self.down)
        _require_mode("up", self.up)

    @property
    def degree(self) -> Range | str:
        """The factor, followed by both modes unless both are `bicubic`."""
        if self.down == self.up == "bicubic":
            return self.factor
        return f"{degree_in_words(self.factor)}, {self.down} down, {self.up} up"

    @property
    def family(self) -> Hashable:
        """The type and both modes."""
        return type(self), self.down, self.up

    @property
    def spans(self) -> tuple[Range | str, ...]:
        """The factor."""
        return (self.factor,)

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw a factor for each image: `factor`."""
        return {"factor": sample_range(self.factor, generator, n)}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Shrink and enlarge each image."""
        height, width = clean.shape[2:]
        resampled = torch.empty_like(clean)
        for i, factor in enumerate(parameters["factor"].tolist()):
            small = resize(clean[i : i + 1], _shrunk(height, factor), _shrunk(width, factor), self.down)
            resampled[i : i + 1] = resize(small, height, width, self.up)
        return resampled.clamp_(0, 1)


def _shrunk(length: int, factor: float) -> int:
    return max(1, round(length / factor))


def _require_mode(name: str, mode: str) -> None:
    if mode not in get_args(ResizeMode):
        raise ValueError(f"{name} {mode!r} is none of {', '.join(get_args(ResizeMode))}")
