"""Noise that is added, multiplied or put in place of pixels, by formula. For the noise of cameras see camera.py."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import reduce
from typing import ClassVar, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from .distortion import (
    Distortion,
    Parameters,
    Range,
    Spread,
    degree_in_words,
    ends,
    normal_fields,
    per_image,
    require_logarithm,
    require_within,
    sample_log_range,
    sample_range,
    sample_seeds,
    uniform_fields,
)


@dataclass(frozen=True)
class _NoiseBySigma(Distortion):
    """Base of three kinds of noise with a σ; each kind defines of which quantity σ is the standard deviation.

    Attributes:
        sigma: σ, 0 to 255, or a range [low, high], one value per image.
        clip: keep the result in [0, 1].
        spread: how a range of `sigma` is drawn: `even`, or `log`, for which the range starts above 0.
    """

    sigma: Range
    clip: bool = True
    spread: Spread = field(default="even", kw_only=True)

    gray = False  # no field: a setting of the kinds that can be gray

    def __post_init__(self) -> None:
        require_within("sigma", self.sigma, 0, 255)
        if self.spread not in get_args(Spread):
            raise ValueError(f"spread {self.spread!r} is none of {', '.join(get_args(Spread))}")
        if self.spread == "log":
            require_logarithm("sigma", self.sigma)

    @property
    def degree(self) -> Range | str:
        """σ in gray levels of 255, followed by the word gray where all channels have the same noise."""
        return f"{degree_in_words(self.sigma)}, gray" if self.gray else self.sigma

    @property
    def spans(self) -> tuple[Range | str, ...]:
        """σ: gray images have no other noise than gray noise, so that both are compared."""
        return (self.sigma,)

    @property
    def on_device(self) -> bool:
        """True: all is tensor operations."""
        return True

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw σ and the seed of the noise for each image: `sigma`, `seed`."""
        sample = sample_log_range if self.spread == "log" else sample_range
        return {"sigma": sample(self.sigma, generator, n), "seed": sample_seeds(generator, n)}


