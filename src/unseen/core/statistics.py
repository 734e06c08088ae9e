"""Confidence in a mean difference: a paired bootstrap over images and seeds, and Holm's correction for many tests."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000

CONFIDENCE = 0.95

K = TypeVar("K")


@dataclass(frozen=True)
class Resampled:
    """A mean difference, its 95 % interval, and its p-value.

    Attributes:
        mean: the mean difference.
        low: the lower end of the interval; nan for a single number, from which nothing can be drawn again.
        high: the upper end of the interval; nan likewise.
        p: the two-sided p-value of the hypothesis that there is no difference; nan likewise.
    """

    mean: float
    low: float
    high: float
    p: float


def paired_bootstrap(
    differences: NDArray[np.float64],
    sets: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Resampled:
    """Estimate how the mean of paired differences varies with other images and other seeds.

    Every seed meets every image, so that the numbers are not independent. A draw is the mean over images drawn again
    with replacement (the ordinary bootstrap), plus an independently drawn contribution of other seeds. Two to five
    seeds are too few to be drawn again: where mainly the seeds differ, percentiles over seeds and images both drawn
    again (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007) contain the true mean in 62, 77 and
    85 % of simulated studies of 2, 3 and 5 seeds and 16 images, instead of 95 % (python benchmarks/coverage.py). So the
    contribution of the seeds is drawn from Student's t: s/√S · t(S − 1), with S seeds, and s the standard deviation of
    their means. The interval then contains the true mean in 94 to 98 % of such studies, and in more where neither seeds
    nor images differ systematically. With one seed only the images are drawn again.

    The ends of the interval are percentiles; p is twice the smaller share of draws on either side of zero, (count + 1)
    / (draws + 1) (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 4.2). Equal arguments
    give equal numbers.

    Args:
        differences: (seeds, images), finite.
        sets: the data set of each image; every set keeps its number of images in a draw. None: all are of one set.
        resamples: the number of draws.
        seed: the seed of the draws.

    Raises:
        ValueError: for differences that are not finite, not of two dimensions, or none at all.
    """
    if differences.ndim != 2 or not differences.size or not np.isfinite(differences).all():
        raise ValueError(f"differences {differences.shape}: not a filled table (seeds, images) of finite numbers")
    seeds, images = differences.shape
    mean = float(differences.mean())
    if seeds * images == 1:
        return Resampled(mean, math.nan, math.nan, math.nan)
    draws = _other_images(tuple(sets or [0] * images), resamples, seed) @ differences.mean(axis=0)
    if seeds > 1:
        draws += _other_seeds(seeds, resamples, seed) * differences.mean(axis=1).std(ddof=1) / math.sqrt(seeds)
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    smaller = min(np.count_nonzero(draws <= 0), np.count_nonzero(draws >= 0))
    return Resampled(mean, float(low), float(high), min(1.0, 2 * (smaller + 1) / (resamples + 1)))


# The methods of a study are measured with the same seeds on the same images, and share these draws.
@lru_cache(maxsize=8)
def _other_images(sets: tuple[Hashable, ...], resamples: int, seed: int) -> NDArray[np.float64]:
    """The share of each image among the images drawn, (resamples, images)."""
    generator = np.random.default_rng([seed, 0])
    shares = np.empty((resamples, len(sets)))
    for name in dict.fromkeys(sets):
        (members,) = np.nonzero([other == name for other in sets])
        n = len(members)
        shares[:, members] = generator.multinomial(n, [1 / n] * n, size=resamples) / len(sets)
    return shares


@lru_cache(maxsize=8)
def _other_seeds(seeds: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Quantiles of Student's t(seeds - 1), (resamples,), in random order, evenly spaced to include the tails."""
    from scipy.special import stdtrit  # slow to import, and only tables need it

    probabilities = (np.arange(resamples) + 0.5) / resamples
    quantiles: NDArray[np.float64] = stdtrit(seeds - 1, probabilities)
    return np.random.default_rng([seed, 1]).permutation(quantiles)


def holm(p: Mapping[K, float]) -> dict[K, float]:
    """Correct p-values for their number, so that the chance of any false discovery among them stays below the level.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979:
    the smallest of m p-values is multiplied by m, the next by m - 1, and so on; no result is below that of a smaller
    p-value, or above 1.
    """
    corrected: dict[K, float] = {}
    least = 0.0
    for i, (name, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        least = max(least, min(1.0, (len(p) - i) * value))
        corrected[name] = least
    return {name: corrected[name] for name in p}


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and the half-width of its 95 % interval.

    Attributes:
        mean: the mean; nan if there are no numbers.
        spread: the half-width (Student's t, seeds - 1 degrees of freedom); None if it does not exist, for one seed or a
            mean that is not finite.
    """

    mean: float
    spread: float | None = None


def estimate(by_seed: Sequence[float] | NDArray[np.float64]) -> Estimate:
    """Estimate the mean from one number a seed."""
    from scipy.special import stdtrit  # slow to import, and only tables need it

    values = np.asarray(by_seed, dtype=np.float64)
    mean = float(values.mean()) if len(values) else math.nan
    if len(values) < 2 or not np.isfinite(values).all():
        return Estimate(mean)
    quantile = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
    return Estimate(mean, quantile * float(values.std(ddof=1)) / math.sqrt(len(values)))
