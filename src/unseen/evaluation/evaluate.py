"""A network under a protocol, image by image: what it restores and how well."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import fmean
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn

from ..core.config import Machine
from ..core.errors import UserError
from ..core.randomness import generator
from ..core.units import Budget
from ..data.patches import to_tensor
from ..data.photo import Photo
from ..distortions.enlarged import enlarge
from ..models.checkpoint import Card
from ..protocols.confounder import Confounder, Recorded, Synthetic
from ..protocols.protocol import Protocol
from .metrics import Convention, psnr, ssim
from .results import Row, Split

if TYPE_CHECKING:  # testing asks here for the levels of a photograph
    from .benchmark_sets import Tests


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


def levels_of(photo: Photo, dataset: str, protocol: Protocol) -> list[tuple[Split, Confounder]]:
    """The levels that a photograph is tested under: the made ones if it is clean, its own if it was recorded."""
    if photo.recorded is None:
        return [(split, c) for split, c in protocol.levels() if isinstance(c, Synthetic)]
    return [(split, c) for split, c in protocol.levels() if isinstance(c, Recorded) and c.degree == dataset]


def distort(photo: Photo, confounder: Confounder, convention: Convention, seed: int, dataset: str) -> Tensor:
    """The test image float (1, 3, h, w) in [0, 1]; the same for every network, whatever else is tested."""
    if photo.recorded is not None:
        return to_tensor(photo.recorded)
    draws = generator(seed, "test", dataset, photo.name, confounder.name)
    distorted, _ = confounder.pair(to_tensor(photo.pixels), draws)
    return as_levels(distorted) / 255 if convention.round_input else distorted


def measure(
    network: nn.Module,
    photo: Photo,
    levels: Iterable[tuple[Split, Confounder]],
    convention: Convention,
    device: str,
    seed: int,
    dataset: str,
) -> Iterator[Measurement]:
    """Restore one photograph (H, W, 3) under each of the levels."""
    for split, confounder in levels:
        distorted = distort(photo, confounder, convention, seed, dataset)
        restored = restore(network, distorted, device)
        if restored.shape[-2:] != photo.pixels.shape[:2]:
            raise UserError(
                f"the network makes {restored.shape[-1]}×{restored.shape[-2]} pixels of {distorted.shape[-1]}×"
                f"{distorted.shape[-2]}, and the protocol wants {photo.pixels.shape[1]}×{photo.pixels.shape[0]}"
            )
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
    """PSNR and SSIM of the distorted image, found once: it is the same for every network.

    A smaller one is enlarged bicubically first.
    """
    distorted, clean = distort(photo, confounder, convention, seed, dataset), to_tensor(photo.pixels)
    return judge(at_size_of(clean, distorted), clean, convention)


def at_size_of(clean: Tensor, distorted: Tensor) -> Tensor:
    """A distorted image as large as the clean one, enlarged bicubically if it is smaller."""
    scale = clean.shape[-1] // distorted.shape[-1]
    return enlarge(distorted, scale) if scale > 1 else distorted


def on_device(network: nn.Module, device: str) -> nn.Module:
    """The network where it is to compute, channels last in memory: half again as fast on a CPU."""
    network = network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4:  # Module.to would stumble over those of five dimensions
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


@torch.inference_mode()
def restore(network: nn.Module, distorted: Tensor, device: str) -> Tensor:
    """The network's output, on the CPU, for float (B, 3, H, W) in [0, 1]."""
    restored: Tensor = network(distorted.to(device))
    return restored.cpu()


@dataclass(frozen=True)
class Trained:
    """A network and what its rows say of it: where they come from and under which name it is listed."""

    network: nn.Module
    card: Card
    run: str
    method: str
    tuned: int = 0


def evaluate(
    trained: Trained, protocol: Protocol, tests: Tests, machine: Machine, seed: int, stop: Event, bar: Progress
) -> list[Row]:
    """Restore every test image under every level: a row each, fewer if `stop` was set.

    `seed` is that of the test distortions, the same for all networks; the rows carry the training's.
    """
    torch.set_num_threads(machine.threads)
    network, card = on_device(trained.network, machine.device), trained.card
    task = bar.add_task(f"testing {trained.run}", total=len(tests.photos))
    rows: list[Row] = []
    for dataset, photo in tests.photos:
        if stop.is_set():
            break
        levels = levels_of(photo, dataset, protocol)
        measured = list(measure(network, photo, levels, protocol.convention, machine.device, seed, dataset))
        for found, alike in zip(measured, likeness([m.restored for m in measured], protocol.convention), strict=True):
            rows.append(
                Row(
                    run=trained.run,
                    protocol=protocol.name,
                    protocol_hash=protocol.hash(),
                    data=card.data,
                    convention=protocol.convention.hash(),
                    method=trained.method,
                    backbone=card.config["backbone"],
                    seed=card.config["seed"],
                    budget=str(Budget.parse(card.config["budget"])),
                    select=card.config.get("select", "last"),
                    tuned=trained.tuned,
                    split=found.split,
                    distortion=found.confounder.kind,
                    degree=found.confounder.degree,
                    dataset=dataset,
                    image=photo.name,
                    psnr=found.psnr,
                    ssim=found.ssim,
                    input_psnr=found.input_psnr,
                    input_ssim=found.input_ssim,
                    invariance=alike,
                )
            )
        bar.advance(task)
    bar.remove_task(task)
    return rows


def likeness(restored: Sequence[Tensor], convention: Convention) -> list[float]:
    """Of each restoration of one content, float (1, 3, H, W), its mean PSNR in dB against all others; nan if alone.

    Infinite where the others are all equal to it. The mean over the restorations is that over all pairs.
    """
    if len(restored) < 2:
        return [math.nan] * len(restored)
    alike = [[math.nan] * len(restored) for _ in restored]
    for (i, first), (j, second) in combinations(enumerate(restored), 2):
        alike[i][j] = alike[j][i] = float(psnr(first, second, convention))
    return [fmean(value for j, value in enumerate(row) if j != i) for i, row in enumerate(alike)]


def as_levels(images: Tensor) -> Tensor:
    """Rounded to the 256 levels of a file, 0 to 255, as float."""
    return (images.clamp(0, 1) * 255).round()


def to_pixels(image: Tensor) -> NDArray[np.uint8]:
    """Float (1, 3, H, W) in [0, 1] to uint8 (H, W, 3)."""
    pixels: NDArray[np.uint8] = as_levels(image[0]).permute(1, 2, 0).byte().numpy()
    return pixels
