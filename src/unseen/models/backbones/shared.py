"""Code that the backbones share: convolutions, the check of sizes, and the small forms for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import UserError

NEGATIVE_SLOPE = 0.2
"""Slope of the leaky ReLU below zero."""

LAST_INIT_SCALE = 0.1
"""Factor on the initial weights of the last layer: a residual network then starts close to the identity."""

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])


@runtime_checkable
class ReadsNoise(Protocol):
    """A network that reads the noise of its input itself, and takes a `strength`: a factor of what it read."""

    def noise_map(self, x: Tensor) -> Tensor:
        """The deviation of the noise in (B, 3, H, W), in units of the range: (B, channels, h, w)."""

    def forward(self, x: Tensor, strength: Tensor | None = None) -> Tensor:
        """Restore (B, 3, H, W) with the noise map times `strength`, of shape () or (B,); None for 1."""


def small(settings: str) -> Callable[[Builder], Builder]:
    """Decorate a function that builds a backbone with its small form; a class has its own attribute `small`.

    Args:
        settings: settings with which the network is small enough for tests, in the form that follows the name of a
            backbone; empty where the network has one size only.
    """

    def with_small_form(builder: Builder) -> Builder:
        marked: Any = builder
        marked.small = settings
        return builder

    return with_small_form


def farthest_row(seen_by: Callable[[int], tuple[int, int]], stride: int) -> int:
    """The largest distance between an output row and an input row that it depends on, over all places on a grid.

    Args:
        seen_by: function from an output row to the first and the last input row that it depends on.
        stride: rows from one place of the grid to the next.
    """
    rows = {row: seen_by(row) for row in range(stride)}
    return max(max(row - low, high - row) for row, (low, high) in rows.items())


def require_at_least(smallest: int, **sizes: int) -> None:
    """Raise `UserError`, naming the first of `sizes` that is below `smallest`."""
    for name, size in sizes.items():
        if size < smallest:
            raise UserError(f"backbone.{name}: {size} is too small, give {smallest} or more")


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope `NEGATIVE_SLOPE`, never in place: a double backward needs its input."""
    return F.leaky_relu(x, NEGATIVE_SLOPE)


def leaky_conv(conv: nn.Module, x: Tensor) -> Tensor:
    """Leaky ReLU of a convolution, to the same bits in float32; one operation where oneDNN restores on a CPU.

    There the activations pass through memory once instead of twice, which is a tenth of the time of a network. In
    bfloat16 the one operation rounds once less than two do: bits differ, by a rounding.
    """
    return convolved(conv, x, leaky=True) if isinstance(conv, nn.Conv2d) else leaky_relu(conv(x))


def convolved(conv: nn.Conv2d, x: Tensor, *, leaky: bool, rows_padded: bool = False) -> Tensor:
    """A convolution, and a leaky ReLU after it if `leaky` (`leaky_conv`).

    Args:
        conv: the convolution.
        x: its input, (B, C, H, W).
        leaky: whether a leaky ReLU follows.
        rows_padded: whether `x` has the padding above and below already.
    """
    onednn = _onednn(conv, x, rows_padded) if leaky else None
    if onednn is None:
        convolution = _convolution(conv, x, rows_padded)
        return leaky_relu(convolution) if leaky else convolution
    activated: Tensor = torch.ops.mkldnn._convolution_pointwise(*onednn, "leaky_relu", [NEGATIVE_SLOPE], "")
    return activated


def convolved_onto(base: Tensor, conv: nn.Conv2d, x: Tensor, *, rows_padded: bool = False) -> Tensor:
    """The sum of `base` and a convolution of `x`; in the memory of `base`, and to the same bits, as `leaky_conv`."""
    onednn = _onednn(conv, x, rows_padded)
    if onednn is None or base.dtype != onednn[0].dtype:
        return base + _convolution(conv, x, rows_padded)
    added: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(base, *onednn, "add", 1.0, None, [], None)
    return added


def _convolution(conv: nn.Conv2d, x: Tensor, rows_padded: bool) -> Tensor:
    """A convolution by its module, whose hooks are called; of an input with padded rows, by its weights."""
    if not rows_padded:
        convolution: Tensor = conv(x)
        return convolution
    stride, padding, dilation = _sizes(conv, rows_padded)
    return F.conv2d(x, conv.weight, conv.bias, stride, padding, dilation, conv.groups)


def _sizes(conv: nn.Conv2d, rows_padded: bool) -> tuple[list[int], list[int], list[int]]:
    """Stride, padding and dilation of a convolution, without the padding of rows if the input has it already."""
    stride, padding, dilation = (list(map(int, sizes)) for sizes in (conv.stride, conv.padding, conv.dilation))
    return stride, [0 if rows_padded else padding[0], padding[1]], dilation


def _onednn(conv: nn.Conv2d, x: Tensor, rows_padded: bool) -> tuple[Any, ...] | None:
    """The operands of oneDNN for a convolution that may be one operation with what follows; None for any other.

    Without gradients, on a CPU, in float32, or under autocast in bfloat16: autocast does not know the one operation,
    so that its operands are rounded here.
    """
    if not torch.is_inference_mode_enabled() or x.device.type != "cpu":
        return None
    weight, bias = conv.weight, conv.bias
    if torch.is_autocast_enabled("cpu"):
        kind = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(kind), weight.to(kind), None if bias is None else bias.to(kind)
    elif x.dtype != torch.float32:
        return None
    stride, padding, dilation = _sizes(conv, rows_padded)
    backend = torch._C._select_conv_backend(  # another one for small images
        x, weight, bias, stride, padding, dilation, False, [0, 0], conv.groups
    )
    if backend.name != "Mkldnn":
        return None
    return x, weight, bias, padding, stride, dilation, conv.groups


def kaiming_conv3x3(inputs: int, outputs: int, bias: bool) -> nn.Conv2d:
    """A 3×3 convolution that keeps the image size (zero padding), Kaiming normal with zero bias."""
    conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=bias)
    nn.init.kaiming_normal_(conv.weight, a=NEGATIVE_SLOPE)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
