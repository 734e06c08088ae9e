"""The degradation model of Real-ESRGAN, which turns a photograph into a small, compressed copy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from .composition import Choice, prefixed, unprefixed
from .compression import JPEG
from .distortion import Distortion, Parameters, sample_range
from .kernels import convolve, gaussian_kernels, generalised_gaussian_kernels, plateau_kernels, sinc_kernels
from .noise import GaussianNoise, ScaledPoissonNoise

NoiseKind = Literal["any", "gaussian", "poisson"]
Strength = Literal["any", "weak", "strong"]

KERNELS = (
    "round Gaussian",
    "elliptic Gaussian",
    "round generalised",
    "elliptic generalised",
    "round plateau",
    "elliptic plateau",
    "sinc",
    "none",
)
KERNEL_SHARES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)  # of the first six, among themselves
SINC_SHARE, FINAL_SINC_SHARE, GRAY_SHARE = 0.1, 0.8, 0.4
KERNEL_PARAMETERS = ("sigma_x", "sigma_y", "theta", "beta", "cutoff")
LARGEST = 21  # pixels of the side of a kernel
RESIZE_MODES = ("area", "bilinear", "bicubic")
CODEC = JPEG((30, 95))


@dataclass(frozen=True)
class Pass:
    """The ranges of one pass of blur, resizing and noise.

    Attributes:
        blurred: share of the images that are blurred.
        sigma: range of the kernels' σ in pixels.
        up: share of the images that are enlarged.
        down: share of the images that are shrunk; the rest keeps its size.
        factors: the smallest and the largest factor of resizing.
        gaussian: range of σ of Gaussian noise, in gray levels of 255.
        poisson: range of the strength of the other noise, see ScaledPoissonNoise.
        kinds: shares of Gaussian and of the other noise.
    """

    blurred: float
    sigma: tuple[float, float]
    up: float
    down: float
    factors: tuple[float, float]
    gaussian: tuple[float, float]
    poisson: tuple[float, float]
    kinds: tuple[float, float] = (0.5, 0.5)

    @property
    def noise(self) -> Choice:
        """Both kinds of noise, each in colour and in gray."""
        gaussian, poisson, hues = self.gaussian, self.poisson, (1 - GRAY_SHARE, GRAY_SHARE)
        return Choice(
            (
                GaussianNoise(gaussian),
                GaussianNoise(gaussian, gray=True),
                ScaledPoissonNoise(poisson),
                ScaledPoissonNoise(poisson, gray=True),
            ),
            tuple(kind * hue for kind, hue in product(self.kinds, hues)),
        )

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw kernel, factor of resizing, noise and JPEG quality for each image."""
        shares = [self.blurred * (1 - SINC_SHARE) * share for share in KERNEL_SHARES]
        shares += [self.blurred * SINC_SHARE, 1 - self.blurred]
        kernel = _pick(shares, generator, n)
        size = _sizes(generator, n)
        turn = _pick([self.up, self.down, 1 - self.up - self.down], generator, n)
        larger = sample_range((1, self.factors[1]), generator, n)
        smaller = sample_range((self.factors[0], 1), generator, n)
        return {
            "kernel": kernel,
            "size": size,
            **_ellipses(self.sigma, kernel % 2 == 0, generator, n),
            "beta": _betas(kernel >= KERNELS.index("round plateau"), generator, n),
            "cutoff": _cutoffs(torch.where(size < 13, 3, 5), generator),
            "factor": torch.where(turn == 0, larger, torch.where(turn == 1, smaller, 1.0)),
            "mode": _modes(generator, n),
            **prefixed("noise", self.noise.sample(generator, n)),
            **CODEC.sample(generator, n),
        }

    def apply(self, images: list[Tensor], full: tuple[int, int], own: Parameters) -> list[Tensor]:
        """Blur each image, resize it, and add noise.

        Args:
            images: (1, C, H, W) each.
            full: height and width that the factors refer to; a result has at least one pixel.
            own: parameters of this pass.
        """
        sizes = [tuple(max(1, int(side * factor)) for side in full) for factor in own["factor"].tolist()]
        noise, choice = self.noise, own["noise.choice"].tolist()
        resized = _resized(_blurred(images, own), sizes, own)
        for i in set(choice):
            drawn = unprefixed(f"noise.{i}", own)
            resized = _together(resized, drawn, noise.parts[i].apply, [pick == i for pick in choice])
        return resized


