"""What a training looks at on its way: validation photographs under the levels that it may choose by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from .data import Photo
from .data.patches import to_tensor
from .data.sources import trimmed
from .evaluation import distort, levels_of, restore
from .metrics import psnr
from .protocols import Protocol
from .rows import Split


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
        sets = [("validation", trimmed(photos, protocol.step)), *pairs.items()]
        return cls([(name, photo.centre(size)) for name, found in sets for photo in found[:most]], protocol, oracle)

    def measure(self, network: nn.Module, device: str) -> dict[Split, float]:
        """Mean PSNR in dB over crops and levels of each split."""
        convention = self.protocol.convention
        found: dict[Split, list[float]] = {}
        for dataset, crop in self.crops:
            clean = to_tensor(crop.pixels)
            for split, confounder in levels_of(crop, dataset, self.protocol):
                if split != "unseen" or self.oracle:
                    distorted = distort(crop, confounder, convention, 0, dataset)
                    value = float(psnr(restore(network, distorted, device), clean, convention))
                    found.setdefault(split, []).append(value)
        return {split: sum(values) / len(values) for split, values in found.items()}
