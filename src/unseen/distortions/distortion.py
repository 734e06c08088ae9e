"""The interface of every distortion g(I_c, d): draw parameters, apply them; and helpers to write a distortion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .philox import philox_fields

Parameters = dict[str, Tensor]
"""One draw for n images: tensors by name, each with n as its first dimension. A replay needs nothing else."""

Range = float | tuple[float, float]
"""A value, or a range [low, high] that is drawn evenly, one value per image."""


Spread = Literal["even", "log"]
"""How values of a range are drawn: evenly, or evenly in their logarithm, so that each doubling is as frequent."""


class Distortion(ABC):
    """A distortion type with its settings, as a frozen dataclass of values or ranges.

    Sampling stands apart from applying, so that a draw can be logged, replayed, and given to other images. A random
    field (noise, streaks) is held as one seed per image: a batch of n images equals n single images, on any device.

    Attributes:
        degree_unit: quantity and unit of `degree`, as the label of a chart's axis: `radius of the disc, pixels`. Empty
            where the degree is words, or where no label is set.
    """

    degree_unit: ClassVar[str] = ""

    @property
    def on_device(self) -> bool:
        """Whether `apply` is made of operations on the images' own device alone, whatever the parameters' values.

        Such a distortion takes its seeds as Philox keys too (`philox.keys_of`), and a graph can capture it.
        """
        return False

    @abstractmethod
    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw parameters for n images.

        Args:
            generator: the only source of randomness.
            n: number of images.

        Returns:
            Tensors by name, each with n as its first dimension.
        """

    @abstractmethod
    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Distort images by drawn parameters.

        Args:
            clean: float (n, C, H, W) in [0, 1].
            parameters: a draw of `sample` for n images.

        Returns:
            Images of the same device and dtype. The shape is kept, unless `scale` is above 1: then height and width are
            divided by `scale`.
        """

    @property
    @abstractmethod
    def degree(self) -> Range | str:
        """The strength of the distortion: a number or a range of numbers where one describes it, else words.

        It is the x axis of a severity curve, and the check for leaks compares it (see `spans`).
        """

    @property
    def family(self) -> Hashable:
        """The key of the distortion's type: only distortions of equal keys have their spans compared for leaks."""
        return type(self)

    @property
    def spans(self) -> tuple[Range | str, ...]:
        """The ranges that the check for leaks compares, in a fixed order and number within a family.

        The degree alone, or all the settings that the degree summarises.
        """
        return (self.degree,)

    @property
    def alternatives(self) -> list[tuple[Distortion, ...]]:
        """All distortions that one image may get: each a chain of single ones, in the order of their application."""
        return [(self,)]

    def overlaps(self, other: Distortion) -> bool:
        """Return whether both distortions could draw one and the same degree.

        An unseen distortion that overlaps a seen one is a leak.
        """
        mine, others = self.alternatives, other.alternatives
        if mine == [(self,)] and others == [(other,)]:
            return self.family == other.family and all(map(meet, self.spans, other.spans))
        return any(
            len(one) == len(two) and all(a.overlaps(b) for a, b in zip(one, two, strict=True))
            for one in mine
            for two in others
        )

    @property
    def scale(self) -> int:
        """Factor by which the distorted image is smaller than the clean one, in height and in width."""
        return 1


def ends(value: Range) -> tuple[float, float]:
    """Return the lowest and the highest value of a range."""
    return value if isinstance(value, tuple) else (value, value)


