"""A network under a protocol, image by image: what it restores and how well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .confounders import Confounder
from .data import Photo
from .data.patches import centre, to_tensor
from .metrics import Convention, psnr, ssim
from .protocols import Protocol
from .randomness import generator
from .rows import Split


@dataclass(frozen=True)
class Measurement:
    """One image under one confounder: the four numbers, and the images, float (1, 3, H, W)."""

    split: Split
    confounder: Confounder
    psnr: float
    ssim: float
    input_psnr: float
    input_ssim: float
    distorted: Tensor
    restored: Tensor


def distort(photo: Photo, confounder: Confounder, convention: Convention, seed: int, dataset: str) -> Tensor:
    """The test image float (1, 3, H, W) in [0, 1]; the same for every network, whatever else is tested."""
    draws = generator(seed, "test", dataset, photo.name, confounder.name)
    distorted = confounder.distort(to_tensor(photo.pixels), draws)
    return as_levels(distorted) / 255 if convention.round_input else distorted


def measure(
    network: nn.Module, photo: Photo, protocol: Protocol, device: str, seed: int, dataset: str
) -> Iterator[Measurement]:
    """Restore one photograph (H, W, 3) under every level of the protocol, seen, held-out and unseen."""
    convention = protocol.convention
    for split, confounder in protocol.levels():
        distorted = distort(photo, confounder, convention, seed, dataset)
        restored = restore(network, distorted, device)
        before = judge_input(photo, confounder, convention, seed, dataset)
        after = judge(restored, to_tensor(photo.pixels), convention)
        yield Measurement(split, confounder, *after, *before, distorted, restored)


def judge(image: Tensor, clean: Tensor, convention: Convention) -> tuple[float, float]:
    """PSNR in dB and SSIM of one image, float (1, 3, H, W)."""
    return float(psnr(image, clean, convention)), float(ssim(image, clean, convention))


@lru_cache(maxsize=100_000)
def judge_input(
    photo: Photo, confounder: Confounder, convention: Convention, seed: int, dataset: str
) -> tuple[float, float]:
    """PSNR and SSIM of the distorted image, found once: it is the same for every network."""
    return judge(distort(photo, confounder, convention, seed, dataset), to_tensor(photo.pixels), convention)


def on_device(network: nn.Module, device: str) -> nn.Module:
    """The network where it is to compute, channels last in memory: half again as fast on a CPU."""
    return network.to(device).to(memory_format=torch.channels_last)


@torch.inference_mode()
def restore(network: nn.Module, distorted: Tensor, device: str) -> Tensor:
    """The network's output, on the CPU, for float (B, 3, H, W) in [0, 1]."""
    restored: Tensor = network(distorted.to(device))
    return restored.cpu()


@dataclass(frozen=True)
class Validation:
    """Centres of the validation photographs under the seen and held-out levels; nothing unseen is in it."""

    crops: list[Photo]
    levels: Sequence[tuple[Split, Confounder]]
    convention: Convention

    @classmethod
    def of(cls, photos: Sequence[Photo], protocol: Protocol, size: int = 192, most: int = 8) -> Validation:
        """At most `most` photographs, at most `size` pixels a side."""
        crops = [Photo(photo.name, centre(photo.pixels, size)) for photo in photos[:most]]
        levels = [(split, confounder) for split, confounder in protocol.levels() if split != "unseen"]
        return cls(crops, levels, protocol.convention)

    def measure(self, network: nn.Module, device: str) -> dict[Split, float]:
        """Mean PSNR in dB over crops and levels of each split."""
        found: dict[Split, list[float]] = {}
        for crop in self.crops:
            clean = to_tensor(crop.pixels)
            for split, confounder in self.levels:
                distorted = distort(crop, confounder, self.convention, 0, "validation")
                value = float(psnr(restore(network, distorted, device), clean, self.convention))
                found.setdefault(split, []).append(value)
        return {split: sum(values) / len(values) for split, values in found.items()}


def as_levels(images: Tensor) -> Tensor:
    """Rounded to the 256 levels of a file, 0 to 255, as float."""
    return (images.clamp(0, 1) * 255).round()


def to_pixels(image: Tensor) -> NDArray[np.uint8]:
    """Float (1, 3, H, W) in [0, 1] to uint8 (H, W, 3)."""
    pixels: NDArray[np.uint8] = as_levels(image[0]).permute(1, 2, 0).byte().numpy()
    return pixels
