"""Blur: every image is convolved with a kernel of its own."""

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

LARGEST_KERNEL = 1001
"""Most pixels of the side of a kernel: the widest Gaussian of the distortions reaches 801."""


class Blur(Distortion):
    """Base of distortions by convolution, clipped to [0, 1].

    Attributes:
        border: pixels beyond the edge: `reflect` mirrors without repeating the edge, `replicate` repeats the edge.
    """

    border: Border

    def __post_init__(self) -> None:
        if self.border not in get_args(Border):
            raise ValueError(f"border {self.border!r} is none of {', '.join(get_args(Border))}")

    @abstractmethod
    def kernels(self, parameters: Parameters) -> Tensor:
        """Make the kernels of n images, float64 (n, k, k)."""

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Convolve each image with its kernel, and clip to [0, 1]."""
        return convolve(clean, self.kernels(parameters), self.border).clamp_(0, 1)


@dataclass(frozen=True)
class GaussianBlur(Blur):
    """Gaussian blur by σ in pixels, round or elliptic, sampled at pixel centres (Wang et al. 2021, Real-ESRGAN, 3.1).

    Attributes:
        sigma: standard deviation along the longer axis in pixels, 0 to 100, or a range [low, high] drawn evenly, one
            value per image; 0 changes nothing.
        ratio: shorter axis over longer axis, 0.01 to 1, or a range; 1 is round. The axes' angle is drawn evenly.
        size: side of the kernel in pixels, odd. None: four times the highest σ to either side.
        border: `reflect` mirrors without repeating the edge, `replicate` repeats the edge.

    Raises:
        ValueError: for settings outside these.
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
        """σ along the longer axis."""
        return self.sigma

    @property
    def side(self) -> int:
        """Side of the kernel in pixels."""
        return 2 * math.ceil(4 * ends(self.sigma)[1]) + 1 if self.size is None else self.size

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw an ellipse for each image: `sigma`, `ratio`, `angle`."""
        return _sample_ellipses(self.sigma, self.ratio, generator, n)

    def kernels(self, parameters: Parameters) -> Tensor:
        """Make Gaussian kernels."""
        return gaussian_kernels(*_axes(parameters), self.side)

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Blur each image, by two one-dimensional passes where all kernels are round."""
        if ends(self.ratio) != (1, 1):
            return super().apply(clean, parameters)
        return gaussian_blur(clean, parameters["sigma"], self.side, self.border).clamp_(0, 1)


