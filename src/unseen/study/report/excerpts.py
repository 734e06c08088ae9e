"""Pictures for the page of a study: what each network makes of the worst and of the median test image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ...core.grouping import grouped
from ...data.photo import Photo
from ...data.tensors import to_pixels
from ...evaluation.benchmark_sets import BenchmarkSets
from ...evaluation.evaluate import measure
from ...evaluation.inputs import at_size_of, levels_of
from ...protocols.levels import Level
from ...protocols.protocol import Protocol
from ..summary import StudySummary
from .gallery import GalleryPicture, worst_then_median


def pictures(
    networks: Sequence[tuple[str, nn.Module]],
    study: StudySummary,
    protocol: Protocol,
    tests: BenchmarkSets,
    device: str,
    seed: int,
) -> list[GalleryPicture]:
    """Excerpts under every level: clean, input, and every network's output, of the images that `chosen` names."""
    shown: dict[tuple[str, Level], list[GalleryPicture]] = {}
    for dataset, photo in chosen_photos(study, tests, protocol.step):
        for label, network in networks:
            levels = levels_of(photo, dataset, protocol)
            for found in measure(network, photo, levels, protocol.convention, device, seed, dataset):
                name = f"{dataset}/{photo.name}"
                about = (name, found.level.distortion, found.level.degree, found.level.split)
                strip = shown.setdefault((name, found.level), [])
                if not strip:
                    strip.append(GalleryPicture(*about, "clean", None, photo.pixels))
                    given = at_size_of(found.restored, found.distorted)
                    strip.append(GalleryPicture(*about, "input", found.input_psnr, to_pixels(given)))
                strip.append(GalleryPicture(*about, label, found.psnr, to_pixels(found.restored)))
    return [picture for strip in shown.values() for picture in strip]


def chosen_photos(study: StudySummary, tests: BenchmarkSets, step: int) -> list[tuple[str, Photo]]:
    """The centres of two images of each set, the first two by `worst_then_median`."""
    photos = {(name, photo.name): photo for name, photo in tests.excerpts(step)}
    known = [image for image in worst_then_median(study.results) if image in photos]
    sets = grouped(known, lambda image: image[0]).values()
    return [(image[0], photos[image]) for images in sets for image in images[:2]]
