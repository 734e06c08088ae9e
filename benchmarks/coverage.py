"""How often an interval for a mean difference holds the truth: ours, and seeds and images both drawn again.

    python benchmarks/coverage.py [--studies 1000] [--images 16]

Simulated studies of a true difference of 0: effects of the seed, of the image, and of both together, normal, with the
standard deviations given in each line. An interval that says 95 % should hold 0 in 95 % of them.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from unseen.core.statistics import paired_bootstrap

DEVIATIONS = {"mainly seeds": (1.0, 0.3, 0.3), "mainly images": (0.3, 1.0, 0.3), "neither": (0.0, 0.0, 1.0)}


def simulated(
    draws: np.random.Generator, seeds: int, images: int, deviations: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Differences (seeds, images) of true mean 0."""
    of_seed, of_image, of_both = deviations
    return (
        draws.normal(0, of_seed, (seeds, 1))
        + draws.normal(0, of_image, (1, images))
        + draws.normal(0, of_both, (seeds, images))
    )


def pigeonhole(differences: NDArray[np.float64], draws: np.random.Generator, resamples: int) -> tuple[float, float]:
    """The 95 % percentile interval where seeds and images are both drawn again with replacement (Owen 2007)."""
    seeds, images = differences.shape
    of_seeds = draws.multinomial(seeds, [1 / seeds] * seeds, size=resamples) / seeds
    of_images = draws.multinomial(images, [1 / images] * images, size=resamples) / images
    means = np.einsum("rs,si,ri->r", of_seeds, differences, of_images, optimize=True)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--images", type=int, default=16)
    given = parser.parse_args()
    print(f"{given.studies} studies of {given.images} images, seed 0; share of intervals that hold the truth")
    print(f"{'differing':16}{'seeds':>6}{'both drawn again':>18}{'ours':>8}")
    for name, deviations in DEVIATIONS.items():
        for seeds in (2, 3, 5, 10):
            draws = np.random.default_rng(0)
            held = np.zeros(2)
            for _ in range(given.studies):
                differences = simulated(draws, seeds, given.images, deviations)
                low, high = pigeonhole(differences, draws, 2000)
                ours = paired_bootstrap(differences, resamples=2000)
                held += [low <= 0 <= high, ours.low <= 0 <= ours.high]
            both, own = 100 * held / given.studies
            print(f"{name:16}{seeds:6}{both:16.0f} %{own:6.0f} %")


if __name__ == "__main__":
    main()
