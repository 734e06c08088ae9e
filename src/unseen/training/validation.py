"""What a training looks at on its way: validation photographs under the levels that it may choose by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from ..data.photo import Photo
from ..data.sources import trimmed
from ..data.tensors import to_tensor
from ..evaluation.inputs import at_size_of, distort, inputs_of, levels_of
from ..evaluation.metrics import psnr
from ..evaluation.noise import noise_level
from ..evaluation.quality import mean_noise
from ..models.card import VALIDATION, Quality
from ..models.checkpoint import load_checkpoint, with_quality
from ..models.inference import on_device, restore_batch
from ..protocols.levels import Level, Split
from ..protocols.protocol import Protocol


@dataclass(frozen=True)
class Validation:
    """Centres of the validation photographs under the seen and held-out levels.

    With `oracle` under the unseen levels too, those that can be made; without, nothing unseen is in it.
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
        """At most `most` photographs, and as many pairs of each set, at most `size` pixels a side."""
        size -= size % protocol.step
        sets = [(VALIDATION, trimmed(photos, protocol.step)), *pairs.items()]
        return cls([(name, photo.centre(size)) for name, found in sets for photo in found[:most]], protocol, oracle)

    def measure(self, network: nn.Module, device: str) -> dict[Split, float]:
        """Mean PSNR in dB over crops and levels of each split."""
        convention = self.protocol.convention
        found: dict[Split, list[float]] = {}
        for dataset, crop in self.crops:
            clean = to_tensor(crop.pixels)
            for level, confounder in levels_of(crop, dataset, self.protocol):
                if level.split != "unseen" or self.oracle:
                    distorted = distort(crop, confounder, convention, 0, dataset)
                    value = float(psnr(restore_batch(network, distorted, device), clean, convention))
                    found.setdefault(level.split, []).append(value)
        return {split: sum(values) / len(values) for split, values in found.items()}

    def quality(self, network: nn.Module, device: str) -> list[Quality]:
        """Under every level that can be made, unseen ones too: for a card, when nothing is left to be chosen.

        With one photograph there is no interval, and nothing is called safe: parts of it are not other photographs.
        """
        psnrs: dict[Level, list[tuple[float, float]]] = {}
        readings: dict[Level, list[float]] = {}
        for dataset, crop in self.crops:
            clean = to_tensor(crop.pixels)
            for level, image in inputs_of(crop, dataset, self.protocol, 0).items():
                pair = (at_size_of(clean, image), restore_batch(network, image, device))
                before, after = (float(psnr(shown, clean, self.protocol.convention)) for shown in pair)
                psnrs.setdefault(level, []).append((before, after))
                readings.setdefault(level, []).append(noise_level(image))
        return [Quality.of(level, VALIDATION, psnrs[level], mean_noise(readings[level])) for level in psnrs]


def write_quality(folder: Path, validation: Validation, backbone: str, device: str) -> None:
    """At the end of a run: measure the weights that its folder keeps, and write the result into their card."""
    network, _ = load_checkpoint(folder, backbone)
    with_quality(folder, validation.quality(on_device(network, device), device))
