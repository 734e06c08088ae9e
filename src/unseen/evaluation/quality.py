"""Quality of a network by level, with the noise level of the distorted images, for the card of the network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import nn

from ..core.grouping import grouped
from ..core.precision import native_bf16
from ..core.progress import track
from ..data.photo import Photo
from ..data.tensors import to_tensor
from ..models.card import INVISIBLE, Bf16Loss, Quality
from ..models.inference import restore_batch
from ..protocols.levels import UNDISTORTED, Level
from ..protocols.protocol import Protocol
from .benchmark_sets import spread
from .inputs import at_size_of, inputs_of
from .metrics import psnr
from .noise import noise_level
from .results import ImageResult

EMULATED_IMAGES = 8
"""Number of images of a data set on which the loss by bfloat16 is measured where the device only imitates it."""
EMULATED_SIDE = 128
"""Side in pixels of the centres of these images: imitated, an image takes ten times as long or more."""


@dataclass(frozen=True)
class JudgedImage:
    """One image under one level.

    Attributes:
        dataset: name of the image's data set.
        level: the level.
        psnrs: PSNR before and after restoration, dB.
        noise: estimated noise level of the distorted image, gray levels of 255; nan where there is no estimate.
    """

    dataset: str
    level: Level
    psnrs: tuple[float, float]
    noise: float


def measured_quality(
    network: nn.Module,
    photos: Sequence[tuple[str, Photo]],
    protocol: Protocol,
    device: str,
    *,
    seed: int = 0,
    results: Iterable[ImageResult] = (),
    dataset: str = "",
) -> list[Quality]:
    """Measure the quality of a network under every level that can be made, and on the undistorted photographs.

    Args:
        network: the network, on `device`.
        photos: pairs of the name of a data set and one of its photographs (`BenchmarkSets.photos`).
        protocol: the protocol whose levels distort the photographs.
        device: the device by its name in PyTorch.
        seed: seed of the test distortions, as for `evaluate_network`.
        results: results of the network under the same seed; these images are not restored again.
        dataset: name of the data set in the qualities; empty for the names in `photos`.

    Returns:
        One quality for each data set and level; in each set the undistorted photographs come last.
    """
    known = {(r.dataset, r.image, r.level): (r.input_psnr, r.psnr) for r in results}
    judged: list[JudgedImage] = []
    for name, photo in track(photos, "judging for the card", len(photos)):
        clean = to_tensor(photo.pixels)
        for level, image in inputs_of(photo, name, protocol, seed).items():
            psnrs = known.get((name, photo.name, level))
            if psnrs is None:
                images = (at_size_of(clean, image), restore_batch(network, image, device))
                before, after = (float(psnr(shown, clean, protocol.convention)) for shown in images)
                psnrs = before, after
            judged.append(JudgedImage(dataset or name, level, psnrs, noise_level(image)))
    return quality_of(judged)


def measured_bf16_loss(
    network: nn.Module, photos: Sequence[tuple[str, Photo]], protocol: Protocol, device: str, seed: int = 0
) -> Bf16Loss:
    """Measure what a network loses by bfloat16, under every level that can be made and on undistorted photographs.

    An image counts with `INVISIBLE` dB at most, above which nothing visible can be lost. Where the device only imitates
    bfloat16, slowly, the centres of `EMULATED_IMAGES` photographs of each data set are measured.

    Args:
        network: the network, on `device`.
        photos: pairs of the name of a data set and one of its photographs, at least one.
        protocol: the protocol whose levels distort the photographs.
        device: the device by its name in PyTorch.
        seed: seed of the test distortions, as for `evaluate_network`.
    """
    most, side = (0, 0) if native_bf16(device) else (EMULATED_IMAGES, EMULATED_SIDE)
    by_set = grouped(photos, lambda pair: pair[0])
    chosen = [(name, photo) for name, pairs in by_set.items() for photo in spread([pair[1] for pair in pairs], most)]
    losses: dict[tuple[str, Level], list[float]] = {}
    for name, whole in track(chosen, "judging bfloat16", len(chosen)):
        photo = whole.centre(side - side % protocol.step) if side else whole
        clean = to_tensor(photo.pixels)
        for level, image in inputs_of(photo, name, protocol, seed).items():
            outputs = (restore_batch(network, image, device, bf16) for bf16 in (False, True))
            exact, rounded = (min(INVISIBLE, float(psnr(output, clean, protocol.convention))) for output in outputs)
            losses.setdefault((name, level), []).append(exact - rounded)
    (dataset, level), largest = max(losses.items(), key=lambda item: fmean(item[1]))
    return Bf16Loss(fmean(largest), level.name, dataset, len(largest), side)


def quality_of(images: Iterable[JudgedImage]) -> list[Quality]:
    """Summarise judged images by data set and level; in each set the undistorted photographs come last."""
    by_set = grouped(images, lambda image: image.dataset)
    return [
        Quality.of(level, dataset, [image.psnrs for image in group], mean_noise(image.noise for image in group))
        for dataset, members in by_set.items()
        for level, group in grouped(
            sorted(members, key=lambda image: image.level == UNDISTORTED), lambda image: image.level
        ).items()
    ]


def mean_noise(noise_levels: Iterable[float]) -> float:
    """Average the noise levels that are not nan; nan if all are."""
    estimates = [sigma for sigma in noise_levels if not math.isnan(sigma)]
    return fmean(estimates) if estimates else math.nan
