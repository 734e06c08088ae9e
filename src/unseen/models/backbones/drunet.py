"""A residual U-Net that reads the noise of an image first, and can be told to take it for weaker or stronger.

Zhang et al., *Plug-and-Play Image Restoration with Deep Denoiser Prior*, TPAMI 2021 (arXiv 2008.13751), for the U-Net
of residual blocks without biases that gets the noise's deviation beside the image (DRUNet); Zhang, Zuo, Zhang,
*FFDNet*, TIP 2018 (arXiv 1710.04026), for the image folded by two and the map of deviations; Guo et al., *CBDNet*,
CVPR 2019 (arXiv 1807.04686), for the small network that reads this map.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .brightness import RADIUS, SIDE, with_kept_brightness
from .carried_rows import WHOLE, Rows
from .cells import cell_means, mean_around
from .padded import extend, next_multiple
from .shared import LAST_INIT_SCALE, farthest_row, kaiming_conv3x3, require_at_least
from .unet import up_convolution

FOLD = 2
"""Side of the squares of pixels that become channels: the body works at half the resolution."""

CELL = 4
"""Side in pixels of one pixel of the noise map."""

AROUND = 2
"""Pixels of the noise map to each side over which deviations are averaged: squares of 20 pixels of the image."""

READ_CONVS = 3
"""Convolutions of the noise reader that keep the resolution."""

COLOURS = 3
"""Channels of an image."""

MAP_CHANNELS = 4
"""Deviations in the noise map: of red, green, blue, and of their mean, which tells noise of equal channels."""

OWN_WEIGHT = 0.01
"""Weight of the noise reader's loss, with which its gradient is as long as that of the body under `sqrt_rmse`.

No weight of the body depends on it; norms of all gradients together do, and methods that compare losses."""

LEAST_DEVIATION = 0.5 / 255
"""Deviation, in units of the range, below which deviations are learned to no better ratio."""


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around a leaky ReLU, added to their input: (B, width, H, W) → the same shape."""

    def __init__(self, width: int, bias: bool) -> None:
        super().__init__()
        self.conv1 = kaiming_conv3x3(width, width, bias)
        self.conv2 = kaiming_conv3x3(width, width, bias)
        # A sum of many blocks then starts with the variance of its input.
        with torch.no_grad():
            self.conv2.weight.mul_(LAST_INIT_SCALE)

    def forward(self, x: Tensor, rows: Rows = WHOLE) -> Tensor:
        """(B, width, H, W) → (B, width, H, W)."""
        return rows.residual(self.conv1, self.conv2, x)


