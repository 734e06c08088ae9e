"""Ranges that settings are drawn from where they are tuned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class LogUniform:
    """Values from `low` to `high`, both above zero, evenly over their logarithm: for rates and weights of penalties."""

    low: float
    high: float

    def draw(self, generator: torch.Generator) -> float:
        """One value."""
        share = float(torch.rand((), generator=generator, dtype=torch.float64))
        return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))


@dataclass(frozen=True)
class Uniform:
    """Values from `low` to `high`, evenly: for shares and probabilities."""

    low: float
    high: float

    def draw(self, generator: torch.Generator) -> float:
        """One value."""
        return self.low + float(torch.rand((), generator=generator, dtype=torch.float64)) * (self.high - self.low)


SearchRange = LogUniform | Uniform
