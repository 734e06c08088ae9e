"""What every distortion g(I_c, d) can do: draw its parameters, and apply them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

Parameters = dict[str, Tensor]
"""One draw for n images: tensors by name whose first dimension is n. All that a replay needs."""


class Distortion(ABC):
    """A distortion type with its degrees, as a frozen dataclass of values or ranges.

    Sampling stands apart from applying, so that a draw can be logged, replayed, and given to other content.
    A random field (noise, streaks) is held as one seed an image: a batch of n equals n singles, on any device.
    """

    @abstractmethod
    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw parameters for n images."""

    @abstractmethod
    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Distort float (n, C, H, W) in [0, 1] by parameters for n images; same shape, device and dtype."""

    @property
    @abstractmethod
    def degree(self) -> float | tuple[float, float] | str:
        """How strong: a number or a range of numbers where there is one, else words.

        The x axis of a severity curve, and what the check for leaks compares.
        """


def sample_range(value: float | tuple[float, float], generator: torch.Generator, n: int) -> Tensor:
    """n float64 draws: the value itself, or uniform in the closed range. Shape (n,)."""
    low, high = value if isinstance(value, tuple) else (value, value)
    return low + (high - low) * torch.rand(n, generator=generator, dtype=torch.float64)


def sample_seeds(generator: torch.Generator, n: int) -> Tensor:
    """One seed an image, int64 (n,)."""
    return torch.randint(2**63 - 1, (n,), generator=generator, dtype=torch.int64)


def normal_fields(seeds: Tensor, like: Tensor) -> Tensor:
    """Standard normal noise of the shape of `like` (n, C, H, W), image i from seeds[i] alone.

    Drawn on the CPU in float32 whatever the device, so that a seed means the same noise everywhere.
    """
    fields = torch.stack(
        [torch.randn(like.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    )
    return fields.to(like)
