"""The networks that `unseen` trains by name; any other `nn.Module` serves as well.

Every backbone maps (B, 3, H, W) in [0, 1] to the same shape, or to `scale` times the height and width where it has
such a setting, at any size from 1×1. In evaluation mode it draws no random numbers and changes no buffer, so that a
virtual update needs only `torch.func.functional_call` with other parameters.

The networks written here do not clip their output and have no in-place operation, so that their second derivatives are
right. Those of `ZOO` are by others: docs/backbones.md lists those whose second derivatives are wrong.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .capped_noise import CappedNoise, capped_noise_of
from .drunet import DRUNetSmall
from .normalisation_equivariant import NormalisationEquivariantCNN
from .padded import Padded
from .plain import PlainCNN
from .rrdb import RRDB, rrdb_small
from .unet import UNet
from .unit_noise import UnitNoise, unit_noise_of
from .wne import WNE, wne_of
from .zoo import ZOO

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "rrdb": RRDB,
    "rrdb_small": rrdb_small,
    "plain": PlainCNN,
    "plain_ne": NormalisationEquivariantCNN,
    "unet": UNet,
    "drunet_small": DRUNetSmall,
    "wne": wne_of,
    "unit_noise": unit_noise_of,
    "capped_noise": capped_noise_of,
    **ZOO,
}
"""Name → class or function that builds the backbone. Each docstring begins with the network and its source."""


def small_form(name: str) -> str:
    """Settings that make a built-in backbone small enough for tests; empty if the backbone has one size only."""
    settings: str = vars(BACKBONES[name])["small"]
    return settings


__all__ = [
    "BACKBONES",
    "RRDB",
    "WNE",
    "ZOO",
    "CappedNoise",
    "DRUNetSmall",
    "NormalisationEquivariantCNN",
    "Padded",
    "PlainCNN",
    "UNet",
    "UnitNoise",
    "capped_noise_of",
    "rrdb_small",
    "small_form",
    "unit_noise_of",
    "wne_of",
]
