"""A plain convolutional network, to check whether a result with RRDB holds for another network.

Zhang et al., *Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising*, IEEE TIP
2017 (arXiv 1608.03981), less its batch normalisation, whose statistics would tie the images of a batch
together and whose buffers a virtual update would change.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from .shared import LAST_INIT_SCALE, kaiming_conv3x3, leaky_conv, require_at_least


class PlainCNN(nn.Module):
    """A plain stack of 3×3 convolutions without batch norm (Zhang et al. 2017, DnCNN).

    (B, channels, H, W) in [0, 1] → the same shape, not clipped; any size. A leaky ReLU of slope 0.2
    stands between the convolutions where the paper has a ReLU: no unit dies in a short training.

    Weights start Kaiming normal (the paper's, for a leaky ReLU), the last layer's × 0.1; biases at zero.

    Args:
        features: channels between the convolutions.
        depth: number of convolutions, two or more.
        bias: whether convolutions have biases. Without them no additive constant is left, and f(a·x) = a·f(x) for every
            a > 0.
        residual: whether the stack estimates the distortion, so that the output is input − stack(input) (the paper's
            residual learning, section III); otherwise the output is stack(input).
        channels: channels of the image.

    Raises:
        UserError: for a size that is too small.
    """

    small: ClassVar[str] = "features=4,depth=3"
    """Settings with which the network is small enough for tests."""

    def __init__(
        self,
        features: int = 32,
        depth: int = 6,
        bias: bool = True,
        residual: bool = True,
        channels: int = 3,
    ) -> None:
        super().__init__()
        require_at_least(1, features=features, channels=channels)
        require_at_least(2, depth=depth)
        self.residual = residual
        self.channels = channels
        widths = [channels, *[features] * (depth - 1), channels]
        convs = [kaiming_conv3x3(inputs, outputs, bias) for inputs, outputs in pairwise(widths)]
        # The residual form then starts close to the identity, which is a good first denoiser.
        with torch.no_grad():
            convs[-1].weight.mul_(LAST_INIT_SCALE)
        self.convs = nn.ModuleList(convs)

    def forward(self, x: Tensor) -> Tensor:
        """Restore (B, channels, H, W)."""
        features = x
        for conv in self.convs[:-1]:
            features = leaky_conv(conv, features)
        out: Tensor = self.convs[-1](features)
        return x - out if self.residual else out

    @property
    def receptive_radius(self) -> int:
        """The largest distance, in rows or columns, between an output pixel and an input pixel that changes it.

        In pixels: one for each convolution, `depth`.
        """
        return len(self.convs)
