"""What every distortion g(I_c, d) can do: draw its parameters, and apply them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import ClassVar

import torch
from torch import Tensor

Parameters = dict[str, Tensor]
"""One draw for n images: tensors by name whose first dimension is n. All that a replay needs."""

Range = float | tuple[float, float]
"""A value, or a range [low, high] that is drawn evenly, one value an image."""


class Distortion(ABC):
    """A distortion type with its degrees, as a frozen dataclass of values or ranges.

    Sampling stands apart from applying, so that a draw can be logged, replayed, and given to other content.
    A random field (noise, streaks) is held as one seed an image: a batch of n equals n singles, on any device.

    Attributes:
        degree_unit: what `degree` is and its unit, as the axis of a chart says it: `radius of the disc, pixels`. Empty
            where the degree is words, or is not described.
    """

    degree_unit: ClassVar[str] = ""

    @abstractmethod
    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw parameters for n images."""

    @abstractmethod
    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Distort float (n, C, H, W) in [0, 1] by parameters for n images; same device and dtype.

        The shape is kept, unless `scale` is above 1: then height and width are divided by it.
        """

    @property
    @abstractmethod
    def degree(self) -> Range | str:
        """How strong: a number or a range of numbers where there is one, else words.

        The x axis of a severity curve, and what the check for leaks compares (see `spans`).
        """

    @property
    def family(self) -> Hashable:
        """What makes two distortions one type, so that their spans can be compared for leaks."""
        return type(self)

    @property
    def spans(self) -> tuple[Range | str, ...]:
        """What is compared within a family, as many in all of it: the degree, or all the ranges that it sums up."""
        return (self.degree,)

    @property
    def alternatives(self) -> list[tuple[Distortion, ...]]:
        """What an image may get: each of them single distortions, in the order in which they are applied."""
        return [(self,)]

    def overlaps(self, other: Distortion) -> bool:
        """Whether both could draw one and the same degree: an unseen one that does is a leak."""
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
        """By how much the distorted image is smaller than the clean one, in height and in width."""
        return 1


def ends(value: Range) -> tuple[float, float]:
    """The lowest and the highest value."""
    return value if isinstance(value, tuple) else (value, value)


def meet(one: Range | str, other: Range | str) -> bool:
    """Whether two ranges share a value; words are only met by the same words."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    (low, high), (lowest, highest) = ends(one), ends(other)
    return low <= highest and high >= lowest


def require_within(name: str, value: Range, lowest: float, highest: float) -> None:
    """Raises ValueError unless `lowest` <= low <= high <= `highest`; NaN is refused as well."""
    low, high = ends(value)
    if not lowest <= low <= high <= highest:
        raise ValueError(f"{name} {value} is not within {lowest:g} to {highest:g}, low before high")


def degree_in_words(degree: Range | str) -> str:
    """A degree as a table shows it: `30`, `5-50`, or the words it is."""
    if isinstance(degree, str):
        return degree
    return "{:g}-{:g}".format(*degree) if isinstance(degree, tuple) else f"{degree:g}"


def sample_range(value: Range, generator: torch.Generator, n: int) -> Tensor:
    """n float64 draws: the value itself, or uniform in the closed range. Shape (n,)."""
    low, high = ends(value)
    return low + (high - low) * torch.rand(n, generator=generator, dtype=torch.float64)


def sample_seeds(generator: torch.Generator, n: int) -> Tensor:
    """One seed an image, int64 (n,)."""
    return torch.randint(2**63 - 1, (n,), generator=generator, dtype=torch.int64)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """(n,) parameters as (n, 1, 1, 1), of the device and dtype of the images `like`."""
    return values.to(like).view(-1, 1, 1, 1)


def normal_fields(seeds: Tensor, like: Tensor) -> Tensor:
    """Standard normal noise of the shape of `like` (n, C, H, W), image i from seeds[i] alone.

    Drawn on the CPU in float32 whatever the device, so that a seed means the same noise everywhere.
    """
    fields = torch.stack(
        [torch.randn(like.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    )
    return fields.to(like)


def uniform_fields(seeds: Tensor, like: Tensor) -> Tensor:
    """As `normal_fields`, evenly drawn from [0, 1)."""
    fields = torch.stack(
        [torch.rand(like.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    )
    return fields.to(like)


def power(base: Tensor, exponent: Tensor | float) -> Tensor:
    """base ** exponent for bases of at least 0. The last bit of torch's own depends on a number's place in memory."""
    return torch.exp(exponent * torch.log(base))