@dataclass(frozen=True)
class GaussianNoise(_NoiseBySigma):
    """Additive white Gaussian noise, independent in every pixel and channel, by σ in gray levels of 255.

    Attributes:
        sigma: standard deviation, 0 to 255, or a range [low, high] drawn by `spread`, one value per image.
        clip: keep the result in [0, 1], as the DIL benchmark does (Li et al. 2023). Clipped and unclipped are different
            benchmarks: clipping moves the mean of dark and bright areas.
        gray: one field, the same in all channels.
        spread: how σ is drawn from its range: `even`, or `log`, evenly in its logarithm; then it starts above 0.

    Raises:
        ValueError: for a σ outside 0 to 255 and for an empty range.
    """

    degree_unit: ClassVar[str] = "standard deviation σ, gray levels of 255"

    gray: bool = False

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Add σ times a standard normal field to each image."""
        noise = normal_fields(parameters["seed"], clean[:, :1] if self.gray else clean, parameters["sigma"] / 255)
        return _clipped(clean + noise if self.gray else noise.add_(clean), self.clip)


@dataclass(frozen=True)
class PoissonNoise(Distortion):
    """Photon noise, y = Poisson(photons · x) / photons in every pixel and channel (Foi et al. 2008).

    The mean of y is x and its variance x / photons: the fewer photons, the stronger.

    Attributes:
        photons: expected count at white (x = 1), 1 to 1e6, or a range [low, high] drawn evenly, one value per image.
        clip: keep the result in [0, 1]; this darkens bright areas, since counts above white are lost.
        gray: draw noise for the BT.601 luma alone, and add its deviation from the luma to all channels: the colour
            differences stay clean, and the noise is Poisson's in the luma only.

    Raises:
        ValueError: for photons outside 1 to 1e6 and for an empty range.
    """

    degree_unit: ClassVar[str] = "photons at white (fewer are stronger)"

    photons: Range
    clip: bool = True
    gray: bool = False

    def __post_init__(self) -> None:
        require_within("photons", self.photons, 1, 1e6)

    @property
    def degree(self) -> Range:
        """The photons at white: the fewer, the stronger."""
        return self.photons

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw photons and the seed of the noise for each image: `photons`, `seed`."""
        return {"photons": sample_range(self.photons, generator, n), "seed": sample_seeds(generator, n)}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Add photon noise to each image."""
        light = luma(clean) if self.gray else clean
        return _clipped(clean + _photon_noise(light, parameters["photons"], parameters["seed"]), self.clip)


@dataclass(frozen=True)
class ScaledPoissonNoise(Distortion):
    """Real-ESRGAN's "Poisson noise": photon noise of a count set by the content, scaled (Wang et al. 2021).

    Unlike PoissonNoise, it has no fixed photon count. As in the BasicSR code behind the paper,
    the image is rounded to 8 bits; the number of distinct levels in it (all channels together), rounded up to a power
    of two, is taken for the photon count at white; and `strength` times the deviation (counts / photons - image) is
    added. The variance is strength² · x / photons. A flat gray gets one photon at white, most photographs 256: the same
    strength is another noise level in a patch than in its photograph.

    Attributes:
        strength: BasicSR's "scale", 0 to 100, or a range [low, high] drawn evenly, one value per image. Real-ESRGAN has
            [0.05, 3] in its first and [0.05, 2.5] in its second pass.
        clip: keep the result in [0, 1].
        gray: draw the noise for the BT.601 luma alone, and add its deviation to all channels.

    Raises:
        ValueError: for a strength outside 0 to 100 and for an empty range.
    """

    degree_unit: ClassVar[str] = "strength"

    strength: Range
    clip: bool = True
    gray: bool = False

    def __post_init__(self) -> None:
        require_within("strength", self.strength, 0, 100)

    @property
    def degree(self) -> Range:
        """The strength."""
        return self.strength

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw strength and the seed of the noise for each image: `strength`, `seed`."""
        return {"strength": sample_range(self.strength, generator, n), "seed": sample_seeds(generator, n)}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Add scaled photon noise to each image."""
        levels = ((luma(clean) if self.gray else clean) * 255).round().clamp(0, 255)
        present = torch.zeros(len(levels), 256, device=levels.device).scatter(1, levels.long().flatten(1), 1)
        photons = 2 ** present.sum(dim=1).double().log2().ceil()
        noise = _photon_noise(levels / 255, photons.cpu(), parameters["seed"])
        return _clipped(clean + per_image(parameters["strength"], clean) * noise, self.clip)


@dataclass(frozen=True)
class SpeckleNoise(_NoiseBySigma):
    """Multiplicative Gaussian noise, y = x + x·n, independent in every pixel and channel (Zhang et al. 2021, BSRGAN).

    Attributes:
        sigma: standard deviation of n in gray levels of 255, which is that of the noise on white: 25 is a relative σ of
            25/255. 0 to 255, or a range [low, high] drawn by `spread`, one value per image. (MATLAB's imnoise takes the
            variance of n, and draws n evenly instead of Gaussian.)
        clip: keep the result in [0, 1]; this darkens bright areas.
        spread: as in `GaussianNoise`.

    Raises:
        ValueError: for a σ outside 0 to 255 and for an empty range.
    """

    degree_unit: ClassVar[str] = "standard deviation σ at white, gray levels of 255"

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Add noise in proportion to each pixel."""
        sigma = per_image(parameters["sigma"] / 255, clean)
        return _clipped((clean * sigma).mul_(normal_fields(parameters["seed"], clean)).add_(clean), self.clip)


@dataclass(frozen=True)
class SaltAndPepper(Distortion):
    """Pixels turned white or black, each with probability share / 2 (Gonzalez & Woods 2018, section 5.2).

    All channels of a pixel are turned together. MATLAB's imnoise and scikit-image's random_noise turn every channel by
    itself.

    Attributes:
        share: probability that a pixel is lost, 0 to 1, or a range [low, high] drawn evenly, one value per image.

    Raises:
        ValueError: for a share outside 0 to 1 and for an empty range.
    """

    degree_unit: ClassVar[str] = "share of pixels lost"

    share: Range

    def __post_init__(self) -> None:
        require_within("share", self.share, 0, 1)

    @property
    def degree(self) -> Range:
        """The share of pixels lost."""
        return self.share

    @property
    def on_device(self) -> bool:
        """True: all is tensor operations."""
        return True

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw share and the seed of the pixels for each image: `share`, `seed`."""
        return {"share": sample_range(self.share, generator, n), "seed": sample_seeds(generator, n)}

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Turn pixels black or white."""
        half = per_image(parameters["share"] / 2, clean)
        chance = uniform_fields(parameters["seed"], clean[:, :1])  # one a pixel
        return clean.masked_fill(chance < half, 0).masked_fill(chance >= 1 - half, 1)


