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


def require_at_least(smallest: int, **sizes: int) -> None:
    """Raise `UserError`, naming the first of `sizes` that is below `smallest`."""
    for name, size in sizes.items():
        if size < smallest:
            raise UserError(f"backbone.{name}: {size} is too small, give {smallest} or more")


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope `NEGATIVE_SLOPE`, never in place: a double backward needs its input."""
    return F.leaky_relu(x, NEGATIVE_SLOPE)


def leaky_conv(conv: nn.Module, x: Tensor) -> Tensor:
    """Leaky ReLU of a convolution, to the same bits everywhere; one operation where oneDNN restores on a CPU.

    There the activations pass through memory once instead of twice, which is a tenth of the time of a network.
    In bfloat16 they are two: autocast does not know the one, which also rounds once less.
    """
    if not torch.is_inference_mode_enabled() or x.device.type != "cpu" or not isinstance(conv, nn.Conv2d):
        return leaky_relu(conv(x))
    if torch.is_autocast_enabled("cpu") or x.dtype != torch.float32:
        return leaky_relu(conv(x))
    padding, stride, dilation = (list(map(int, sizes)) for sizes in (conv.padding, conv.stride, conv.dilation))
    backend = torch._C._select_conv_backend(
        x, conv.weight, conv.bias, stride, padding, dilation, False, [0, 0], conv.groups
    )
    if backend.name != "Mkldnn":  # small images
        return leaky_relu(conv(x))
    activated: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, conv.weight, conv.bias, padding, stride, dilation, conv.groups, "leaky_relu", [NEGATIVE_SLOPE], ""
    )
    return activated


def kaiming_conv3x3(inputs: int, outputs: int, bias: bool) -> nn.Conv2d:
    """A 3×3 convolution that keeps the image size (zero padding), Kaiming normal with zero bias."""
    conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=bias)
    nn.init.kaiming_normal_(conv.weight, a=NEGATIVE_SLOPE)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