@dataclass(frozen=True)
class _ShapedBlur(Blur):
    """Base of the two blurs whose kernel has a shape β."""

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
        """σ along the longer axis."""
        return self.sigma

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw an ellipse and a shape for each image: `sigma`, `ratio`, `angle`, `beta`."""
        ellipses = _sample_ellipses(self.sigma, self.ratio, generator, n)
        return {**ellipses, "beta": sample_range(self.beta, generator, n)}


class GeneralisedGaussianBlur(_ShapedBlur):
    """Blur by exp(−q^β/2), q the squared distance in units of σ (Wang et al. 2021, Real-ESRGAN, section 3.1).

    Attributes:
        sigma: σ in pixels along the longer axis, 0.1 to 100, or a range [low, high] drawn evenly, one value per image.
            It is the standard deviation at β = 1 only.
        beta: 0.1 to 10, or a range drawn evenly. 1 is the Gaussian, a smaller β has heavier tails, a larger one is
            flatter. Real-ESRGAN draws 0.5 to 4.
        ratio: shorter axis over longer axis, 0.01 to 1, or a range. The axes' angle is drawn evenly.
        size: side of the kernel in pixels, odd; the kernel is cut off beyond.
        border: as for GaussianBlur.

    Raises:
        ValueError: for settings outside these.
    """

    def kernels(self, parameters: Parameters) -> Tensor:
        """Make generalised Gaussian kernels."""
        return generalised_gaussian_kernels(*_axes(parameters), parameters["beta"], self.size)


class PlateauBlur(_ShapedBlur):
    """Blur by 1/(1 + q^β), q the squared distance in units of σ (Wang et al. 2021, Real-ESRGAN, section 3.1).

    Attributes:
        sigma: distance along the longer axis at which the kernel has fallen to half its height, in pixels, 0.1 to 100,
            or a range [low, high] drawn evenly, one value per image.
        beta: 0.1 to 10, or a range drawn evenly: the larger, the steeper the plateau's edge. Real-ESRGAN draws 1 to 2.
        ratio: as for GeneralisedGaussianBlur.
        size: as for GeneralisedGaussianBlur. It matters, since the tails are heavy.
        border: as for GaussianBlur.

    Raises:
        ValueError: for settings outside these.
    """

    def kernels(self, parameters: Parameters) -> Tensor:
        """Make plateau-shaped kernels."""
        return plateau_kernels(*_axes(parameters), parameters["beta"], self.size)


@dataclass(frozen=True)
class SincBlur(Blur):
    """Ringing and overshoot of a circular ideal low-pass (Wang et al. 2021, Real-ESRGAN, section 3.3).

    Attributes:
        cutoff: highest frequency that is kept, in radians per pixel, 0.1 to π, or a range [low, high] drawn evenly, one
            value per image. Lower is stronger.
        size: side of the kernel in pixels, odd; the kernel is cut off beyond.
        border: as for GaussianBlur.

    Raises:
        ValueError: for settings outside these.
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
        """The cut-off: the lower, the stronger."""
        return self.cutoff

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw a cut-off for each image: `cutoff`."""
        return {"cutoff": sample_range(self.cutoff, generator, n)}

    def kernels(self, parameters: Parameters) -> Tensor:
        """Make circular low-pass kernels."""
        return sinc_kernels(parameters["cutoff"], self.size)


@dataclass(frozen=True)
class DefocusBlur(Blur):
    """A lens out of focus: the mean over its circle of confusion (geometric optics; Potmesil & Chakravarty 1981).

    The weight of a pixel is the area that it shares with the disc.

    Attributes:
        radius: radius of the disc in pixels, 0 to 100, or a range [low, high] drawn evenly, one value per image. Up to
            0.5 the disc lies within one pixel and changes nothing.
        border: as for GaussianBlur.

    Raises:
        ValueError: for settings outside these.
    """

    degree_unit: ClassVar[str] = "radius of the disc, pixels"

    radius: Range
    border: Border = "reflect"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within("radius", self.radius, 0, 100)

    @property
    def degree(self) -> Range:
        """The radius."""
        return self.radius

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw a radius for each image: `radius`."""
        return {"radius": sample_range(self.radius, generator, n)}

    def kernels(self, parameters: Parameters) -> Tensor:
        """Make disc-shaped kernels."""
        return disc_kernels(parameters["radius"], 2 * math.ceil(max(ends(self.radius)[1] - 0.5, 0)) + 1)


@dataclass(frozen=True)
class MotionBlur(Blur):
    """A shaken camera: the mean along a random path (random paths after Boracchi & Foi 2012; ours are simpler).

    The camera of Boracchi & Foi has inertia, and its speed changes. Ours keeps its speed, and its heading is a random
    walk, so that the path has the length that was asked for. The path is centred, so that nothing is shifted.

    Attributes:
        length: length of the path in pixels, 0 to 255, or a range [low, high] drawn evenly, one value per image; 0
            changes nothing.
        border: as for GaussianBlur.
        bend: standard deviation of the change of heading from one end to the other, in radians, 0 to 10; 0 is a
            straight line at an angle drawn evenly.

    Raises:
        ValueError: for settings outside these.
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
        """The length of the path."""
        return self.length

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw length, first heading and the seed of the path for each image: `length`, `angle`, `seed`."""
        return {
            "length": sample_range(self.length, generator, n),
            "angle": sample_range((0, 2 * math.pi), generator, n),
            "seed": sample_seeds(generator, n),
        }

    def kernels(self, parameters: Parameters) -> Tensor:
        """Make kernels that follow the camera's paths."""
        paths = camera_paths(parameters["length"], parameters["angle"], self.bend, parameters["seed"])
        # No point of a path is further from its mean than half its length.
        return path_kernels(paths, 2 * math.ceil(ends(self.length)[1] / 2) + 1)


def _require_odd(size: int) -> None:
    if not 1 <= size <= LARGEST_KERNEL or size % 2 == 0:
        raise ValueError(f"size {size} is not an odd number of pixels, 1 to {LARGEST_KERNEL}")


def _sample_ellipses(sigma: Range, ratio: Range, generator: torch.Generator, n: int) -> Parameters:
    return {
        "sigma": sample_range(sigma, generator, n),
        "ratio": sample_range(ratio, generator, n),
        "angle": sample_range((0, math.pi), generator, n),
    }


def _axes(parameters: Parameters) -> tuple[Tensor, Tensor, Tensor]:
    """Return σ along the longer axis, σ along the shorter one, and the longer one's angle."""
    return parameters["sigma"], parameters["sigma"] * parameters["ratio"], parameters["angle"]
