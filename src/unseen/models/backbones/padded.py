"""Padding, by which networks that take only some sizes restore images of any size."""

from __future__ import annotations

from typing import ClassVar, Self

from torch import Tensor, nn
from torch.nn import functional as F


def extend(x: Tensor, height: int, width: int) -> Tensor:
    """Pad images to a new size on the right and below.

    Each direction is mirrored about its last pixel, which is not repeated. Where a direction is not longer than its
    padding, the last pixel is repeated instead.

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
    """A wrapper that pads images to sizes that a network takes, and cuts the output to fit.

    (B, C, H, W) → (B, C, scale·H, scale·W), any size from 1×1. The names of parameters begin with `module.`: loaders
    that strip this prefix, which PyTorch's own wrappers leave as well, find a plain network.

    Args:
        module: the network.
        multiple: divisor of the sides that the network takes, pixels.
        scale: factor by which the network enlarges.
        smallest: smallest side that the network takes, pixels.
        square: whether the network takes squares only.
        as_in_training: whether the network stays in training mode whatever `train` and `eval` say, for a network whose
            evaluation mode is a shortcut without derivative.
    """

    channels: ClassVar[int] = 3
    """Channels of the images: those of the networks that are wrapped, or `Adapted` to, RGB."""

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

    def forward(self, x: Tensor, **settings: Tensor) -> Tensor:
        """Restore (B, C, H, W) to (B, C, scale·H, scale·W); the network gets `settings` besides the images."""
        height, width = x.shape[-2:]
        rows, columns = (next_multiple(max(size, self.smallest), self.multiple) for size in (height, width))
        if self.square:
            rows = columns = max(rows, columns)
        output = self.module(extend(x, rows, columns), **settings)  # a copy, since some networks overwrite their input
        restored: Tensor = output[0] if isinstance(output, tuple) else output  # the others are by-products
        return restored[..., : self.scale * height, : self.scale * width]

    def train(self, mode: bool = True) -> Self:
        """Set training mode or evaluation mode, with the exception of `as_in_training`."""
        super().train(mode)
        if self.as_in_training:
            self.module.train()
        return self
