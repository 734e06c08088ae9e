"""Blur: every image convolved with a kernel of its own."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor

from .distortion import Distortion, Parameters, Range, ends, require_within, sample_range, sample_seeds
from .kernels import (
    Border,
    camera_paths,
    convolve,
    disc_kernels,
    gaussian_blur,
    gaussian_kernels,
    generalised_gaussian_kernels,
    path_kernels,
    plateau_kernels,
    sinc_kernels,
)


class Blur(Distortion):
    """A distortion by convolution, clipped to [0, 1]."""

    border: Border

    def __post_init__(self) -> None:
        if self.border not in get_args(Border):
            raise ValueError(f"border {self.border!r} is none of {', '.join(get_args(Border))}")

    @abstractmethod
    def kernels(self, parameters: Parameters) -> Tensor:
        """The kernels of n images, float64 (n, k, k)."""

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        return convolve(clean, self.kernels(parameters), self.border).clamp(0, 1)


@dataclass(frozen=True)
class GaussianBlur(Blur):
    """Gaussian blur by σ in pixels, round or elliptic, sampled at pixel centres (Wang et al. 2021, Real-ESRGAN, 3.1).

    sigma: standard deviation along the longer axis, 0 to 100, or a range [low, high] drawn evenly, one value an
        image; 0 changes nothing.
    ratio: shorter axis over longer axis, 0.01 to 1, or a range; the axes' angle is drawn evenly. 1 is round.
    size: side of the kernel in pixels, odd. Without one, four times the highest σ to either side.
    border: `reflect` mirrors without repeating the edge, `replicate` repeats the edge.
    Raises ValueError for settings outside these.
    """

    degree_unit: ClassVar[str] = "standard deviation σ, pixels"

    sigma: Range
    ratio: Range = 1.0
    size: int | None = None
    border: Border = "reflect"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within("sigma", self.sigma, 0, 100)
        require_within("ratio", self.ratio, 0.01, 1)
        if self.size is not None:
            _require_odd(self.size)

    @property
    def degree(self) -> Range:
        return self.sigma

    @property
    def side(self) -> int:
        """Of the kernel, in pixels."""
        return 2 * math.ceil(4 * ends(self.sigma)[1]) + 1 if self.size is None else self.size

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        return _sample_ellipses(self.sigma, self.ratio, generator, n)

    def kernels(self, parameters: Parameters) -> Tensor:
        return gaussian_kernels(*_axes(parameters), self.side)

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        if ends(self.ratio) != (1, 1):
            return super().apply(clean, parameters)
        return gaussian_blur(clean, parameters["sigma"], self.side, self.border).clamp(0, 1)


@dataclass(frozen=True)
class _ShapedBlur(Blur):
    """What the two blurs with a shape β share."""

    degree_unit: ClassVar[str] = "standard deviation σ, pixels"

    sigma: Range
    beta: Range
    ratio: Range = 1.0
    size: int = 21
    border: Border = "reflect"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within("sigma", self.sigma, 0.1, 100)
        require_within("beta", self.beta, 0.1, 10)
        require_within("ratio", self.ratio, 0.01, 1)
        _require_odd(self.size)

    @property
    def degree(self) -> Range:
        return self.sigma

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        ellipses = _sample_ellipses(self.sigma, self.ratio, generator, n)
        return {**ellipses, "beta": sample_range(self.beta, generator, n)}


class GeneralisedGaussianBlur(_ShapedBlur):
    """Blur by exp(−q^β/2), q the squared distance in units of σ (Wang et al. 2021, Real-ESRGAN, section 3.1).

    sigma: σ in pixels along the longer axis, 0.1 to 100, or a range [low, high] drawn evenly, one value an image.
        It is the standard deviation at β = 1 only.
    beta: 0.1 to 10, or a range: 1 is the Gaussian, smaller has heavier tails, larger is flatter. Drawn evenly;
        Real-ESRGAN draws 0.5 to 4.
    ratio: shorter axis over longer axis, 0.01 to 1, or a range; the axes' angle is drawn evenly.
    size: side of the kernel in pixels, odd; what lies beyond is cut off.
    border: as for GaussianBlur. Raises ValueError for settings outside these.
    """

    def kernels(self, parameters: Parameters) -> Tensor:
        return generalised_gaussian_kernels(*_axes(parameters), parameters["beta"], self.size)


class PlateauBlur(_ShapedBlur):
    """Blur by 1/(1 + q^β), q the squared distance in units of σ (Wang et al. 2021, Real-ESRGAN, section 3.1).

    sigma: where the kernel has fallen to half its height along the longer axis, in pixels, 0.1 to 100, or a range
        [low, high] drawn evenly, one value an image.
    beta: 0.1 to 10, or a range: the larger, the steeper the plateau's edge. Drawn evenly; Real-ESRGAN draws 1 to 2.
    ratio, size, border: as for GeneralisedGaussianBlur. Tails are so heavy that `size` matters.
    Raises ValueError for settings outside these.
    """

    def kernels(self, parameters: Parameters) -> Tensor:
        return plateau_kernels(*_axes(parameters), parameters["beta"], self.size)


@dataclass(frozen=True)
class SincBlur(Blur):
    """Ringing and overshoot of a circular ideal low-pass (Wang et al. 2021, Real-ESRGAN, section 3.3).

    cutoff: frequency above which nothing is left, in radians a pixel, 0.1 to π, or a range [low, high] drawn
        evenly, one value an image. Lower is stronger.
    size: side of the kernel in pixels, odd; what lies beyond is cut off.
    border: as for GaussianBlur. Raises ValueError for settings outside these.
    """

    degree_unit: ClassVar[str] = "cut-off, radians a pixel (lower is stronger)"

    cutoff: Range
    size: int = 21
    border: Border = "reflect"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within("cutoff", self.cutoff, 0.1, math.pi)
        _require_odd(self.size)

    @property
    def degree(self) -> Range:
        return self.cutoff

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        return {"cutoff": sample_range(self.cutoff, generator, n)}

    def kernels(self, parameters: Parameters) -> Tensor:
        return sinc_kernels(parameters["cutoff"], self.size)


@dataclass(frozen=True)
class DefocusBlur(Blur):
    """A lens out of focus: the mean over its circle of confusion (geometric optics; Potmesil & Chakravarty 1981).

    A pixel weighs by the area that it shares with the disc.

    radius: of the disc in pixels, 0 to 100, or a range [low, high] drawn evenly, one value an image. Up to 0.5 the
        disc lies within one pixel and changes nothing.
    border: as for GaussianBlur. Raises ValueError for settings outside these.
    """

    degree_unit: ClassVar[str] = "radius of the disc, pixels"

    radius: Range
    border: Border = "reflect"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within("radius", self.radius, 0, 100)

    @property
    def degree(self) -> Range:
        return self.radius

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        return {"radius": sample_range(self.radius, generator, n)}

    def kernels(self, parameters: Parameters) -> Tensor:
        return disc_kernels(parameters["radius"], 2 * math.ceil(max(ends(self.radius)[1] - 0.5, 0)) + 1)


@dataclass(frozen=True)
class MotionBlur(Blur):
    """A shaken camera: the mean along a random path (random paths after Boracchi & Foi 2012; ours are simpler).

    Their camera has inertia, and its speed changes. Ours keeps its speed, and its heading is a random walk, so that
    the path has the length that was asked for. Centred, so that nothing is shifted.

    length: of the path in pixels, 0 to 255, or a range [low, high] drawn evenly, one value an image; 0 changes
        nothing.
    border: as for GaussianBlur.
    bend: standard deviation of the change of heading from one end to the other, in radians, 0 to 10; 0 is a
        straight line at an angle drawn evenly.
    Raises ValueError for settings outside these.
    """

    degree_unit: ClassVar[str] = "length of the path, pixels"

    length: Range
    border: Border = "reflect"
    bend: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within("length", self.length, 0, 255)
        require_within("bend", self.bend, 0, 10)

    @property
    def degree(self) -> Range:
        return self.length

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        return {
            "length": sample_range(self.length, generator, n),
            "angle": sample_range((0, 2 * math.pi), generator, n),
            "seed": sample_seeds(generator, n),
        }

    def kernels(self, parameters: Parameters) -> Tensor:
        paths = camera_paths(parameters["length"], parameters["angle"], self.bend, parameters["seed"])
        # No point of a path is further from its mean than half its length.
        return path_kernels(paths, 2 * math.ceil(ends(self.length)[1] / 2) + 1)


def _require_odd(size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size {size} is not an odd number of pixels, 1 or more")


def _sample_ellipses(sigma: Range, ratio: Range, generator: torch.Generator, n: int) -> Parameters:
    return {
        "sigma": sample_range(sigma, generator, n),
        "ratio": sample_range(ratio, generator, n),
        "angle": sample_range((0, math.pi), generator, n),
    }


def _axes(parameters: Parameters) -> tuple[Tensor, Tensor, Tensor]:
    """σ along the longer axis, σ along the shorter one, and the longer one's angle."""
    return parameters["sigma"], parameters["sigma"] * parameters["ratio"], parameters["angle"]
