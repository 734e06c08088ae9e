"""A network under a protocol, image by image: what it restores and how well."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from threading import Event
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..core.config import Machine
from ..core.errors import UserError
from ..core.progress import track
from ..core.units import Budget
from ..data.photo import Photo
from ..data.tensors import to_tensor
from ..models.card import Card
from ..models.inference import on_device, restore_batch
from ..protocols.confounder import Confounder
from ..protocols.convention import Convention
from ..protocols.levels import Level
from ..protocols.protocol import Protocol
from .inputs import distort, judge, judge_input, levels_of
from .metrics import psnr
from .results import ImageResult

if TYPE_CHECKING:
    from .benchmark_sets import BenchmarkSets


@dataclass(frozen=True)
class Measurement:
    """One image under one confounder: the four numbers, and the images, float (1, 3, H, W)."""

    level: Level
    psnr: float
    ssim: float
    input_psnr: float
    input_ssim: float
    distorted: Tensor
    restored: Tensor


def measure(
    network: nn.Module,
    photo: Photo,
    levels: Iterable[tuple[Level, Confounder]],
    convention: Convention,
    device: str,
    seed: int,
    dataset: str,
) -> Iterator[Measurement]:
    """Restore one photograph (H, W, 3) under each of the levels."""
    for level, confounder in levels:
        distorted = distort(photo, confounder, convention, seed, dataset)
        restored = restore_batch(network, distorted, device)
        if restored.shape[-2:] != photo.pixels.shape[:2]:
            raise UserError(
                f"the network makes {restored.shape[-1]}×{restored.shape[-2]} pixels of {distorted.shape[-1]}×"
                f"{distorted.shape[-2]}, and the protocol wants {photo.pixels.shape[1]}×{photo.pixels.shape[0]}"
            )
        before = judge_input(photo, confounder, convention, seed, dataset)
        after = judge(restored, to_tensor(photo.pixels), convention)
        yield Measurement(level, *after, *before, distorted, restored)


@dataclass(frozen=True)
class TestedNetwork:
    """A network and what its rows say of it: where they come from and under which name it is listed."""

    network: nn.Module
    card: Card
    run: str
    method: str
    tuned: int = 0


def evaluate_network(
    trained: TestedNetwork,
    protocol: Protocol,
    tests: BenchmarkSets,
    machine: Machine,
    seed: int,
    stop: Event,
) -> list[ImageResult]:
    """Restore every test image under every level: a row each, fewer if `stop` was set.

    `seed` is that of the test distortions, the same for all networks; the rows carry the training's.
    """
    torch.set_num_threads(machine.threads)
    network, card = on_device(trained.network, machine.device), trained.card
    rows: list[ImageResult] = []
    for dataset, photo in track(tests.photos, f"testing {trained.run}", len(tests.photos)):
        if stop.is_set():
            break
        levels = levels_of(photo, dataset, protocol)
        measured = list(measure(network, photo, levels, protocol.convention, machine.device, seed, dataset))
        for found, alike in zip(measured, invariance([m.restored for m in measured], protocol.convention), strict=True):
            rows.append(
                ImageResult(
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
                    split=found.level.split,
                    distortion=found.level.distortion,
                    degree=found.level.degree,
                    dataset=dataset,
                    image=photo.name,
                    psnr=found.psnr,
                    ssim=found.ssim,
                    input_psnr=found.input_psnr,
                    input_ssim=found.input_ssim,
                    invariance=alike,
                )
            )
    return rows


def invariance(restored: Sequence[Tensor], convention: Convention) -> list[float]:
    """Of each restoration of one content, float (1, 3, H, W), its mean PSNR in dB against all others; nan if alone.

    Infinite where the others are all equal to it. The mean over the restorations is that over all pairs.
    """
    if len(restored) < 2:
        return [math.nan] * len(restored)
    alike = [[math.nan] * len(restored) for _ in restored]
    for (i, first), (j, second) in combinations(enumerate(restored), 2):
        alike[i][j] = alike[j][i] = float(psnr(first, second, convention))
    return [fmean(value for j, value in enumerate(row) if j != i) for i, row in enumerate(alike)]