FIRST_PASS = Pass(1.0, (0.2, 3.0), up=0.2, down=0.7, factors=(0.15, 1.5), gaussian=(1.0, 30.0), poisson=(0.05, 3.0))
SECOND_PASS = Pass(0.8, (0.2, 1.5), up=0.3, down=0.4, factors=(0.3, 1.2), gaussian=(1.0, 25.0), poisson=(0.05, 2.5))


@dataclass(frozen=True)
class RealESRGAN(Distortion):
    """Blur, resizing, noise and JPEG, once or twice over, to a smaller image (Wang et al. 2021, Real-ESRGAN).

    A pass is blur, by a kernel of 7 to 21 pixels from six families or by a sinc, borders mirrored; resizing by area,
    bilinearly or bicubically; Gaussian or "Poisson" noise in colour or gray, clipped; and JPEG. After the last noise,
    JPEG comes before or after the resizing to the final size with its sinc filter, evenly, and the result is rounded to
    8 bits; JPEG takes 8 bits as well, and nothing else is clipped or rounded. Shares and ranges are those of section
    4.1 and of the published configuration. As published, too: resizing does not low-pass (only `area` takes means), so
    that aliasing is among the distortions; factors of the second pass are of the final size; half of the shapes β lie
    below 1, or at 1 where that is the lowest.

    Departures: order 1, for which no configuration was published, has one JPEG, in the end (sections 3.1 and 3.3); JPEG
    is a real codec, at whole qualities; the clean image is not sharpened before.

    Attributes:
        order: number of passes. The first has the wider ranges (`FIRST_PASS`), the other is `SECOND_PASS`.
        scale: factor by which the result is smaller; `apply` raises ValueError for sizes that are no multiples of it.
        noise: kind of noise in the last pass: `any`, or `gaussian` or `poisson` noise alone (ours; not in the source).
        strength: strength of the last pass's noise: `any`, or the `weak` or the `strong` half of its range alone (ours;
            not in the source). The four combinations of noise and strength, evenly drawn, make up `any` and `any`,
            since both kinds are equally frequent: so four confounders of a protocol train on the published mixture.

    Raises:
        ValueError: for settings outside these.
    """

    order: Literal[1, 2]
    scale: int = 4
    noise: NoiseKind = "any"
    strength: Strength = "any"

    def __post_init__(self) -> None:
        settings = (("order", self.order, Literal[1, 2]), ("noise", self.noise, NoiseKind))
        for name, value, allowed in (*settings, ("strength", self.strength, Strength)):
            if value not in get_args(allowed):
                raise ValueError(f"{name} {value!r} is none of {', '.join(map(str, get_args(allowed)))}")
        if not 1 <= self.scale <= 16:
            raise ValueError(f"scale {self.scale} is not a whole number from 1 to 16")

    @property
    def degree(self) -> str:
        """The order, and the noise where it is not any."""
        order = "first order" if self.order == 1 else "second order"
        only = [word for word in (self.strength, self.noise) if word != "any"]
        return f"{order}, {' '.join(only)} noise" if only else order

    @property
    def classes(self) -> frozenset[tuple[int, str, str]]:
        """All triples of order, noise and strength that the distortion draws from; a common triple is an overlap."""
        noises = ("gaussian", "poisson") if self.noise == "any" else (self.noise,)
        strengths = ("weak", "strong") if self.strength == "any" else (self.strength,)
        return frozenset(product((self.order,), noises, strengths))

    def overlaps(self, other: Distortion) -> bool:
        """Return whether both have a triple of `classes` in common: `any` strength overlaps each half."""
        return isinstance(other, RealESRGAN) and not self.classes.isdisjoint(other.classes)

    @property
    def stages(self) -> tuple[Pass, ...]:
        """The passes, the last one with the noise of the settings."""
        *before, last = (FIRST_PASS, SECOND_PASS)[: self.order]
        kinds = {"any": (0.5, 0.5), "gaussian": (1.0, 0.0), "poisson": (0.0, 1.0)}[self.noise]
        gaussian, poisson = (_half(ends, self.strength) for ends in (last.gaussian, last.poisson))
        return *before, replace(last, gaussian=gaussian, poisson=poisson, kinds=kinds)

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw the parameters of each pass, `1.` and `2.`, and of the final resizing, `end.`, for each image."""
        drawn: Parameters = {}
        for i, stage in enumerate(self.stages, start=1):
            drawn |= prefixed(str(i), stage.sample(generator, n))
        end = {
            "mode": _modes(generator, n),
            "filtered": _pick([1 - FINAL_SINC_SHARE, FINAL_SINC_SHARE], generator, n),
            "size": _sizes(generator, n),
            "cutoff": _cutoffs(torch.full((n,), 3), generator),
            "jpeg_first": _pick([0.5, 0.5], generator, n),
        }
        return drawn | prefixed("end", end)

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Distort and shrink each image. Raises ValueError for sizes that are no multiples of `scale`."""
        if clean.shape[2] % self.scale or clean.shape[3] % self.scale:
            raise ValueError(f"{clean.shape[2]}×{clean.shape[3]} pixels do not divide by the scale {self.scale}")
        full, final = clean.shape[2:], (clean.shape[2] // self.scale, clean.shape[3] // self.scale)
        passes = [unprefixed(str(i), parameters) for i in range(1, self.order + 1)]
        images = [clean[i : i + 1] for i in range(len(clean))]  # which differ in size between the passes
        for i, (stage, own) in enumerate(zip(self.stages, passes, strict=True)):
            if i > 0:
                images = _compressed(images, passes[i - 1])
            images = stage.apply(images, final if i > 0 else (full[0], full[1]), own)
        end, jpeg_first = unprefixed("end", parameters), parameters["end.jpeg_first"].tolist()
        images = _compressed(images, passes[-1], jpeg_first)
        images = _resized(images, [final] * len(images), end)
        images = _together(images, end, _low_passed, end["filtered"].tolist())
        images = _compressed(images, passes[-1], [not first for first in jpeg_first])
        return torch.cat(images).mul_(255).round_().clamp_(0, 255).div_(255)


Operation = Callable[[Tensor, Parameters], Tensor]


def _together(images: list[Tensor], own: Parameters, operation: Operation, chosen: Sequence[bool]) -> list[Tensor]:
    """Apply an operation to the chosen images, those of one size together, and leave the others as they are."""
    groups: dict[torch.Size, list[int]] = {}
    for i in (i for i, on in enumerate(chosen) if on):
        groups.setdefault(images[i].shape, []).append(i)
    images = list(images)
    for group in groups.values():
        batch = torch.cat([images[i] for i in group]) if len(group) > 1 else images[group[0]]
        done = operation(batch, {name: values[group] for name, values in own.items()})
        for place, i in enumerate(group):
            images[i] = done[place : place + 1]
    return images


def _compressed(images: list[Tensor], own: Parameters, chosen: Sequence[bool] | None = None) -> list[Tensor]:
    """Code the chosen images, or all."""
    return _together(images, {"quality": own["quality"]}, CODEC.apply, chosen or [True] * len(images))


def _blurred(images: list[Tensor], own: Parameters) -> list[Tensor]:
    """Convolve each image with its kernel, where it has one."""
    families = [KERNELS[i].split()[-1] for i in own["kernel"].tolist()]
    kernels = torch.zeros(len(images), LARGEST, LARGEST, dtype=torch.float64)
    for family in set(families) - {"none"}:
        chosen = [i for i, name in enumerate(families) if name == family]
        kernels[chosen] = _kernels(family, {name: own[name][chosen] for name in KERNEL_PARAMETERS})
    drawn = {"kernel": kernels, "size": own["size"]}
    return _together(images, drawn, _filtered, [family != "none" for family in families])


def _kernels(family: str, own: Parameters) -> Tensor:
    """Make kernels of one family on the largest grid, (n, LARGEST, LARGEST), not yet cut to their sizes."""
    axes = own["sigma_x"], own["sigma_y"], own["theta"]
    if family == "sinc":
        return sinc_kernels(own["cutoff"], LARGEST)
    if family == "Gaussian":
        return gaussian_kernels(*axes, LARGEST)
    shaped = plateau_kernels if family == "plateau" else generalised_gaussian_kernels
    return shaped(*axes, own["beta"], LARGEST)


def _filtered(images: Tensor, own: Parameters) -> Tensor:
    """Convolve images of one size, each with its kernel cut to its own size."""
    side = int(own["size"].max())
    inside = slice((LARGEST - side) // 2, (LARGEST + side) // 2)
    within = (torch.arange(side) - side // 2).abs() <= own["size"][:, None] // 2
    kernels = own["kernel"][:, inside, inside] * within[:, None] * within[:, :, None]
    return convolve(images, kernels / kernels.sum(dim=(1, 2), keepdim=True), "reflect")


def _low_passed(images: Tensor, end: Parameters) -> Tensor:
    return _filtered(images, {"kernel": sinc_kernels(end["cutoff"], LARGEST), "size": end["size"]})


def _resized(images: list[Tensor], sizes: Sequence[tuple[int, ...]], own: Parameters) -> list[Tensor]:
    modes = own["mode"].tolist()
    return [
        F.interpolate(image, size, mode=RESIZE_MODES[mode])
        for image, size, mode in zip(images, sizes, modes, strict=True)
    ]


def _pick(shares: list[float], generator: torch.Generator, n: int) -> Tensor:
    """Draw n positions in a list of shares."""
    return torch.multinomial(torch.tensor(shares, dtype=torch.float64), n, replacement=True, generator=generator)


def _modes(generator: torch.Generator, n: int) -> Tensor:
    return torch.randint(len(RESIZE_MODES), (n,), generator=generator)


def _sizes(generator: torch.Generator, n: int) -> Tensor:
    """Draw odd sizes of kernels, 7 to 21 pixels."""
    return 2 * torch.randint(3, 11, (n,), generator=generator) + 1


def _ellipses(sigma: tuple[float, float], circles: Tensor, generator: torch.Generator, n: int) -> Parameters:
    """Draw both axes independently; the second equals the first where `circles` is set."""
    first, second = (sample_range(sigma, generator, n) for _ in range(2))
    theta = sample_range((-math.pi, math.pi), generator, n)
    return {"sigma_x": first, "sigma_y": torch.where(circles, first, second), "theta": theta}


def _betas(plateau: Tensor, generator: torch.Generator, n: int) -> Tensor:
    """Draw the shape β of each kernel: half of them at most 1, half of them at least 1.

    Generalised Gaussians from [0.5, 1] or from [1, 4], plateaus 1 or from [1, 2], each with probability ½.
    """
    below = 1 - torch.where(plateau, 0.0, 0.5) * torch.rand(n, generator=generator, dtype=torch.float64)
    above = 1 + torch.where(plateau, 1.0, 3.0) * torch.rand(n, generator=generator, dtype=torch.float64)
    return torch.where(_pick([0.5, 0.5], generator, n) == 0, below, above)


def _cutoffs(divisors: Tensor, generator: torch.Generator) -> Tensor:
    """Draw cut-offs from π / divisors, one per image, to π radians per pixel."""
    share = torch.rand(len(divisors), generator=generator, dtype=torch.float64)
    return math.pi * (share + (1 - share) / divisors)


def _half(ends: tuple[float, float], strength: Strength) -> tuple[float, float]:
    """Return the lower or the upper half of a range, or all of it."""
    low, high = ends
    middle = (low + high) / 2
    return {"any": (low, high), "weak": (low, middle), "strong": (middle, high)}[strength]
