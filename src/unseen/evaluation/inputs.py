"""Inputs of a test: the levels of a photograph, its distorted images, and their quality before restoration."""

from __future__ import annotations

from torch import Tensor

from ..core.randomness import generator
from ..data.photo import Photo
from ..data.tensors import as_levels, enlarge, to_tensor
from ..protocols.confounder import Confounder, Recorded, Synthetic
from ..protocols.convention import Convention
from ..protocols.levels import UNDISTORTED, Level
from ..protocols.protocol import Protocol
from .metrics import Reference, prepare

KEPT_QUALITIES = 100_000
"""Qualities of distorted images that are kept at most."""

_input_qualities: dict[tuple[Photo, Confounder, Convention, int, str], tuple[float, float]] = {}


def levels_of(photo: Photo, dataset: str, protocol: Protocol) -> list[tuple[Level, Confounder]]:
    """The levels to test a photograph under, each with its confounder.

    Args:
        photo: the photograph. A clean one is tested under all synthetic levels, a recorded pair under its own level.
        dataset: name of the photograph's test set.
        protocol: the protocol.
    """
    if photo.recorded is None:
        return [(level, c) for level, c in protocol.levels() if isinstance(c, Synthetic)]
    return [(level, c) for level, c in protocol.levels() if isinstance(c, Recorded) and c.degree == dataset]


def distort(photo: Photo, confounder: Confounder, convention: Convention, seed: int, dataset: str) -> Tensor:
    """Make the distorted image to test networks on: the same for every network, whatever else is tested.

    Args:
        photo: the photograph; for a recorded pair, the recorded input is returned.
        confounder: the confounder that distorts the photograph.
        convention: the convention that says whether inputs are rounded to 8 bits.
        seed: seed of the test distortions.
        dataset: name of the test set.

    Returns:
        Float (1, C, h, w) in [0, 1].
    """
    if photo.recorded is not None:
        return to_tensor(photo.recorded)
    draws = generator(seed, "test", dataset, photo.name, confounder.name)
    distorted, _ = confounder.pair(to_tensor(photo.pixels), draws)
    return as_levels(distorted) / 255 if convention.round_input else distorted


def judge_input(
    photo: Photo,
    confounder: Confounder,
    convention: Convention,
    seed: int,
    dataset: str,
    distorted: Tensor | None = None,
    reference: Reference | None = None,
) -> tuple[float, float]:
    """Compute PSNR in dB and SSIM of the distorted image, which is enlarged bicubically first if it is smaller.

    The last values are kept, because they are the same for every network.

    Args:
        photo: the photograph; the arguments up to `dataset` are those of `distort`.
        confounder: the confounder that distorts the photograph.
        convention: the convention of the test.
        seed: seed of the test distortions.
        dataset: name of the test set.
        distorted: the distorted image, where it is made already.
        reference: the photograph, where it is prepared already.
    """
    key = photo, confounder, convention, seed, dataset
    if key not in _input_qualities:
        if len(_input_qualities) >= KEPT_QUALITIES:
            _input_qualities.clear()
        if distorted is None:
            distorted = distort(photo, confounder, convention, seed, dataset)
        clean = to_tensor(photo.pixels)
        reference = reference or Reference(clean, convention)
        _input_qualities[key] = reference.judge(prepare(at_size_of(clean, distorted), convention))
    return _input_qualities[key]


def at_size_of(clean: Tensor, distorted: Tensor) -> Tensor:
    """Enlarge a smaller distorted image bicubically to the size of the clean image."""
    scale = clean.shape[-1] // distorted.shape[-1]
    return enlarge(distorted, scale) if scale > 1 else distorted


def inputs_of(photo: Photo, dataset: str, protocol: Protocol, seed: int) -> dict[Level, Tensor]:
    """Make the distorted images of a photograph (`distort`) under all its levels.

    Args:
        photo: the photograph.
        dataset: name of the photograph's test set.
        protocol: the protocol.
        seed: seed of the test distortions.

    Returns:
        Level → float (1, C, h, w) in [0, 1]. The undistorted photograph comes first, as the level `UNDISTORTED`, unless
        networks enlarge: then it is too large to be their input.
    """
    images = {UNDISTORTED: to_tensor(photo.pixels)} if protocol.scale == 1 else {}
    for level, confounder in levels_of(photo, dataset, protocol):
        images[level] = distort(photo, confounder, protocol.convention, seed, dataset)
    return images
