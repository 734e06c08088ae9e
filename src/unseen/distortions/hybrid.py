"""The hybrid distortion of RL-Restore: blur, noise and JPEG, whose strengths together make a severity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal, get_args

import torch
from torch import Tensor

from .blur import GaussianBlur
from .composition import Sequence
from .compression import JPEG
from .distortion import Distortion, Parameters
from .noise import GaussianNoise

Severity = Literal["mild", "moderate", "severe"]
Dominant = Literal["any", "blur", "noise", "jpeg"]
Bins = tuple[int, int, int]
"""The bins of blur, noise and JPEG, each 1 (weakest) to 10."""

SEVERITIES: dict[Severity, range] = {"mild": range(9, 12), "moderate": range(12, 18), "severe": range(18, 21)}
BLUR_STEP, NOISE_STEP = 0.5, 5.0  # widths of a bin of σ: of the kernel in pixels, of the noise in gray levels
# Edges of the bins of JPEG quality, in whole numbers: bin n is from edge n + 1 up to, but without, edge n.
QUALITY_EDGES = (101, 80, 60, 50, 40, 35, 30, 25, 20, 15, 10)
BLUR_NOISE_JPEG = Sequence(
    (GaussianBlur((0.0, 5.0), size=21, border="replicate"), GaussianNoise((0.0, 50.0)), JPEG((10, 100)))
)


@dataclass(frozen=True)
class Hybrid(Distortion):
    """Gaussian blur, noise and JPEG, mild, moderate or severe together (Yu et al. 2018, RL-Restore, section 4.1).

    Blur σ lies in one of ten bins from 0 to 5 (kernel 21×21, border replicated), noise σ in one of ten bins from 0 to
    50 (clipped to [0, 1]), JPEG quality in one of ten bins from 100 to 10. With k, m, n the three bins, 1 the weakest,
    the severity is k + m + n - 2: mild 9 to 11, moderate 12 to 17, severe 18 to 20. A triple of bins is drawn evenly
    from those of the class, then each value evenly from its bin, qualities as whole numbers.

    Attributes:
        severity: the class.
        dominant: `any`, or keep only triples in which this one of the three is in the highest bin, so that a class can
            be several confounders (ours; the source has whole classes). Of two in the same bin, blur comes before
            noise, noise before JPEG, JPEG before blur: the three shares of a class are equally large and have no triple
            in common, and only the triple of three equal bins is in none of them.

    Raises:
        ValueError: for other words.
    """

    severity: Severity
    dominant: Dominant = "any"

    def __post_init__(self) -> None:
        for name, value, words in (("severity", self.severity, Severity), ("dominant", self.dominant, Dominant)):
            if value not in get_args(words):
                raise ValueError(f"{name} {value!r} is none of {', '.join(get_args(words))}")

    @property
    def degree(self) -> str:
        """The severity, and the dominant distortion if any."""
        return self.severity if self.dominant == "any" else f"{self.severity}, {self.dominant} dominant"

    @property
    def classes(self) -> frozenset[Bins]:
        """The triples of bins that the distortion draws from.

        Two hybrids with a triple in common overlap, whatever the words of their degrees.
        """
        return frozenset(_triples(self.severity, self.dominant))

    def overlaps(self, other: Distortion) -> bool:
        """Return whether both have a triple in common: a class overlaps every share of the class."""
        return isinstance(other, Hybrid) and not self.classes.isdisjoint(other.classes)

    def sample(self, generator: torch.Generator, n: int) -> Parameters:
        """Draw the parameters of blur, noise and JPEG, named as in their sequence.

        Such as `0.sigma`, `1.sigma` and `2.quality`.
        """
        triples = torch.tensor(_triples(self.severity, self.dominant))
        blur, noise, jpeg = (triples[torch.randint(len(triples), (n,), generator=generator)] - 1).unbind(dim=1)
        within = torch.rand(3, n, generator=generator, dtype=torch.float64)
        edges = torch.tensor(QUALITY_EDGES)
        weakest, strongest = edges[jpeg], edges[jpeg + 1]
        return BLUR_NOISE_JPEG.sample(generator, n) | {
            "0.sigma": BLUR_STEP * (blur + within[0]),
            "1.sigma": NOISE_STEP * (noise + within[1]),
            "2.quality": (strongest + (weakest - strongest) * within[2]).long(),
        }

    def apply(self, clean: Tensor, parameters: Parameters) -> Tensor:
        """Blur, add noise, and compress."""
        return BLUR_NOISE_JPEG.apply(clean, parameters)


@cache
def _triples(severity: Severity, dominant: Dominant) -> tuple[Bins, ...]:
    """List all triples of a severity class, or only those in which one distortion dominates."""
    bins = range(1, 11)
    inside = [t for t in product(bins, bins, bins) if sum(t) - 2 in SEVERITIES[severity]]
    if dominant == "any":
        return tuple(inside)
    i = ("blur", "noise", "jpeg").index(dominant)
    return tuple(t for t in inside if t[i] >= t[(i + 1) % 3] and t[i] > t[i - 1])
