"""One line of a table: all that a method on a backbone measured, and its means."""

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
    """What one method on one backbone measured, by seed, level and image.

    A mean is always taken over the images of a level first (all data sets pooled), then over levels, each with the
    same weight whatever its number of images, then over seeds.
    """

    def __init__(self, rows: Sequence[ImageResult]) -> None:
        """From its rows, of one method and backbone, every seed measured on the same images and levels."""
        self.backbone = rows[0].backbone
        self.seeds = sorted({row.seed for row in rows})
        self.images = sorted({(row.dataset, row.image) for row in rows})
        self._levels = {level: i for i, level in enumerate(dict.fromkeys(row.level for row in rows))}
        seeds, images = ({key: i for i, key in enumerate(keys)} for keys in (self.seeds, self.images))
        self._measured = np.zeros((len(self._levels), len(images)), dtype=bool)
        self._values = {figure: np.zeros((len(seeds), *self._measured.shape)) for figure in QUANTITIES}
        for row in rows:
            level, image = self._levels[row.level], images[row.dataset, row.image]
            self._measured[level, image] = True
            for figure in QUANTITIES:
                self._values[figure][seeds[row.seed], level, image] = getattr(row, figure)

    def by_seed(self, figure: Quantity, levels: Sequence[Level]) -> NDArray[np.float64]:
        """(seeds,): the mean over these levels. Infinite where an image is, nan where one is unknown."""
        return self._mean(self._values[figure], levels)

    def harm_by_seed(self, levels: Sequence[Level]) -> NDArray[np.float64]:
        """(seeds,): the share of test images that are worse than the input, by PSNR."""
        psnr, given = self._values["psnr"], self._values["input_psnr"]
        unknown = np.isnan(psnr) | np.isnan(given)
        return self._mean(np.where(unknown, math.nan, psnr < given), levels)

    def invariance_by_seed(self) -> NDArray[np.float64]:
        """(seeds,): the mean PSNR between restorations of one content, over the images that are at several levels."""
        values = self._values["invariance"]
        known = self._measured & ~np.isnan(values).any(axis=0)
        levels = known.any(axis=1)
        if not levels.any():
            return np.full(len(self.seeds), math.nan)
        sums = np.where(known, values, 0).sum(axis=2)[:, levels]
        means: NDArray[np.float64] = (sums / known.sum(axis=1)[levels]).mean(axis=1)
        return means

    def minus(self, other: EntryResults, levels: Sequence[Level]) -> Resampled | None:
        """Its mean PSNR on these levels less another's, paired by image and by the seeds that both have.

        An image's difference is its mean over the levels; where not every image is at every level, it is weighted
        such that the mean over images still is that over levels. None where no seed is common to both, or where a
        PSNR is infinite or unknown: of such numbers there is no difference.
        """
        common = [seed for seed in self.seeds if seed in other.seeds]
        ours, theirs = (line._values["psnr"][[line.seeds.index(seed) for seed in common]] for line in (self, other))
        ours, theirs = ours[:, self._places(levels)], theirs[:, other._places(levels)]
        if not common or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            return None
        measured = self._measured[self._places(levels)]
        there = measured.any(axis=0)
        weights = measured / measured.sum(axis=1, keepdims=True) * (np.count_nonzero(there) / len(levels))
        by_image = np.einsum("sli,li->si", ours - theirs, weights)[:, there]
        return paired_bootstrap(by_image, [self.images[i][0] for i in np.flatnonzero(there)])

    def _mean(self, values: NDArray[np.float64], levels: Sequence[Level]) -> NDArray[np.float64]:
        places = self._places(levels)
        # What was not measured is stored as zero, and so adds nothing to the sum.
        means: NDArray[np.float64] = (values[:, places].sum(axis=2) / self._measured[places].sum(axis=1)).mean(axis=1)
        return means

    def _places(self, levels: Sequence[Level]) -> list[int]:
        return [self._levels[level] for level in levels]