class NoiseReader(nn.Module):
    """Read the deviation of the noise around each pixel: (B, 4·colours, H, W), folded → (B, `MAP_CHANNELS`, H/2, W/2).

    The deviation is a mean of absolute values of learned features, as an estimator by hand is one of wavelets:
    without biases the map follows the scale of the image. It is trained by a loss of its own (`DRUNetSmall.own_loss`).
    """

    def __init__(self, inputs: int, width: int, bias: bool) -> None:
        super().__init__()
        self.shrink = nn.Conv2d(inputs, width, kernel_size=3, stride=CELL // FOLD, padding=1, bias=bias)
        self.convs: Any = nn.ModuleList(kaiming_conv3x3(width, width, bias) for _ in range(READ_CONVS - 1))
        self.last = kaiming_conv3x3(width, MAP_CHANNELS, bias)

    def forward(self, folded: Tensor, rows: Rows = WHOLE) -> Tensor:
        """(B, 4·colours, H, W) → (B, `MAP_CHANNELS`, H/2, W/2), at least 0.

        In the precision of the weights, also under autocast: a deviation that is rounded is wrong for all of the noise.
        """
        with torch.autocast(folded.device.type, enabled=False):
            features = rows.conv(self.shrink, folded.to(self.shrink.weight.dtype), leaky=True)
            for conv in self.convs:
                features = rows.conv(conv, features, leaky=True)
            return rows.local(smoothed, rows.conv(self.last, features).abs(), AROUND)


class DRUNetSmall(nn.Module):
    """A residual U-Net that reads the noise itself, and can be told its strength (after Zhang et al. 2021, DRUNet).

    (B, 3, H, W) in [0, 1] → the same shape, not clipped; any size from 1×1: the image is padded on the right and below
    to a multiple of `stride`, and the output cut to fit. Without biases f(a·x) = a·f(x) for every a > 0.

    The image is folded, squares of 2×2 pixels to channels; a small part (`NoiseReader`) reads a map of the noise's
    deviation from it; the body gets both. No gradient passes from the body into the map, which therefore stays what
    `own_loss` makes it: an estimate of the deviation. The body gets the image less its mean around each pixel, and this
    mean beside it: details are a hundredth of the brightness that they stand on. The output is input − body.

    Departures from DRUNet: folding; centring; a twentieth of the weights; one block a level; a leaky ReLU of slope
    0.2; the deviation is read, where DRUNet is told it.

    Args:
        features: width at half of the resolution; it doubles with each halving of the resolution.
        levels: number of resolutions, from half of the image's on.
        blocks: residual blocks of a level, on the way down and on the way up.
        bottom: residual blocks at the lowest resolution.
        bias: whether convolutions have biases.
        kept_brightness: whether the output keeps the brightness of the image (`with_kept_brightness`). The image must
            be in [0, 1] then, and f does not follow its scale.

    Raises:
        UserError: for a size that is too small.
    """

    small: ClassVar[str] = "features=4,levels=2"
    """Settings with which the network is small enough for tests."""

    channels: ClassVar[int] = 3
    takes_rows: ClassVar[bool] = True
    """Whether images may come in bands, with the rows that are kept between them."""

    def __init__(
        self,
        features: int = 24,
        levels: int = 4,
        blocks: int = 1,
        bottom: int = 2,
        bias: bool = False,
        kept_brightness: bool = False,
    ) -> None:
        super().__init__()
        require_at_least(1, features=features, levels=levels, blocks=blocks, bottom=bottom)
        widths = [features * 2**level for level in range(levels)]
        self.features, self.kept_brightness = features, kept_brightness
        self.convs_of_level, self.convs_at_bottom = 2 * blocks, 2 * bottom
        folded = COLOURS * FOLD**2
        self.reader = NoiseReader(folded, widths[0], bias)
        self.head = kaiming_conv3x3(folded + COLOURS + MAP_CHANNELS, widths[0], bias)
        self.down: Any = nn.ModuleList(residual_blocks(width, blocks, bias) for width in widths[:-1])
        self.shrink: Any = nn.ModuleList(
            nn.Conv2d(width, deeper, kernel_size=2, stride=2, bias=bias) for width, deeper in pairwise(widths)
        )
        self.bottom = residual_blocks(widths[-1], bottom, bias)
        self.enlarge = nn.ModuleList(up_convolution(deeper, width, bias) for width, deeper in pairwise(widths))
        self.up: Any = nn.ModuleList(residual_blocks(width, blocks, bias) for width in widths[:-1])
        self.last = kaiming_conv3x3(widths[0], folded, bias)
        # The network then starts as the identity. Under a loss of logarithms any change of a clean image weighs so much
        # that a network which starts with changes learns for long to make none.
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor, strength: Tensor | None = None, rows: Rows = WHOLE) -> Tensor:
        """Restore (B, 3, H, W).

        Args:
            x: the images, or a band of their rows.
            strength: factor of the noise map, of shape () or (B,); None for 1.
            rows: the rows that are kept from band to band.
        """
        height, width = x.shape[-2:]
        x = self._padded(x)
        below = x.shape[-2] - height
        folded = F.pixel_unshuffle(x, FOLD)
        surround = rows.local(smoothed, cell_means(x, CELL), AROUND)
        deviations = self.reader(folded, rows).detach()
        if strength is not None:
            deviations = deviations * strength.view(-1, 1, 1, 1)
        surround, deviations = rows.together(surround, deviations)
        beside = torch.cat((surround, deviations.to(surround.dtype)), dim=1)
        folded, beside = rows.together(folded, rows.each(at_half_resolution, beside))
        centred = folded - beside[:, :COLOURS].repeat_interleave(FOLD**2, dim=1)
        features = torch.cat((centred, beside), dim=1)
        del folded, surround, deviations, beside, centred  # large images need the memory
        features = rows.conv(self.head, features)
        skips = []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            skips.append(in_turn(blocks, features, rows))
            features = rows.conv(shrink, skips[-1])
        features = in_turn(self.bottom, features, rows)
        for enlarge, blocks in zip(reversed(self.enlarge), reversed(self.up), strict=True):
            features = in_turn(blocks, rows.sum(skips.pop(), rows.each(enlarge, features)), rows)
        restored = rows.difference(x, F.pixel_shuffle(rows.conv(self.last, features), FOLD))
        if self.kept_brightness:
            restored = with_kept_brightness(x, restored, rows)
        return restored[..., : restored.shape[-2] - below, :width]

    def noise_map(self, x: Tensor) -> Tensor:
        """Read the deviation of the noise in (B, 3, H, W), in units of the range.

        Returns:
            (B, 4, h, w), h and w being a quarter of the padded sides: the deviations of red, green, blue, and of the
            mean of the three.
        """
        deviations: Tensor = self.reader(self._folded(x))
        return deviations

    def own_loss(self, distorted: Tensor, clean: Tensor) -> Tensor:
        """`OWN_WEIGHT` · mean squared logarithm of the ratio of the deviations that are read to those of the noise.

        Of images with their clean originals, both (B, 3, H, W). A methods' objective adds it to the loss of the
        restored images. Deviations are compared with `LEAST_DEVIATION` added to both, as variances.
        """
        read = self.noise_map(distorted).to(distorted.dtype).square()
        noise = self._padded(distorted - clean)
        noise = torch.cat((noise, noise.mean(1, keepdim=True)), dim=1)
        there = smoothed(cell_means(noise.square(), CELL))
        least = LEAST_DEVIATION**2
        return OWN_WEIGHT * (((read + least).log() - (there + least).log()) / 2).square().mean()

    def _folded(self, x: Tensor) -> Tensor:
        return F.pixel_unshuffle(self._padded(x), FOLD)

    def _padded(self, x: Tensor) -> Tensor:
        sides = [next_multiple(side, self.stride) for side in x.shape[-2:]]
        if torch.is_inference_mode_enabled() and sides == [*x.shape[-2:]]:
            return x
        return extend(x, *sides)

    @property
    def stride(self) -> int:
        """Side in pixels of one pixel of the lowest resolution; tiles are exact if they begin at multiples of it."""
        stride: int = max(SIDE if self.kept_brightness else CELL, FOLD * 2 ** len(self.down))
        return stride

    @property
    def bytes_per_pixel(self) -> float:
        """Memory that a run without gradients takes for each pixel, in bytes: six maps of the first level and more."""
        return 8.0 * self.features

    @property
    def receptive_radius(self) -> int:
        """The largest distance, in rows or columns, between an output pixel and an input pixel that changes it.

        In pixels, over all places of the output pixel on the grid of `stride`. It holds away from the padding.
        """
        return farthest_row(self.seen_by, self.stride)

    def seen_by(self, pixel: int) -> tuple[int, int]:
        """The first and the last input row that output row `pixel` depends on; the same for columns."""
        low = high = pixel
        if self.kept_brightness:
            low, high = SIDE * (low // SIDE - RADIUS), SIDE * (high // SIDE + RADIUS + 1) - 1
        low, high = low // FOLD - 1, high // FOLD + 1  # the last convolution
        for _ in self.up:
            low, high = (low - self.convs_of_level) // 2, (high + self.convs_of_level) // 2
        low, high = low - self.convs_at_bottom, high + self.convs_at_bottom
        for _ in self.down:
            low, high = 2 * low - self.convs_of_level, 2 * high + 1 + self.convs_of_level
        low, high = low - 1, high + 1  # the first convolution
        factor, around = CELL // FOLD, AROUND + READ_CONVS
        low, high = factor * (low // factor - around) - 1, factor * (high // factor + around) + 1  # the noise map
        return FOLD * low, FOLD * high + FOLD - 1


def residual_blocks(width: int, count: int, bias: bool) -> nn.ModuleList:
    """`count` residual blocks, one after another."""
    return nn.ModuleList(ResidualBlock(width, bias) for _ in range(count))


def in_turn(blocks: nn.ModuleList, x: Tensor, rows: Rows) -> Tensor:
    """Apply blocks one after another."""
    for block in blocks:
        x = block(x, rows)
    return x


def at_half_resolution(cells: Tensor) -> Tensor:
    """Repeat the values of cells of `CELL` pixels for their squares of `FOLD` pixels."""
    return F.interpolate(cells, scale_factor=CELL // FOLD, mode="nearest")


def smoothed(noise_map: Tensor) -> Tensor:
    """Means over squares around each pixel of a map of cells."""
    return mean_around(noise_map, AROUND)
