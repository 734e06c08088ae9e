"""Networks of which it is known how far they see, for the tests of that measurement and of tiles."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.core.registry import build
from unseen.models.backbones import (
    BACKBONES,
    DRUNetSmall,
    NormalisationEquivariantCNN,
    PlainCNN,
    UNet,
    rrdb_small,
    small_form,
)


def drawn(network: nn.Module) -> nn.Module:
    """With weights as large as trained ones, so that the farthest inputs show."""
    draws = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        deviation = parameter[0].numel() ** -0.5 if parameter.ndim == 4 else 0.1
        parameter.data = deviation * torch.randn(parameter.shape, generator=draws)
    return network.eval()


def small(name: str) -> nn.Module:
    return drawn(build(f"{name}:{small_form(name)}", BACKBONES, "backbone", nn.Module))


OURS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: PlainCNN(features=8, depth=5),
    "plain_ne": lambda: NormalisationEquivariantCNN(features=8, depth=5),
    "rrdb_small": lambda: rrdb_small(features=6, growth=4, blocks=1),
    "rrdb ×2": lambda: rrdb_small(features=6, growth=4, blocks=1, scale=2),
    "rrdb ×4": lambda: rrdb_small(features=4, growth=3, blocks=1, scale=4),
    "unet of two levels": lambda: UNet(features=6, levels=2),
    "unet of three levels": lambda: UNet(features=4, levels=3, bias=False),
    "drunet_small": lambda: DRUNetSmall(features=4, levels=3),
    "drunet_small that keeps brightness": lambda: DRUNetSmall(features=4, levels=2, kept_brightness=True),
}


class Shifted(nn.Module):
    """Each output pixel is the sum of its input and one `across` and `down` from it."""

    def __init__(self, across: int, down: int) -> None:
        super().__init__()
        self.shifts = (down, across)

    def forward(self, x: Tensor) -> Tensor:
        shifted = x
        for axis, shift in zip((-2, -1), self.shifts, strict=True):
            indices = torch.arange(x.shape[axis]).sub(shift).clamp(0, x.shape[axis] - 1)
            shifted = shifted.index_select(axis, indices)
        return x + shifted


class Blocks(nn.Module):
    """Every pixel becomes the mean of its block of `side` pixels, enlarged `scale` times."""

    def __init__(self, side: int, scale: int = 1) -> None:
        super().__init__()
        self.side, self.factor = side, scale

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, [n for size in reversed(x.shape[-2:]) for n in (0, -size % self.side)], mode="replicate")
        means = F.interpolate(F.avg_pool2d(padded, self.side), scale_factor=self.side * self.factor)
        return means[..., : self.factor * x.shape[-2], : self.factor * x.shape[-1]]


class Mean(nn.Module):
    """Takes the mean away: every output hangs on every input."""

    def forward(self, x: Tensor) -> Tensor:
        return x - 0.01 * x.mean((-2, -1), keepdim=True)
