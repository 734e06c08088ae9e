"""The networks that `unseen` trains by name; any other `nn.Module` serves as well.

Every backbone maps (B, channels, H, W) in [0, 1] to the same shape, at any size from 1×1, does not
clip its output, and has no buffer that changes, no randomness and no in-place operation, so that its second
derivatives exist and `torch.func.functional_call` with other parameters is all there is to a virtual
update.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from unseen.backbones.plain import PlainCNN
from unseen.backbones.rrdb import RRDB, rrdb_small

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "rrdb": RRDB,
    "rrdb_small": rrdb_small,
    "plain": PlainCNN,
}
"""Name → what builds it. The first line of each docstring says what it is and where it comes from."""

__all__ = ["BACKBONES", "RRDB", "PlainCNN", "rrdb_small"]
