"""A plain network that follows every change of contrast and brightness: f(a·x + b) = a·f(x) + b.

Herbreteau, Moebel, Kervrann, *Normalization-Equivariant Neural Networks with Application to Image Denoising*,
NeurIPS 2023 (arXiv 2306.05037).
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import UserError
from .shared import LAST_INIT_SCALE, require_at_least


class NormalisationEquivariantCNN(nn.Module):
    """A plain stack that follows the image's scale and shift (Herbreteau et al. 2023, normalisation-equivariant).

    (B, channels, H, W) → the same shape, not clipped; any size from 1×1. f(a·x + b) = a·f(x) + b for every a > 0 and
    every b, whatever the parameters: each of the three components has this property.

        affine convolutions   `AffineConv`, whose weights sum to one, without bias
        sort pooling          `sort_pairs`, between them, in place of activations
        affine residual       t·x + (1 − t)·stack(x), t learned

    Departures: the weights sum to one by the nearest such kernel, where the published code takes differences of
    neighbouring weights. Deviations of the weights from their mean start normal with variance 1/fan-in, which keeps the
    variance of an image about its mean, since sorting changes no norm. t starts at 0.9 (in the published code, at a
    half): the network starts close to the identity, which is a good first restorer.

    Args:
        features: channels between the convolutions, an even number, since channels are sorted in pairs.
        depth: number of convolutions, two or more.
        residual: whether the output is the affine residual; otherwise it is stack(x), the paper's form of this network
            (its FDnCNN has no residuals; its DRUNet has such sums in its blocks).
        channels: channels of the image.

    Raises:
        UserError: for a size that is too small, and for `features` that make no pairs.
    """

    small: ClassVar[str] = "features=4,depth=3"
    """Settings with which the network is small enough for tests."""

    def __init__(self, features: int = 32, depth: int = 6, residual: bool = True, channels: int = 3) -> None:
        super().__init__()
        require_at_least(2, features=features, depth=depth)
        require_at_least(1, channels=channels)
        if features % 2:
            raise UserError(f"backbone.features: {features} is odd, sort pooling needs pairs: give an even number")
        self.channels = channels
        widths = [channels, *[features] * (depth - 1), channels]
        self.convs = nn.ModuleList(AffineConv(inputs, outputs) for inputs, outputs in pairwise(widths))
        self.t = nn.Parameter(torch.tensor(1 - LAST_INIT_SCALE)) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """Restore (B, channels, H, W)."""
        out: Tensor = self.convs[0](x)
        for conv in self.convs[1:]:
            out = conv(sort_pairs(out))
        return out if self.t is None else self.t * x + (1 - self.t) * out

    @property
    def receptive_radius(self) -> int:
        """The largest distance, in rows or columns, between an output pixel and an input pixel that changes it.

        In pixels: one for each convolution, `depth`.
        """
        return len(self.convs)


class AffineConv(nn.Module):
    """A 3×3 convolution that takes weighted means, of weights of either sign: (B, inputs, H, W) → (B, outputs, H, W).

    The image is mirrored about its last pixels, which are not repeated; if height or width is one pixel, the last
    pixels are repeated on all sides instead. Padding with zeros would add a brightness of its own.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        nn.init.normal_(self.weight, std=self.weight[0].numel() ** -0.5)

    def kernel(self) -> Tensor:
        """The kernel nearest to `weight` whose entries, over inputs and window, sum to one for each output."""
        return self.weight - self.weight.mean((1, 2, 3), keepdim=True) + 1 / self.weight[0].numel()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H, W)."""
        mode = "reflect" if min(x.shape[-2:]) > 1 else "replicate"
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode), self.kernel())


def sort_pairs(x: Tensor) -> Tensor:
    """Sort pooling, (B, C, H, W) → the same shape: channel i of both halves in order, the smaller in the first half.

    A change of contrast and brightness keeps the order; of the functions of one channel, only the identity follows such
    a change.
    """
    first, second = x.chunk(2, dim=1)
    return torch.cat((torch.minimum(first, second), torch.maximum(first, second)), dim=1)
