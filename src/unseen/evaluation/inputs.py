"""What a network is given in a test: levels, distorted images, and their quality before restoration."""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor

from ..core.randomness import generator
from ..data.photo import Photo
from ..data.tensors import as_levels, enlarge, to_tensor
from ..protocols.confounder import Confounder, Recorded, Synthetic
from ..protocols.convention import Convention
from ..protocols.levels import UNDISTORTED, Level
from ..protocols.protocol import Protocol
from .metrics import psnr, ssim


def levels_of(photo: Photo, dataset: str, protocol: Protocol) -> list[tuple[Level, Confounder]]:
    """The levels that a photograph is tested under: the made ones if it is clean, its own if it was recorded."""
    if photo.recorded is None:
        return [(level, c) for level, c in protocol.levels() if isinstance(c, Synthetic)]
    return [(level, c) for level, c in protocol.levels() if isinstance(c, Recorded) and c.degree == dataset]


def distort(photo: Photo, confounder: Confounder, convention: Convention, seed: int, dataset: str) -> Tensor:
    """The test image float (1, 3, h, w) in [0, 1]; the same for every network, whatever else is tested."""
    if photo.recorded is not None:
        return to_tensor(photo.recorded)
    draws = generator(seed, "test", dataset, photo.name, confounder.name)
    distorted, _ = confounder.pair(to_tensor(photo.pixels), draws)
    return as_levels(distorted) / 255 if convention.round_input else distorted


def judge(image: Tensor, clean: Tensor, convention: Convention) -> tuple[float, float]:
    """PSNR in dB and SSIM of one image, float (1, 3, H, W)."""
    return float(psnr(image, clean, convention)), float(ssim(image, clean, convention))


@lru_cache(maxsize=100_000)
def judge_input(
    photo: Photo, confounder: Confounder, convention: Convention, seed: int, dataset: str
) -> tuple[float, float]:
    """PSNR and SSIM of the distorted image, found once: it is the same for every network.

    A smaller one is enlarged bicubically first.
    """
    distorted, clean = distort(photo, confounder, convention, seed, dataset), to_tensor(photo.pixels)
    return judge(at_size_of(clean, distorted), clean, convention)


def at_size_of(clean: Tensor, distorted: Tensor) -> Tensor:
    """A distorted image as large as the clean one, enlarged bicubically if it is smaller."""
    scale = clean.shape[-1] // distorted.shape[-1]
    return enlarge(distorted, scale) if scale > 1 else distorted


def inputs_of(photo: Photo, dataset: str, protocol: Protocol, seed: int) -> dict[Level, Tensor]:
    """What networks are given of a photograph, float (1, 3, h, w) in [0, 1], by level; itself first.

    The images are those of `evaluation.distort`. Where networks enlarge, the photograph itself is no input.
    """
    found = {UNDISTORTED: to_tensor(photo.pixels)} if protocol.scale == 1 else {}
    for level, confounder in levels_of(photo, dataset, protocol):
        found[level] = distort(photo, confounder, protocol.convention, seed, dataset)
    return found
