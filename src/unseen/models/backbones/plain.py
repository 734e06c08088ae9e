"""A plain convolutional network: the second opinion on whether a finding is RRDB's own.

Zhang et al., *Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising*, IEEE TIP
2017 (arXiv 1608.03981), less its batch normalisation, whose statistics would tie the images of a batch
together and whose buffers a virtual update would change.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .checks import require_at_least

NEGATIVE_SLOPE = 0.2
LAST_INIT_SCALE = 0.1


class PlainCNN(nn.Module):
    """A plain stack of 3×3 convolutions without batch norm (Zhang et al. 2017, DnCNN).

    (B, channels, H, W) in [0, 1] → the same shape, not clipped; any size. `depth` convolutions, two or
    more, `features` wide, with a leaky ReLU of slope 0.2 between them where the paper has a ReLU: no
    unit dies in a short training.

    With `residual` the stack estimates what to take away, and the output is input − stack(input) (the
    paper's residual learning, section III); without, the output is stack(input). With `bias=False`
    no additive constant is left, and f(a·x) = a·f(x) for every a > 0.

    Weights start Kaiming normal (the paper's, for a leaky ReLU), the last layer's × 0.1; biases at zero.

    Raises `UserError` for a size that is too small.
    """

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
        widths = [channels, *[features] * (depth - 1), channels]
        convs = [conv3x3(inputs, outputs, bias) for inputs, outputs in pairwise(widths)]
        # The residual form then starts close to the identity, which a denoiser is near anyway.
        with torch.no_grad():
            convs[-1].weight.mul_(LAST_INIT_SCALE)
        self.convs = nn.ModuleList(convs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.convs[0](x)
        for conv in self.convs[1:]:
            # Never in place: the double backward needs the value from before the activation.
            out = conv(F.leaky_relu(out, NEGATIVE_SLOPE))
        return x - out if self.residual else out

    @property
    def receptive_radius(self) -> int:
        """How far, in rows or in columns, an input pixel can be from an output pixel that it changes.

        In pixels: one for each convolution, `depth`.
        """
        return len(self.convs)


def conv3x3(inputs: int, outputs: int, bias: bool) -> nn.Conv2d:
    """A 3×3 convolution that keeps the image size (zero padding), Kaiming normal with zero bias."""
    conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=bias)
    nn.init.kaiming_normal_(conv.weight, a=NEGATIVE_SLOPE)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
