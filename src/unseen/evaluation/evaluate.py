"""Testing a network under a protocol: every test image restored under every level, and measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from threading import Event

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
from .benchmark_sets import BenchmarkSets
from .inputs import distort, judge_input, levels_of
from .metrics import Reference, prepare, prepared_psnr
from .results import ImageResult


@dataclass(frozen=True)
class Measurement:
    """One image under one level, restored and measured.

    Attributes:
        level: the level.
        psnr: PSNR of the restored image, dB.
        ssim: SSIM of the restored image.
        input_psnr: PSNR of the distorted image, dB.
        input_ssim: SSIM of the distorted image.
        distorted: the network's input, float (1, C, h, w).
        restored: the network's output, float (1, C, H, W).
        prepared: the output as it is compared (`metrics.prepare`).
    """

    level: Level
    psnr: float
    ssim: float
    input_psnr: float
    input_ssim: float
    distorted: Tensor
    restored: Tensor
    prepared: Tensor


def measure(
    network: nn.Module,
    photo: Photo,
    levels: Iterable[tuple[Level, Confounder]],
    convention: Convention,
    device: str,
    seed: int,
    dataset: str,
) -> Iterator[Measurement]:
    """Restore one photograph under each of the levels, and measure the results.

    Args:
        network: the network, on `device`.
        photo: the photograph.
        levels: the levels, each with the confounder that makes it.
        convention: the settings of PSNR and SSIM.
        device: the device by its name in PyTorch.
        seed: seed of the test distortions.
        dataset: name of the photograph's test set.

    Raises:
        UserError: where the output is of another size than the photograph.
    """
    reference = Reference(to_tensor(photo.pixels), convention)
    for level, confounder in levels:
        distorted = distort(photo, confounder, convention, seed, dataset)
        restored = restore_batch(network, distorted, device)
        if restored.shape[-2:] != photo.pixels.shape[:2]:
            raise UserError(
                f"the network makes {restored.shape[-1]}×{restored.shape[-2]} pixels of {distorted.shape[-1]}×"
                f"{distorted.shape[-2]}, and the protocol wants {photo.pixels.shape[1]}×{photo.pixels.shape[0]}"
            )
        before = judge_input(photo, confounder, convention, seed, dataset, distorted, reference)
        prepared = prepare(restored, convention)
        yield Measurement(level, *reference.judge(prepared), *before, distorted, restored, prepared)


@dataclass(frozen=True)
class TestedNetwork:
    """A trained network to be tested, with the facts to write into its results.

    Attributes:
        network: the network.
        card: the card of its checkpoint.
        run: name of the training.
        method: name of the method in the results.
        tuned: number of settings of the method that were tried on held-out levels; 0 if the user chose the settings.
    """

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
    """Restore every test image under every level, and measure the results.

    Args:
        trained: the network.
        protocol: the protocol of the test.
        tests: the test sets.
        machine: device and threads.
        seed: seed of the test distortions, the same for all networks. Results carry the seed of the training.
        stop: once set, the test ends after the current image.

    Returns:
        One result for each image and level; fewer if `stop` was set.
    """
    torch.set_num_threads(machine.threads)
    trained = replace(trained, network=on_device(trained.network, machine.device))
    results: list[ImageResult] = []
    for dataset, photo in track(tests.photos, f"testing {trained.run}", len(tests.photos)):
        if stop.is_set():
            break
        results += photo_results(trained, protocol, machine.device, seed, dataset, photo)
    return results


def photo_results(
    trained: TestedNetwork, protocol: Protocol, device: str, seed: int, dataset: str, photo: Photo
) -> list[ImageResult]:
    """Restore one photograph under every level, and measure the results; arguments as for `measure`."""
    card, convention, levels = trained.card, protocol.convention, levels_of(photo, dataset, protocol)
    results: list[ImageResult] = []
    prepared: list[Tensor] = []
    for measurement in measure(trained.network, photo, levels, convention, device, seed, dataset):
        prepared.append(measurement.prepared)
        results.append(
            ImageResult(
                run=trained.run,
                protocol=protocol.name,
                protocol_hash=protocol.hash(),
                data=card.data,
                convention=convention.hash(),
                method=trained.method,
                backbone=card.config["backbone"],
                seed=card.config["seed"],
                budget=str(Budget.parse(card.config["budget"])),
                select=card.config.get("select", "last"),
                tuned=trained.tuned,
                split=measurement.level.split,
                distortion=measurement.level.distortion,
                degree=measurement.level.degree,
                dataset=dataset,
                image=photo.name,
                psnr=measurement.psnr,
                ssim=measurement.ssim,
                input_psnr=measurement.input_psnr,
                input_ssim=measurement.input_ssim,
                invariance=math.nan,
            )
        )
    return [
        replace(result, invariance=similarity) for result, similarity in zip(results, invariance(prepared), strict=True)
    ]


def are_of_test(
    results: Iterable[ImageResult], trained: TestedNetwork, protocol: Protocol, tests: BenchmarkSets
) -> bool:
    """Whether all results are of this network under this protocol, on images of these test sets."""
    images = {(dataset, photo.name) for dataset, photo in tests.photos}
    identity = (trained.run, protocol.hash(), trained.card.data)
    return all(
        (result.run, result.protocol_hash, result.data) == identity and (result.dataset, result.image) in images
        for result in results
    )


def invariance(prepared: Sequence[Tensor]) -> list[float]:
    """Compute the similarity of the restorations of one content.

    Args:
        prepared: restorations of one content under several levels, as they are compared (`metrics.prepare`).

    Returns:
        For each restoration, its mean PSNR in dB against all others: infinite where all others equal it, nan for a
        single restoration. The mean over the restorations is the mean over all pairs.
    """
    if len(prepared) < 2:
        return [math.nan] * len(prepared)
    psnr_matrix = [[math.nan] * len(prepared) for _ in prepared]
    for (i, first), (j, second) in combinations(enumerate(prepared), 2):
        psnr_matrix[i][j] = psnr_matrix[j][i] = float(prepared_psnr(first, second))
    return [fmean(value for j, value in enumerate(row) if j != i) for i, row in enumerate(psnr_matrix)]
