"""Any size for networks that take only some sizes."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F


def extend(x: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W), continued to the right and below to `height` and `width`, neither below its own.

    Each direction is mirrored about its last pixel, which is not repeated; one that has no more pixels than are
    missing repeats its last pixel instead. Always a copy, even where nothing is missing.
    """
    right, below = width - x.shape[-1], height - x.shape[-2]
    x = F.pad(x, (0, right, 0, 0), mode="reflect" if right < x.shape[-1] else "replicate")
    return F.pad(x, (0, 0, 0, below), mode="reflect" if below < x.shape[-2] else "replicate")


def next_multiple(size: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is not below `size`."""
    return (size + multiple - 1) // multiple * multiple  # ONNX exporters take ⌊·⌋ of a negative for truncation


class Padded(nn.Module):
    """A network that is given only sizes it can take, and whose output is cut to fit.

    (B, C, H, W) → (B, C, scale·H, scale·W), any size from 1×1. What `module` is given is continued (`extend`) to
    multiples of `multiple` pixels, at least `smallest`, and to a square if `square`.

    Parameters are named `module.` and what the network calls them: loaders that strip this prefix, which PyTorch's own
    wrappers leave as well, find a plain network. With `as_in_training` the network stays in training mode whatever
    `train` and `eval` say, for one whose evaluation mode is a shortcut that has no derivative.
    """

    def __init__(
        self,
        module: nn.Module,
        multiple: int = 1,
        scale: int = 1,
        *,
        smallest: int = 1,
        square: bool = False,
        as_in_training: bool = False,
    ) -> None:
        super().__init__()
        self.module = module
        self.multiple = multiple
        self.scale = scale
        self.smallest = smallest
        self.square = square
        self.as_in_training = as_in_training

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        rows, columns = (next_multiple(max(size, self.smallest), self.multiple) for size in (height, width))
        if self.square:
            rows = columns = max(rows, columns)
        found = self.module(extend(x, rows, columns))  # a copy: some networks write over what they are given
        restored: Tensor = found[0] if isinstance(found, tuple) else found  # the rest is estimated on the way
        return restored[..., : self.scale * height, : self.scale * width]

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.as_in_training:
            self.module.train()
        return self
