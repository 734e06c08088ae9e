"""What the noise estimator reads under the levels of a protocol: the scale on which a card says where it is safe."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..core.progress import track
from ..data.patches import to_tensor
from ..data.photo import Photo
from ..models.card import UNDISTORTED, mean_reading
from ..protocols.protocol import Protocol
from ..restoration.self_check import noise_of
from .evaluate import distort, levels_of
from .results import Level


def inputs_of(photo: Photo, dataset: str, protocol: Protocol, seed: int) -> dict[Level, Tensor]:
    """What networks are given of a photograph, float (1, 3, h, w) in [0, 1], by level; itself first.

    The images are those of `evaluation.distort`. Where networks enlarge, the photograph itself is no input.
    """
    found = {UNDISTORTED: to_tensor(photo.pixels)} if protocol.scale == 1 else {}
    for split, confounder in levels_of(photo, dataset, protocol):
        level = (split, confounder.kind, confounder.degree)
        found[level] = distort(photo, confounder, protocol.convention, seed, dataset)
    return found


def read_noise(photos: Sequence[tuple[str, Photo]], protocol: Protocol, seed: int) -> dict[tuple[str, Level], float]:
    """The mean reading in gray levels of 255, by data set and level; nan where the estimator can tell of no image.

    photos: as `Tests` has them, with the name of their set. seed: of the test distortions, as for `evaluate`.
    """
    readings: dict[tuple[str, Level], list[float]] = {}
    for dataset, photo in track(photos, "reading the noise", len(photos)):
        for level, image in inputs_of(photo, dataset, protocol, seed).items():
            readings.setdefault((dataset, level), []).append(noise_of(image))
    return {key: mean_reading(values) for key, values in readings.items()}
