"""The range of values and the order of channels of other programs' networks, found by trials on flat images."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor, nn

from ..core.errors import UserError
from ..core.units import ValueRange
from .backbones.padded import Padded

LIMITS = {"0-1": (0.0, 1.0), "0-255": (0.0, 255.0), "-1-1": (-1.0, 1.0)}
"""Black and white of each range; a network is taken for the first that fits."""

GRAYS = (0.25, 0.5, 0.75)
"""Levels of the flat images, in [0, 1]."""
COLOUR = (0.9, 0.6, 0.3)
"""RGB of a flat image that shows the order of channels, in [0, 1]."""
SIDE = 64
"""Side of the flat images, pixels."""
FITS = 0.08
"""Largest deviation of a flat image from itself that counts as none, in [0, 1]."""
SIGMA = 25 / 255
"""Standard deviation of the noise by which two ranges that fit are told apart, in [0, 1]."""
CLEARLY = 2.0
"""Factor by which a later range must leave less of the noise than the first, to be taken instead."""


class InRange(nn.Module):
    """A network of another range or order of channels, as a network of [0, 1] and RGB.

    Attributes:
        network: the network inside.
        taken: name of the range that the network takes (`LIMITS`).
        made: name of the range that the network makes.
        reversed: whether the network turns RGB into BGR.
    """

    def __init__(self, network: nn.Module, taken: str, made: str, reversed: bool = False) -> None:
        super().__init__()
        self.network = network
        self.taken = taken
        self.made = made
        self.reversed = reversed

    def forward(self, x: Tensor) -> Tensor:
        """Restore (B, 3, H, W) in [0, 1]."""
        black, white = LIMITS[self.taken]
        output = self.network(black + (white - black) * x)
        output = output[0] if isinstance(output, tuple) else output  # as `Padded` does
        black, white = LIMITS[self.made]
        restored: Tensor = (output - black) / (white - black)
        return restored.flip(1) if self.reversed else restored


def in_unit_range(network: Padded, name: str, value_range: ValueRange = "auto") -> Padded:
    """Make a network of another program one of [0, 1] and RGB.

    Args:
        network: the network of the file, on the CPU in evaluation mode.
        name: name of the model, for messages.
        value_range: range of the network; `auto` to find it by trials: a network that restores leaves flat images as
            they are.

    Returns:
        The same network, with an `InRange` inside where its range or order is another.

    Raises:
        UserError: under `auto`, for a network that leaves grays as they are in no range, or fails on them.
    """
    if value_range == "auto":
        taken, made = _ranges(network, name)
        reversed = _reverses(network, taken, made)
    else:
        taken, made, reversed = value_range, value_range, False
    if (taken, made, reversed) != ("0-1", "0-1", False):
        network.module = InRange(network.module, taken, made, reversed).eval()
    return network


def _ranges(network: Padded, name: str) -> tuple[str, str]:
    """The ranges that a network takes and makes."""
    fitting = list(_fitting(network))
    if not fitting:
        levels = ", ".join(f"{level:g}" for level in GRAYS)
        made = ", ".join(f"{float(_flat(network, '0-1', (level,) * 3).mean()):.3g}" for level in GRAYS)
        raise UserError(
            f"{name}: makes {made} of flat grays of {levels}, and keeps them in none of the ranges "
            f"{', '.join(LIMITS)}; give --range 0-1 (or another) if it is meant to change them"
        )
    left = [_noise_left(network, *pair) for pair in fitting]
    least = min(range(len(left)), key=left.__getitem__)
    return fitting[least] if CLEARLY * left[least] < left[0] else fitting[0]


def _fitting(network: Padded) -> Iterator[tuple[str, str]]:
    """Pairs of ranges in which grays stay as they are, first those where both are one."""
    outputs = {taken: torch.stack([_flat(network, taken, (level,) * 3) for level in GRAYS]) for taken in LIMITS}
    for taken, made in sorted(product(LIMITS, LIMITS), key=lambda pair: pair[0] != pair[1]):
        black, white = LIMITS[made]
        deviation = ((outputs[taken] - black) / (white - black) - torch.tensor(GRAYS)[:, None]).abs().max()
        if deviation <= FITS:  # false for nan
            yield taken, made


def _reverses(network: Padded, taken: str, made: str) -> bool:
    """Whether a network makes the reverse of a colour, and not the colour."""
    black, white = LIMITS[made]
    colour, output = torch.tensor(COLOUR), (_flat(network, taken, COLOUR) - black) / (white - black)
    return bool((output - colour.flip(0)).abs().max() <= FITS)


@torch.inference_mode()
def _flat(network: Padded, taken: str, colour: tuple[float, ...]) -> Tensor:
    """The colour that a network makes of a flat image, away from its borders: (3,), in the network's range."""
    black, white = LIMITS[taken]
    image = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE)
    return _middle(network(black + (white - black) * image)).flatten(2).median(-1).values[0]


@torch.inference_mode()
def _noise_left(network: Padded, taken: str, made: str) -> float:
    """Standard deviation of what is left of noise on gray, in [0, 1]."""
    noise = SIGMA * torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    black, white = LIMITS[taken]
    output = network(black + (white - black) * (0.5 + noise).clamp(0, 1))
    black, white = LIMITS[made]
    return float(_middle(output).std()) / (white - black)


def _middle(images: Tensor) -> Tensor:
    rows, columns = (slice(side // 4, side - side // 4) for side in images.shape[-2:])
    return images[..., rows, columns]
