"""Ranges that settings are drawn from where they are tuned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class LogUniform:
    """Values between two ends, evenly over their logarithm: for rates and weights of penalties.

    Attributes:
        low: The lower end, above zero.
        high: The upper end, above zero.
    """

    low: float
    high: float

    def draw(self, generator: torch.Generator) -> float:
        """Draw one value."""
        share = float(torch.rand((), generator=generator, dtype=torch.float64))
        return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))


@dataclass(frozen=True)
class Uniform:
    """Values between two ends, evenly: for shares and probabilities.

    Attributes:
        low: The lower end.
        high: The upper end.
    """

    low: float
    high: float

    def draw(self, generator: torch.Generator) -> float:
        """Draw one value."""
        return self.low + float(torch.rand((), generator=generator, dtype=torch.float64)) * (self.high - self.low)


SearchRange = LogUniform | Uniform
"""A range that `--tune` draws a setting from."""
