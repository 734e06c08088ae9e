"""Ranges from which tuning draws the settings of methods."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class LogUniform:
    """A range with values drawn evenly over their logarithm: for rates and weights of penalties.

    Attributes:
        low: the lower end, above zero.
        high: the upper end, above zero.
    """

    low: float
    high: float

    def draw(self, generator: torch.Generator) -> float:
        """Draw one value."""
        share = float(torch.rand((), generator=generator, dtype=torch.float64))
        return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))


@dataclass(frozen=True)
class Uniform:
    """A range with values drawn evenly: for shares and probabilities.

    Attributes:
        low: the lower end.
        high: the upper end.
    """

    low: float
    high: float

    def draw(self, generator: torch.Generator) -> float:
        """Draw one value."""
        return self.low + float(torch.rand((), generator=generator, dtype=torch.float64)) * (self.high - self.low)


SearchRange = LogUniform | Uniform
"""A range that `--tune` draws a setting from."""
