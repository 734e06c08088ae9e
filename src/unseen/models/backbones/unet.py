"""A small U-Net: several resolutions, for distortions that spread farther than a few pixels.

Ronneberger et al., *U-Net: Convolutional Networks for Biomedical Image Segmentation*, MICCAI 2015
(arXiv 1505.04597).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .padded import extend, next_multiple
from .shared import LAST_INIT_SCALE, farthest_row, kaiming_conv3x3, leaky_conv, require_at_least

CONVS_PER_BLOCK = 2


class Block(nn.Module):
    """Two 3×3 convolutions, each with a leaky ReLU: (B, inputs, H, W) → (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.conv1 = kaiming_conv3x3(inputs, outputs, bias)
        self.conv2 = kaiming_conv3x3(outputs, outputs, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H, W)."""
        return leaky_conv(self.conv2, leaky_conv(self.conv1, x))


class UNet(nn.Module):
    """Convolutions on several resolutions, joined by skips at each (Ronneberger et al. 2015, U-Net).

    (B, channels, H, W) in [0, 1] → the same shape, not clipped; any size from 1×1: the image is padded on the right and
    below to a multiple of `stride` (mirrored, or the last pixel repeated where the image is too small for that), and
    the output cut to fit.

    The defaults make 117 459 parameters. Departures from the paper, for restoration: the output is input −
    network(input), as in `PlainCNN`; convolutions keep the size; resolution is halved by 2×2 means, since maxima of
    noise are biased; a leaky ReLU of slope 0.2.
    Weights start Kaiming normal, the last layer's × 0.1; biases at zero.

    Args:
        features: width at the full resolution; it doubles with each halving of the resolution.
        levels: number of times that the resolution is halved.
        bias: whether convolutions have biases. Without them no additive constant is left, and f(a·x) = a·f(x) for every
            a > 0.
        channels: channels of the image.

    Raises:
        UserError: for a size that is too small.
    """

    small: ClassVar[str] = "features=4,levels=1"
    """Settings with which the network is small enough for tests."""

    def __init__(self, features: int = 16, levels: int = 2, bias: bool = True, channels: int = 3) -> None:
        super().__init__()
        require_at_least(1, features=features, levels=levels, channels=channels)
        self.channels = channels
        widths = [features * 2**level for level in range(levels)]
        self.down = nn.ModuleList(
            Block(inputs, width, bias) for inputs, width in zip([channels, *widths], widths, strict=False)
        )
        self.bottom = Block(widths[-1], 2 * widths[-1], bias)
        self.enlarge = nn.ModuleList(up_convolution(2 * width, width, bias) for width in widths)
        self.up = nn.ModuleList(Block(2 * width, width, bias) for width in widths)
        self.last = kaiming_conv3x3(features, channels, bias)
        # The network then starts close to the identity, which is a good first restorer.
        with torch.no_grad():
            self.last.weight.mul_(LAST_INIT_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        """Restore (B, channels, H, W)."""
        height, width = x.shape[-2:]
        features = extend(x, next_multiple(height, self.stride), next_multiple(width, self.stride))
        skips = []
        for block in self.down:
            skips.append(block(features))
            features = F.avg_pool2d(skips[-1], 2)
        features = self.bottom(features)
        for skip, enlarge, block in reversed(list(zip(skips, self.enlarge, self.up, strict=True))):
            features = block(torch.cat((skip, enlarge(features)), dim=1))
        noise: Tensor = self.last(features)[..., :height, :width]
        return x - noise

    @property
    def stride(self) -> int:
        """Side in pixels of one pixel of the lowest resolution; tiles are exact if they begin at multiples of it."""
        stride: int = 2 ** len(self.down)
        return stride

    @property
    def receptive_radius(self) -> int:
        """The largest distance, in rows or columns, between an output pixel and an input pixel that changes it.

        In pixels, over all places of the output pixel on the grid of `stride`. It holds away from the padding.
        """
        return farthest_row(self.seen_by, self.stride)

    def seen_by(self, pixel: int) -> tuple[int, int]:
        """The first and the last input row that output row `pixel` depends on; the same for columns."""
        low, high = pixel - 1, pixel + 1  # the last convolution
        for _ in self.up:
            low, high = (low - CONVS_PER_BLOCK) // 2, (high + CONVS_PER_BLOCK) // 2
        low, high = low - CONVS_PER_BLOCK, high + CONVS_PER_BLOCK
        for _ in self.down:
            low, high = 2 * low - CONVS_PER_BLOCK, 2 * high + 1 + CONVS_PER_BLOCK
        return low, high


def up_convolution(inputs: int, outputs: int, bias: bool) -> nn.ConvTranspose2d:
    """A 2×2 transposed convolution of stride 2: (B, inputs, H, W) → (B, outputs, 2H, 2W).

    No activation follows, and each output pixel sees one input pixel: Kaiming normal is of deviation 1/√inputs.
    """
    conv = nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2, bias=bias)
    nn.init.normal_(conv.weight, std=inputs**-0.5)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
