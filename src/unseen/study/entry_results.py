"""The test results of one entry of a study, and their means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.statistics import Resampled, paired_bootstrap
from ..evaluation.results import ImageResult
from ..protocols.levels import Level

Measure: TypeAlias = Literal["psnr", "ssim"]

Quantity: TypeAlias = Literal["psnr", "ssim", "input_psnr", "input_ssim", "invariance"]

QUANTITIES: tuple[Quantity, ...] = ("psnr", "ssim", "input_psnr", "input_ssim", "invariance")


class EntryResults:
    """The test results of one method on one backbone, by seed, level and image.

    A mean is always taken over the images of a level first (all data sets pooled), then over levels, each with the
    same weight whatever its number of images, then over seeds.

    Attributes:
        backbone: the backbone of all results.
        seeds: the seeds, in ascending order.
        images: data set and name of each test image, in order.
    """

    def __init__(self, results: Sequence[ImageResult]) -> None:
        """Sort results of one method and backbone, every seed measured on the same images and levels."""
        self.backbone = results[0].backbone
        self.seeds = sorted({result.seed for result in results})
        self.images = sorted({(result.dataset, result.image) for result in results})
        self._levels = {level: i for i, level in enumerate(dict.fromkeys(result.level for result in results))}
        seeds, images = ({key: i for i, key in enumerate(keys)} for keys in (self.seeds, self.images))
        self._measured = np.zeros((len(self._levels), len(images)), dtype=bool)
        self._values = {quantity: np.zeros((len(seeds), *self._measured.shape)) for quantity in QUANTITIES}
        for result in results:
            level, image = self._levels[result.level], images[result.dataset, result.image]
            self._measured[level, image] = True
            for quantity in QUANTITIES:
                self._values[quantity][seeds[result.seed], level, image] = getattr(result, quantity)

    def by_seed(self, quantity: Quantity, levels: Sequence[Level]) -> NDArray[np.float64]:
        """Mean of a quantity over these levels, shape (seeds,); infinite where an image is, nan where one is nan."""
        return self._mean(self._values[quantity], levels)

    def harm_by_seed(self, levels: Sequence[Level]) -> NDArray[np.float64]:
        """Share of test images that are worse than the distorted input by PSNR, shape (seeds,)."""
        psnr, distorted = self._values["psnr"], self._values["input_psnr"]
        unknown = np.isnan(psnr) | np.isnan(distorted)
        return self._mean(np.where(unknown, math.nan, psnr < distorted), levels)

    def invariance_by_seed(self) -> NDArray[np.float64]:
        """Mean PSNR between restorations of one content, over images that are at several levels, shape (seeds,)."""
        values = self._values["invariance"]
        valid = self._measured & ~np.isnan(values).any(axis=0)
        levels = valid.any(axis=1)
        if not levels.any():
            return np.full(len(self.seeds), math.nan)
        sums = np.where(valid, values, 0).sum(axis=2)[:, levels]
        means: NDArray[np.float64] = (sums / valid.sum(axis=1)[levels]).mean(axis=1)
        return means

    def minus(self, other: EntryResults, levels: Sequence[Level]) -> Resampled | None:
        """Subtract another entry's mean PSNR on these levels, paired by image and by the seeds that both have.

        An image's difference is its mean over the levels; where not every image is at every level, it is weighted
        such that the mean over images still is that over levels.

        Returns:
            The difference with its bootstrap interval; None where no seed is common to both, or where a PSNR is
            infinite or unknown.
        """
        common = [seed for seed in self.seeds if seed in other.seeds]
        ours, theirs = (one._values["psnr"][[one.seeds.index(seed) for seed in common]] for one in (self, other))
        ours, theirs = ours[:, self._indices(levels)], theirs[:, other._indices(levels)]
        if not common or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            return None
        measured = self._measured[self._indices(levels)]
        tested = measured.any(axis=0)
        weights = measured / measured.sum(axis=1, keepdims=True) * (np.count_nonzero(tested) / len(levels))
        by_image = np.einsum("sli,li->si", ours - theirs, weights)[:, tested]
        return paired_bootstrap(by_image, [self.images[i][0] for i in np.flatnonzero(tested)])

    def _mean(self, values: NDArray[np.float64], levels: Sequence[Level]) -> NDArray[np.float64]:
        indices = self._indices(levels)
        # What was not measured is stored as zero, and so adds nothing to the sum.
        means: NDArray[np.float64] = (values[:, indices].sum(axis=2) / self._measured[indices].sum(axis=1)).mean(axis=1)
        return means

    def _indices(self, levels: Sequence[Level]) -> list[int]:
        return [self._levels[level] for level in levels]
