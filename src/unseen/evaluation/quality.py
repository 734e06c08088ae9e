"""What the noise estimator reads under the levels of a protocol: the scale on which a card says where it is safe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from ..core.grouping import grouped
from ..core.progress import track
from ..data.photo import Photo
from ..models.card import Quality
from ..protocols.levels import UNDISTORTED, Level
from ..protocols.protocol import Protocol
from .inputs import inputs_of
from .noise import noise_level
from .results import ImageResult


def noise_by_level(
    photos: Sequence[tuple[str, Photo]], protocol: Protocol, seed: int
) -> dict[tuple[str, Level], float]:
    """The mean reading in gray levels of 255, by data set and level; nan where the estimator can tell of no image.

    photos: as `Tests` has them, with the name of their set. seed: of the test distortions, as for `evaluate`.
    """
    readings: dict[tuple[str, Level], list[float]] = {}
    for dataset, photo in track(photos, "reading the noise", len(photos)):
        for level, image in inputs_of(photo, dataset, protocol, seed).items():
            readings.setdefault((dataset, level), []).append(noise_level(image))
    return {key: mean_noise(values) for key, values in readings.items()}


def quality_of(rows: Iterable[ImageResult], noise: Mapping[tuple[str, Level], float]) -> list[Quality]:
    """From the rows of one network, and what `readings.read_noise` read on the same tests; by data set and level."""
    found = [
        Quality.of(level, dataset, [(row.input_psnr, row.psnr) for row in group], noise.get((dataset, level), math.nan))
        for (dataset, level), group in grouped(rows, lambda row: (row.dataset, row.level)).items()
    ]
    sets = {quality.dataset: quality.images for quality in found}
    clean = [
        Quality.of(UNDISTORTED, name, [(math.inf, math.nan)] * images, noise[name, UNDISTORTED])
        for name, images in sets.items()
        if (name, UNDISTORTED) in noise
    ]
    return found + clean


def mean_noise(readings: Iterable[float]) -> float:
    """Over the images that could be read; nan if there is none."""
    known = [reading for reading in readings if not math.isnan(reading)]
    return fmean(known) if known else math.nan
