"""Quality of a network by level, with the noise level of the distorted images, for the card of the network."""

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
    """Estimate the mean noise level of distorted photographs.

    Args:
        photos: pairs of the name of a test set and one of its photographs (`BenchmarkSets.photos`).
        protocol: the protocol whose levels distort the photographs.
        seed: seed of the test distortions, as for `evaluate_network`.

    Returns:
        (name of the set, level) → mean noise level in gray levels of 255; nan where no image has an estimate.
    """
    noise_levels: dict[tuple[str, Level], list[float]] = {}
    for dataset, photo in track(photos, "estimating the noise", len(photos)):
        for level, image in inputs_of(photo, dataset, protocol, seed).items():
            noise_levels.setdefault((dataset, level), []).append(noise_level(image))
    return {key: mean_noise(values) for key, values in noise_levels.items()}


def quality_of(results: Iterable[ImageResult], noise: Mapping[tuple[str, Level], float]) -> list[Quality]:
    """Summarise the results of one network by test set and level.

    Args:
        results: image results of one network.
        noise: the result of `noise_by_level` for the same test sets.

    Returns:
        One quality for each set and level of `results`, then one for the undistorted photographs of each set whose
        noise level is known; their PSNR after restoration was not measured, and is nan.
    """
    qualities = [
        Quality.of(
            level,
            dataset,
            [(result.input_psnr, result.psnr) for result in group],
            noise.get((dataset, level), math.nan),
        )
        for (dataset, level), group in grouped(results, lambda result: (result.dataset, result.level)).items()
    ]
    sets = {quality.dataset: quality.images for quality in qualities}
    clean = [
        Quality.of(UNDISTORTED, name, [(math.inf, math.nan)] * images, noise[name, UNDISTORTED])
        for name, images in sets.items()
        if (name, UNDISTORTED) in noise
    ]
    return qualities + clean


def mean_noise(noise_levels: Iterable[float]) -> float:
    """Average the noise levels that are not nan; nan if all are."""
    estimates = [sigma for sigma in noise_levels if not math.isnan(sigma)]
    return fmean(estimates) if estimates else math.nan