def meet(one: Range | str, other: Range | str) -> bool:
    """Return whether two ranges share a value; words meet only the same words."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    (low, high), (lowest, highest) = ends(one), ends(other)
    return low <= highest and high >= lowest


def require_within(name: str, value: Range, lowest: float, highest: float) -> None:
    """Check that a setting lies within its bounds.

    Args:
        name: the setting, for the message.
        value: a value or a range [low, high].
        lowest: smallest value allowed.
        highest: largest value allowed.

    Raises:
        ValueError: unless `lowest` <= low <= high <= `highest`; NaN is refused as well.
    """
    low, high = ends(value)
    if not lowest <= low <= high <= highest:
        raise ValueError(f"{name} {value} is not within {lowest:g} to {highest:g}, low before high")


def degree_in_words(degree: Range | str) -> str:
    """Format a degree as a table shows it: `30`, `5-50`, or the words that it is."""
    if isinstance(degree, str):
        return degree
    return "{:g}-{:g}".format(*degree) if isinstance(degree, tuple) else f"{degree:g}"


def sample_range(value: Range, generator: torch.Generator, n: int) -> Tensor:
    """Draw n float64 numbers of shape (n,), uniform in the closed range; a single value is repeated."""
    low, high = ends(value)
    return low + (high - low) * torch.rand(n, generator=generator, dtype=torch.float64)


def sample_log_range(value: Range, generator: torch.Generator, n: int) -> Tensor:
    """Draw n float64 numbers of shape (n,), uniform in the logarithm of a range that starts above 0."""
    low, high = ends(value)
    return low * (high / low if low else 1.0) ** sample_range((0, 1), generator, n)


def require_logarithm(name: str, value: Range) -> None:
    """Check that a setting can be drawn log-uniformly. Raises ValueError for a range that starts at 0."""
    low, high = ends(value)
    if low == 0 < high:
        raise ValueError(f"{name} {value} is drawn log-uniformly and has to start above 0")


def sample_seeds(generator: torch.Generator, n: int) -> Tensor:
    """Draw one seed per image, int64 (n,)."""
    return torch.randint(2**63 - 1, (n,), generator=generator, dtype=torch.int64)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Shape (n,) parameters as (n, 1, 1, 1), on the device and with the dtype of the images `like`."""
    return values.to(like).view(-1, 1, 1, 1)


def normal_fields(seeds: Tensor, like: Tensor, sigma: Tensor | None = None) -> Tensor:
    """Draw normal noise of the shape of `like` (n, C, H, W), image i from seeds[i] alone.

    Seeds, int64 (n,), draw on the CPU in float32 whatever the device, so that a seed means the same noise everywhere.
    Philox keys, int64 (n, 2), draw other noise, on the device of `like`. The result lies in memory as `like` does.

    Args:
        seeds: a seed or a key for each image.
        like: the images to draw noise for.
        sigma: standard deviation of each image's noise, (n,); None is 1 for all.
    """
    if seeds.dim() == 2:
        fields = philox_fields(seeds, like, "normal").to(like.dtype)
        return fields if sigma is None else fields.mul_(per_image(sigma, like))
    deviations = [1.0] * len(seeds) if sigma is None else sigma.float().tolist()
    return _fields(seeds, like, lambda field, i, draws: field.normal_(0, deviations[i], generator=draws))


def uniform_fields(seeds: Tensor, like: Tensor) -> Tensor:
    """Draw noise evenly from [0, 1), of the shape of `like` and by one seed per image, as `normal_fields` does."""
    if seeds.dim() == 2:
        return philox_fields(seeds, like, "uniform").to(like.dtype)
    return _fields(seeds, like, lambda field, i, draws: field.uniform_(generator=draws))


def _fields(seeds: Tensor, like: Tensor, fill: Callable[[Tensor, int, torch.Generator], Tensor]) -> Tensor:
    """Fill field i of the shape of `like` (n, C, H, W), channel by channel, by a generator of seeds[i]."""
    generator, field = torch.Generator(), torch.empty(like.shape[1:])
    fields = torch.empty_like(like, dtype=torch.float32, device="cpu")
    for i, (channels, seed) in enumerate(zip(fields.numpy(), seeds.tolist(), strict=True)):
        fill(field, i, generator.manual_seed(seed))
        for channel, values in zip(channels, field.numpy(), strict=True):  # to channels last, NumPy copies faster
            channel[:] = values
    return fields.to(like)


def power(base: Tensor, exponent: Tensor | float) -> Tensor:
    """Compute base ** exponent for bases of at least 0.

    The last bit of `torch.pow` depends on a number's place in memory; the last bit of this result does not.
    """
    return torch.exp(exponent * torch.log(base))