@dataclass(frozen=True)
class CorrelatedNoise(_NoiseBySigma):
    """Gaussian noise smoothed by a 3×3 box (after Cheng et al. 2024, CLIPDenoising), or by a Gaussian of any width.

    Independent in every channel, but for `gray`. Under the box, two pixels dy rows and dx columns apart correlate by
    (1 - |dy|/3)(1 - |dx|/3), and not at all from three on; under a Gaussian of deviation b, by about
    exp(-(dy² + dx²) / 4b²). Stationary up to the edge: the white noise is drawn wider on every side.

    Attributes:
        sigma: standard deviation of the result in gray levels of 255, 0 to 255, or a range [low, high] drawn by
            `spread`, one value per image. Cheng et al. state σ of the white noise before the box, three times as much:
            their 40, 45, 50 and 55 are 13.3, 15, 16.7 and 18.3 here.
        clip: keep the result in [0, 1]; Cheng et al. do not clip.
        blur: standard deviation of the Gaussian in pixels, up to 10, or a range that starts above 0, drawn evenly, one
            value per image; 0 is the box.
        gray: one field, the same in all channels.
        spread: as in `GaussianNoise`.

    Raises:
        ValueError: for a σ outside 0 to 255, a blur outside 0 to 10, an empty range, and a range of blur from 0.
    """

    degree_unit: ClassVar[str] = "standard deviation σ, gray levels of 255"

    blur: Range = 0
    gray: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within("blur", self.blur, 0, 10)
        low, high = ends(self.blur)
        if low == 0 < high:
            raise ValueError(f"blur {self.blur} has to start above 0, which stands for the box")

    @property
    def spans(self) -> tuple[Range | str, ...]:
        """σ and blur."""
        return self.sigma, self.blur

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw σ, the seed of the noise and, where it is no box, the blur for each image: `sigma`, `seed`, `blur`."""
        blur = {"blur": sample_range(self.blur, generator, n)} if self.blur != 0 else {}
        return super().sample(generator, n) | blur

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Add smoothed noise to each image."""
        like = clean[:, :1] if self.gray else clean
        if self.blur != 0:
            noise = smoothed_noise(parameters["seed"], like, parameters["blur"], ends(self.blur)[1])
        else:
            noise = _noise_under_box(parameters["seed"], like)
        return _clipped(clean + per_image(parameters["sigma"] / 255, clean) * noise, self.clip)


def _noise_under_box(seeds: Tensor, like: Tensor) -> Tensor:
    """Draw normal noise smoothed by a 3×3 box, of deviation 1, of the shape of `like`."""
    white = normal_fields(seeds, _wider(like, 1))
    return 3 * F.avg_pool2d(white, 3, stride=1)  # a mean of nine has a third of the standard deviation


def smoothed_noise(seeds: Tensor, like: Tensor, blur: Tensor, widest: float) -> Tensor:
    """Draw normal noise smoothed by a Gaussian, of deviation 1 up to the edge, of the shape of `like` (n, C, H, W).

    Computed as sums of shifted images, whose rounding does not depend on the size of the batch.

    Args:
        seeds: a seed or a Philox key for each image.
        like: the images to draw noise for.
        blur: standard deviations of the Gaussians in pixels, (n,).
        widest: the largest of these that could be drawn; the Gaussians are cut off at three times as much.
    """
    height, width = like.shape[-2:]
    radius = math.ceil(3 * widest)
    white = normal_fields(seeds, _wider(like, radius))
    distances = torch.arange(-radius, radius + 1, device=blur.device)
    weights = torch.exp(-((distances / blur[:, None]) ** 2) / 2)
    weights = weights / (weights**2).sum(dim=1, keepdim=True).sqrt()
    taps = [per_image(weight, white) for weight in weights.unbind(dim=1)]
    rows = reduce(Tensor.add_, [tap * white[..., i : i + height, :] for i, tap in enumerate(taps)])
    return reduce(Tensor.add_, [tap * rows[..., i : i + width] for i, tap in enumerate(taps)])


def _wider(images: Tensor, margin: int) -> Tensor:
    """Return an empty tensor like the images, wider by a margin on every side."""
    n, channels, height, width = images.shape
    return images.new_empty(n, channels, height + 2 * margin, width + 2 * margin)


def _clipped(images: Tensor, clip: bool) -> Tensor:
    """Clip images to [0, 1], if `clip` says so, in place."""
    return images.clamp_(0, 1) if clip else images


def luma(images: Tensor) -> Tensor:
    """Compute the BT.601 luma of RGB (n, 3, H, W), as (n, 1, H, W); gray images are returned as they are."""
    if images.shape[1] == 1:
        return images
    return (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def _photon_noise(light: Tensor, photons: Tensor, seeds: Tensor) -> Tensor:
    """Draw Poisson(photons · light) / photons - light for (n, C, H, W), image i from seeds[i] alone; no light below 0.

    Counted on the CPU in float64 whatever the device and dtype.
    """
    noise, draws = torch.empty_like(light, device="cpu"), torch.Generator()
    for own, image, count, seed in zip(noise, light.cpu(), photons.tolist(), seeds.tolist(), strict=True):
        signal = image.double().clamp(min=0)
        own.copy_(torch.poisson(signal * count, generator=draws.manual_seed(seed)).div_(count).sub_(signal))
    return noise.to(light.device)
