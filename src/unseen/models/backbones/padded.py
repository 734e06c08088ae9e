"""Padding, so that networks which take only some sizes restore images of any size."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F


def extend(x: Tensor, height: int, width: int) -> Tensor:
    """Continue images to the right and below.

    Each direction is mirrored about its last pixel, which is not repeated; one that has no more pixels than are
    missing repeats its last pixel instead.

    Args:
        x: (B, C, H, W).
        height: the new height, not below H.
        width: the new width, not below W.

    Returns:
        (B, C, height, width), always a copy.
    """
    right, below = width - x.shape[-1], height - x.shape[-2]
    x = F.pad(x, (0, right, 0, 0), mode="reflect" if right < x.shape[-1] else "replicate")
    return F.pad(x, (0, 0, 0, below), mode="reflect" if below < x.shape[-2] else "replicate")


def next_multiple(size: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is not below `size`."""
    return (size + multiple - 1) // multiple * multiple  # ONNX exporters take ⌊·⌋ of a negative for truncation


class Padded(nn.Module):
    """A network whose images are continued to sizes that it takes, and whose output is cut to fit.

    (B, C, H, W) → (B, C, scale·H, scale·W), any size from 1×1. The names of parameters begin with `module.`: loaders
    that strip this prefix, which PyTorch's own wrappers leave as well, find a plain network.

    Args:
        module: the network.
        multiple: images are continued (`extend`) to multiples of this, pixels.
        scale: factor by which the network enlarges.
        smallest: images are continued to at least this side, pixels.
        square: whether images are continued to squares.
        as_in_training: whether the network stays in training mode whatever `train` and `eval` say, for one whose
            evaluation mode is a shortcut that has no derivative.
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
        """Restore (B, C, H, W) to (B, C, scale·H, scale·W)."""
        height, width = x.shape[-2:]
        rows, columns = (next_multiple(max(size, self.smallest), self.multiple) for size in (height, width))
        if self.square:
            rows = columns = max(rows, columns)
        output = self.module(extend(x, rows, columns))  # a copy: some networks write over their input
        restored: Tensor = output[0] if isinstance(output, tuple) else output  # the rest is estimated on the way
        return restored[..., : self.scale * height, : self.scale * width]

    def train(self, mode: bool = True) -> Self:
        """Set training mode or evaluation mode, with the exception of `as_in_training`."""
        super().train(mode)
        if self.as_in_training:
            self.module.train()
        return self
