"""RRDB, the network of the DIL paper: residual-in-residual dense blocks, with upsampling at the end at scales 2 and 4.

Wang et al., *ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks*, ECCV Workshops 2018
(arXiv 1809.00219), section 3.1. The modules bear the names that the published weights made customary,
so that a checkpoint opens wherever ESRGAN models do.
"""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import UserError
from .shared import leaky_conv, require_at_least, small

RESIDUAL_SCALE = 0.2
INIT_SCALE = 0.1
CONVS_PER_DENSE_BLOCK = 5
DENSE_BLOCKS_PER_RRDB = 3

Scale = Literal[1, 2, 4]


def esrgan_conv3x3(inputs: int, outputs: int, bias: bool) -> nn.Conv2d:
    """A 3×3 convolution that keeps the image size (zero padding), with the initial weights of PyTorch.

    Without bias, a constant zero that is not trained takes the place of the bias: community loaders build the network
    with biases and refuse a file that lacks them.
    """
    conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=bias)
    if not bias:
        del conv.bias
        conv.register_buffer("bias", torch.zeros(outputs))
    return conv


class DenseBlock(nn.Module):
    """Five 3×3 convolutions, each fed with the input and all earlier outputs, and a scaled residual.

    (B, features, H, W) → the same shape.

    Args:
        features: channels of input and output.
        growth: channels that each of the first four convolutions adds.
        bias: whether convolutions have biases.
    """

    def __init__(self, features: int, growth: int, bias: bool) -> None:
        super().__init__()
        self.conv1 = esrgan_conv3x3(features, growth, bias)
        self.conv2 = esrgan_conv3x3(features + growth, growth, bias)
        self.conv3 = esrgan_conv3x3(features + 2 * growth, growth, bias)
        self.conv4 = esrgan_conv3x3(features + 3 * growth, growth, bias)
        self.conv5 = esrgan_conv3x3(features + 4 * growth, features, bias)
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            initialise_small(conv)

    def forward(self, x: Tensor) -> Tensor:
        """(B, features, H, W) → the same shape."""
        dense = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            dense = torch.cat((dense, leaky_conv(conv, dense)), dim=1)
        residual: Tensor = self.conv5(dense)
        return x + RESIDUAL_SCALE * residual


def initialise_small(conv: nn.Conv2d) -> None:
    """Initialise Kaiming normal (fan in, as for ReLU) × 0.1, bias zero: each block starts close to the identity.

    This makes residual networks of such depth easier to train (Wang et al. 2018, section 3.1).
    """
    nn.init.kaiming_normal_(conv.weight)
    with torch.no_grad():
        conv.weight.mul_(INIT_SCALE)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


class ResidualInResidual(nn.Module):
    """Three dense blocks in a row inside one more scaled residual.

    (B, features, H, W) → the same shape; arguments as for `DenseBlock`.
    """

    def __init__(self, features: int, growth: int, bias: bool) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(features, growth, bias)
        self.rdb2 = DenseBlock(features, growth, bias)
        self.rdb3 = DenseBlock(features, growth, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, features, H, W) → the same shape."""
        residual: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return x + RESIDUAL_SCALE * residual


class RRDB(nn.Module):
    """Residual-in-residual dense blocks, the paper's network; ×2 and ×4 as ESRGAN does it (Wang et al. 2018, ESRGAN).

    (B, channels, H, W) in [0, 1] → (B, channels, scale·H, scale·W), not clipped; any size. There is no
    residual from input to output: the network computes the whole image.

    The default size is the paper's, 16 624 131 parameters. Each doubling of `scale` repeats every pixel of the trunk's
    output (nearest neighbour) and adds one convolution. Real-ESRGAN's ×2 is another network, which folds the input to a
    quarter and enlarges it by four.

    `state_dict()` is keyed as Real-ESRGAN keys it, with zeros for the biases of a bias-free network, so that
    spandrel's loader, and every viewer built on it, recognises an ESRGAN of this scale as long as `growth` is
    32, which that loader takes for granted.

    Args:
        features: width of the trunk.
        growth: channels that each dense convolution adds to the features.
        blocks: number of residual-in-residual blocks.
        bias: whether convolutions have biases. Without them no additive constant is left, and f(a·x) = a·f(x) for every
            a > 0 (Mohan et al. 2020, bias-free denoisers).
        channels: channels of the image.
        scale: 1, 2 or 4.

    Raises:
        UserError: for a size below 1 and for another scale.
    """

    small: ClassVar[str] = "features=4,growth=3,blocks=1"
    """Settings with which the network is small enough for tests."""

    def __init__(
        self,
        features: int = 64,
        growth: int = 32,
        blocks: int = 23,
        bias: bool = True,
        channels: int = 3,
        scale: Scale = 1,
    ) -> None:
        super().__init__()
        require_at_least(1, features=features, growth=growth, blocks=blocks, channels=channels)
        if scale not in get_args(Scale):
            raise UserError(f"backbone.scale: {scale} is none of {', '.join(map(str, get_args(Scale)))}")
        self.scale = scale
        self.channels = channels
        self.conv_first = esrgan_conv3x3(channels, features, bias)
        self.body = nn.Sequential(*(ResidualInResidual(features, growth, bias) for _ in range(blocks)))
        self.conv_body = esrgan_conv3x3(features, features, bias)
        if scale > 1:
            self.conv_up1 = esrgan_conv3x3(features, features, bias)
        if scale > 2:
            self.conv_up2 = esrgan_conv3x3(features, features, bias)
        self.conv_hr = esrgan_conv3x3(features, features, bias)
        self.conv_last = esrgan_conv3x3(features, channels, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Restore (B, channels, H, W) to (B, channels, scale·H, scale·W)."""
        shallow: Tensor = self.conv_first(x)
        deep = shallow + self.conv_body(self.body(shallow))
        if self.scale > 1:
            deep = leaky_conv(self.conv_up1, doubled(deep))
        if self.scale > 2:
            deep = leaky_conv(self.conv_up2, doubled(deep))
        restored: Tensor = self.conv_last(leaky_conv(self.conv_hr, deep))
        return restored

    @property
    def receptive_radius(self) -> int:
        """The largest distance, in rows or columns, between an output pixel and an input pixel that changes it.

        In input pixels: one for each 3×3 convolution on the longest path, 349 for 23 blocks at scale 1. Tiles
        that overlap by this much on every side are restored exactly as the whole image is.
        """
        enlarged = 2  # conv_hr and conv_last
        for _ in range(self.scale // 2):  # 0, 1 or 2 doublings
            enlarged = -(-(enlarged + 1) // 2)  # with the convolution after it; rounded up to whole pixels
        in_blocks = len(self.body) * DENSE_BLOCKS_PER_RRDB * CONVS_PER_DENSE_BLOCK
        return 1 + in_blocks + 1 + enlarged


def doubled(x: Tensor) -> Tensor:
    """Repeat every pixel four times: (B, C, H, W) → (B, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


@small("features=4,growth=3,blocks=1")
def rrdb_small(features: int = 16, growth: int = 8, blocks: int = 2, bias: bool = True, scale: Scale = 1) -> RRDB:
    """RRDB in miniature, for two CPU cores and for demonstrations (Wang et al. 2018, ESRGAN).

    The layout of `RRDB` for RGB with 95 667 parameters at its defaults. At growth 8 community loaders,
    which take 32 for granted, do not open it.
    """
    return RRDB(features=features, growth=growth, blocks=blocks, bias=bias, scale=scale)
