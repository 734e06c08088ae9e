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
    """Take pictures of the images of `chosen_photos` under every level: clean, input, and every network's output.

    Args:
        networks: pairs of the name of an entry and its network.
        study: the study whose results choose the images.
        protocol: the protocol of the levels.
        tests: the test images.
        device: the device of the networks.
        seed: seed of the test distortions.
    """
    strips: dict[tuple[str, Level], list[GalleryPicture]] = {}
    for dataset, photo in chosen_photos(study, tests, protocol.step):
        for entry, network in networks:
            levels = levels_of(photo, dataset, protocol)
            for measured in measure(network, photo, levels, protocol.convention, device, seed, dataset):
                name, level = f"{dataset}/{photo.name}", measured.level
                about = (name, level.distortion, level.degree, level.split)
                strip = strips.setdefault((name, level), [])
                if not strip:
                    strip.append(GalleryPicture(*about, "clean", None, photo.pixels))
                    distorted = at_size_of(measured.restored, measured.distorted)
                    strip.append(GalleryPicture(*about, "input", measured.input_psnr, to_pixels(distorted)))
                strip.append(GalleryPicture(*about, entry, measured.psnr, to_pixels(measured.restored)))
    return [picture for strip in strips.values() for picture in strip]


def chosen_photos(study: StudySummary, tests: BenchmarkSets, step: int) -> list[tuple[str, Photo]]:
    """Cut out the centres of two images of each set, the first two by `worst_then_median`, with the set's name."""
    photos = {(name, photo.name): photo for name, photo in tests.excerpts(step)}
    tested = [image for image in worst_then_median(study.results) if image in photos]
    sets = grouped(tested, lambda image: image[0]).values()
    return [(image[0], photos[image]) for images in sets for image in images[:2]]
