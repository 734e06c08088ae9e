"""Validation on photographs of the training side: it chooses weights, and measures the quality in the first card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..data.photo import Photo
from ..data.sources import trimmed
from ..data.tensors import to_tensor
from ..evaluation.inputs import at_size_of, distort, levels_of
from ..evaluation.metrics import psnr
from ..evaluation.quality import measured_quality
from ..models.card import VALIDATION, Quality
from ..models.checkpoint import load_checkpoint, with_quality
from ..models.inference import on_device, restore_batch
from ..protocols.confounder import Confounder
from ..protocols.levels import Level, Split
from ..protocols.protocol import Protocol


@dataclass(frozen=True)
class Validation:
    """Centres of the validation photographs, to be restored under the levels of a protocol.

    Attributes:
        crops: pairs of the name of a data set and the centre of one of its photographs.
        protocol: the protocol of the training.
        oracle: whether `measure` includes unseen levels, those that can be made. Otherwise it measures seen and
            held-out levels alone.
    """

    crops: list[tuple[str, Photo]]
    protocol: Protocol
    oracle: bool = False

    @classmethod
    def of(
        cls,
        photos: Sequence[Photo],
        pairs: Mapping[str, Sequence[Photo]],
        protocol: Protocol,
        oracle: bool = False,
        size: int = 192,
        most: int = 8,
    ) -> Validation:
        """Cut the centres out of validation photographs and recorded pairs.

        Args:
            photos: clean validation photographs.
            pairs: validation pairs, by the name of their set.
            protocol: the protocol of the training.
            oracle: whether `measure` includes unseen levels.
            size: the largest side of a centre, pixels.
            most: the largest number of photographs, and of pairs of each set.
        """
        size -= size % protocol.step
        sets = [(VALIDATION, trimmed(photos, protocol.step)), *pairs.items()]
        crops = [(name, photo.centre(size)) for name, members in sets for photo in members[:most]]
        return cls(crops, protocol, oracle)

    def measure(self, network: nn.Module, device: str) -> dict[Split, float]:
        """The mean PSNR of a network over crops and levels, in dB, for each split that may be measured."""
        psnr_by_split: dict[Split, list[float]] = {}
        for dataset, crop in self.crops:
            clean = to_tensor(crop.pixels)
            for level, confounder in self._measured_levels(crop, dataset):
                distorted = distort(crop, confounder, self.protocol.convention, 0, dataset)
                value = float(psnr(restore_batch(network, distorted, device), clean, self.protocol.convention))
                psnr_by_split.setdefault(level.split, []).append(value)
        return {split: sum(values) / len(values) for split, values in psnr_by_split.items()}

    def pictures(self, network: nn.Module, device: str) -> dict[str, Tensor]:
        """Input, restoration and clean photograph side by side: the first crop under the first level of each split.

        Returns:
            Split and confounder in words → float (3, h, 3 · w) in [0, 1]; no split that `measure` leaves out.
        """
        examples: dict[Split, tuple[str, Photo, Confounder]] = {}
        for dataset, crop in self.crops:
            for level, confounder in self._measured_levels(crop, dataset):
                examples.setdefault(level.split, (dataset, crop, confounder))
        pictures = {}
        for split, (dataset, crop, confounder) in examples.items():
            clean = to_tensor(crop.pixels)
            distorted = distort(crop, confounder, self.protocol.convention, 0, dataset)
            restored = restore_batch(network, distorted, device).clamp(0, 1)
            (pictures[f"{split}, {confounder.name}"],) = torch.cat([at_size_of(clean, distorted), restored, clean], -1)
        return pictures

    def _measured_levels(self, crop: Photo, dataset: str) -> list[tuple[Level, Confounder]]:
        """The levels under which a crop may be looked at while the training goes on."""
        levels = levels_of(crop, dataset, self.protocol)
        return [(level, confounder) for level, confounder in levels if level.split != "unseen" or self.oracle]

    def quality(self, network: nn.Module, device: str) -> list[Quality]:
        """The quality of a network under every level that can be made, unseen levels too.

        Meant for a card, at the end of a training, when no choice is left that could depend on unseen levels. With one
        photograph there is no interval, and no level is called safe: crops of one photograph would not be independent.
        """
        return measured_quality(network, self.crops, self.protocol, device, dataset=VALIDATION)


def write_quality(folder: Path, validation: Validation, backbone: str, device: str) -> None:
    """Measure the weights that the folder of a finished training keeps, and write the result into their card."""
    network, _ = load_checkpoint(folder, backbone)
    with_quality(folder, validation.quality(on_device(network, device), device))
