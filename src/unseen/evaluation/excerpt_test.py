"""A cheap test for many weights of one network: PSNR alone, on excerpts of the test images, in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.grouping import grouped
from ..data.photo import Photo
from ..data.tensors import to_tensor
from ..models.inference import restore_batch
from ..protocols.convention import Convention
from ..protocols.levels import Level
from ..protocols.protocol import Protocol
from .benchmark_sets import BenchmarkSets, spread
from .inputs import distort, levels_of
from .metrics import prepare, prepared_psnr
from .results import LevelPsnr

MOST_IMAGES = 16
"""The largest number of images of a test set that are used."""

BATCH_PIXELS = 2**17
"""The largest number of pixels that a network gets at once, unless one image has more."""


class _Sample(NamedTuple):
    """A distorted excerpt (1, 3, h, w), the level, and the clean excerpt as it is compared (`metrics.prepare`)."""

    level: Level
    distorted: Tensor
    clean: Tensor


@dataclass(frozen=True)
class ExcerptTest:
    """Distorted excerpts, made once and restored by many networks: the centres of at most 16 images of each set.

    Of images no larger than `benchmark_sets.CROP` the inputs are those of `evaluate_network`.

    Attributes:
        batches: samples that are restored together, all of one size.
        convention: the settings of PSNR.
        device: the device by its name in PyTorch.
    """

    batches: list[list[_Sample]]
    convention: Convention
    device: str

    @classmethod
    def of(cls, tests: BenchmarkSets, protocol: Protocol, device: str, seed: int) -> ExcerptTest:
        """Cut and distort the excerpts.

        Args:
            tests: the test sets.
            protocol: the protocol of the test.
            device: the device by its name in PyTorch.
            seed: seed of the test distortions.
        """
        samples: list[_Sample] = []
        for dataset, members in grouped(tests.excerpts(protocol.step), lambda pair: pair[0]).items():
            for photo in spread([photo for _, photo in members], MOST_IMAGES):
                samples += _samples(dataset, photo, protocol, seed)
        by_size = grouped(samples, lambda sample: (sample.distorted.shape, sample.clean.shape)).values()
        return cls([batch for members in by_size for batch in _batches(members)], protocol.convention, device)

    def levels_psnr(self, network: nn.Module) -> list[LevelPsnr]:
        """The mean PSNR of a network, on the device of the test, under each level, in the order of the protocol."""
        psnr: dict[Level, list[float]] = {}
        for batch in self.batches:
            restored = restore_batch(network, torch.cat([sample.distorted for sample in batch]), self.device)
            clean = torch.cat([sample.clean for sample in batch])
            values = prepared_psnr(prepare(restored, self.convention), clean).tolist()
            for sample, value in zip(batch, values, strict=True):
                psnr.setdefault(sample.level, []).append(value)
        return [LevelPsnr(*level, fmean(values)) for level, values in psnr.items()]


def _samples(dataset: str, photo: Photo, protocol: Protocol, seed: int) -> Iterator[_Sample]:
    clean = prepare(to_tensor(photo.pixels), protocol.convention)
    for level, confounder in levels_of(photo, dataset, protocol):
        yield _Sample(level, distort(photo, confounder, protocol.convention, seed, dataset), clean)


def _batches(samples: Sequence[_Sample]) -> Iterable[list[_Sample]]:
    """Cut samples of one size into batches of at most `BATCH_PIXELS`."""
    height, width = samples[0].clean.shape[-2:]
    count = max(1, BATCH_PIXELS // (height * width))
    return ([*samples[i : i + count]] for i in range(0, len(samples), count))
