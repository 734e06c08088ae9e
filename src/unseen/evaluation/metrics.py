"""PSNR and SSIM, with every choice that changes their value named in a `Convention`.

Numbers agree with scikit-image's (`peak_signal_noise_ratio`; `structural_similarity` with Gaussian
weights, σ 1.5 and population covariance). SSIM is computed here rather than by torchmetrics, whose
average includes a padded border, and whose dense 11×11 window takes ten times as long on a CPU as the
separable one below.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..core.errors import UserError
from ..protocols.convention import Convention

LEVELS = 255
"""The largest value of an 8-bit channel."""

LUMA_WEIGHTS = (65.481, 128.553, 24.966)
"""Weights of R, G, B in [0, 1] for Y in [16, 235] (ITU-R BT.601, studio range)."""

LUMA_OFFSET = 16.0
"""Y of black (ITU-R BT.601, studio range)."""

SSIM_RADIUS = 5
"""Pixels of the window on either side of its centre."""

SSIM_ROWS = 32
"""Rows of windows that are computed together: more would not stay in a processor's cache."""

SSIM_SIGMA = 1.5
"""Standard deviation of the window, pixels."""

SSIM_K1 = 0.01
"""Constant K1 of the paper."""

SSIM_K2 = 0.03
"""Constant K2 of the paper."""


def prepare(images: Tensor, convention: Convention) -> Tensor:
    """Clip, round, convert and crop images, in this order, as a convention prescribes before a comparison.

    Args:
        images: (B, 3, H, W) RGB, or (B, 1, H, W) gray, which has no Y; floating point of any precision, nominally in
            [0, 1].
        convention: the convention that selects the steps.

    Returns:
        (B, C, H', W'), C 1 for Y, float64, detached, on the same device (on the CPU where the device has
        no float64, as Apple's). NaN stays NaN.

    Raises:
        ValueError: for another shape.
        TypeError: for integer images, which would be clipped to 0 and 1.
        UserError: if the border leaves nothing.
    """
    channels = (3,) if convention.channels == "y" else (1, 3)
    if images.ndim != 4 or images.shape[1] not in channels:
        raise ValueError(f"images must be (B, {' or '.join(map(str, channels))}, H, W), not {tuple(images.shape)}")
    if not images.is_floating_point():
        raise TypeError(f"images must be floating point in [0, 1], not {images.dtype}")
    values = in_float64(images.detach().clamp(0, 1))
    if convention.round_output:
        values = round_to_8_bits(values)
    if convention.channels == "y":
        values = luma(values)
    if convention.round_y:
        values = round_to_8_bits(values)
    return without_border(values, convention.border)


def psnr(restored: Tensor, clean: Tensor, convention: Convention) -> Tensor:
    """Compute the peak signal-to-noise ratio of each image: −10 log10 of its mean squared error.

    The peak is 1 (255 at 8 bits), for Y too; the mean runs over all pixels and channels of one image.

    Args:
        restored: (B, 3, H, W) as for `prepare`.
        clean: clean images of the same shape.
        convention: the convention for `prepare`.

    Returns:
        (B,) float64, dB. Images that are identical after `prepare` give +inf, which JSON cannot hold: code that writes
        the number must encode it, and code that averages must choose a value for exact images. An image with NaN gives
        NaN.
    """
    require_equal_shapes(restored, clean)
    return prepared_psnr(prepare(restored, convention), prepare(clean, convention))


def prepared_psnr(restored: Tensor, clean: Tensor) -> Tensor:
    """Compute the PSNR of images that are prepared already (`prepare`), as `psnr` does."""
    mean_squared_error = (restored - clean).square_().mean(dim=(1, 2, 3))
    return -10 * mean_squared_error.log10()


def ssim(restored: Tensor, clean: Tensor, convention: Convention) -> Tensor:
    """Compute the structural similarity of each image (Wang et al. 2004, equation 13).

    Gaussian window of 11×11 and σ 1.5, K1 0.01, K2 0.03, data range 1, population covariance, averaged over those
    pixels whose whole window lies in the image, and over the channels.

    Args:
        restored: (B, 3, H, W) as for `prepare`.
        clean: clean images of the same shape.
        convention: the convention for `prepare`.

    Returns:
        (B,) float64, at most 1; NaN where an image (less its border) has a side below 11, since no window fits, or
        holds NaN.
    """
    require_equal_shapes(restored, clean)
    return Reference(clean, convention).ssim(prepare(restored, convention))


class Reference:
    """Clean images with which any number of images is compared, prepared once.

    Args:
        clean: (B, 3, H, W) as for `prepare`.
        convention: the convention for `prepare`.

    Attributes:
        clean: the clean images as `prepare` returns them.
    """

    def __init__(self, clean: Tensor, convention: Convention) -> None:
        self.clean = prepare(clean, convention)
        self._means = {rows.start: window_mean(self.clean[..., rows, :]) for rows in self._strips()}

    def _strips(self) -> Iterator[slice]:
        """Rows that are worked on together: they overlap, so that every window lies in one of the strips."""
        height, width = self.clean.shape[-2:]
        if width > 2 * SSIM_RADIUS:
            for top in range(0, height - 2 * SSIM_RADIUS, SSIM_ROWS):
                yield slice(top, min(top + SSIM_ROWS + 2 * SSIM_RADIUS, height))

    def ssim(self, prepared: Tensor) -> Tensor:
        """Compute the SSIM of images of the same shape that are prepared already, as `ssim` does."""
        maps = [
            ssim_map(prepared[..., rows, :], self.clean[..., rows, :], self._means[rows.start])
            for rows in self._strips()
        ]
        if not maps:
            return prepared.new_full((len(prepared),), math.nan)
        return torch.cat(maps, dim=2).mean(dim=(1, 2, 3))

    def judge(self, prepared: Tensor) -> tuple[float, float]:
        """Compute PSNR in dB and SSIM of one image that is prepared already."""
        return float(prepared_psnr(prepared, self.clean)), float(self.ssim(prepared))


def require_equal_shapes(restored: Tensor, clean: Tensor) -> None:
    """Raise ValueError for images of different shapes, which would be broadcast."""
    if restored.shape != clean.shape:
        raise ValueError(f"restored {tuple(restored.shape)} and clean {tuple(clean.shape)} differ in shape")


def in_float64(images: Tensor) -> Tensor:
    """Convert to float64, on the CPU where the device has no float64, as Apple's GPUs."""
    return (images.cpu() if images.device.type == "mps" else images).double()


def round_to_8_bits(values: Tensor) -> Tensor:
    """Round values in [0, 1], in place, to the nearest of the 256 levels k/255."""
    return values.mul_(LEVELS).round_().div_(LEVELS)


def luma(rgb: Tensor) -> Tensor:
    """Convert (B, 3, H, W) RGB in [0, 1] to (B, 1, H, W) BT.601 Y in [16/255, 235/255]."""
    weights = rgb.new_tensor(LUMA_WEIGHTS).view(3, 1, 1)
    return (LUMA_OFFSET + (weights * rgb).sum(dim=1, keepdim=True)) / LEVELS


def without_border(values: Tensor, border: int) -> Tensor:
    """Cut `border` pixels off each of the four sides. Raise `UserError` if nothing would be left."""
    height, width = values.shape[-2:]
    if 2 * border >= min(height, width):
        raise UserError(f"convention.border: {border} leaves nothing of an image of {width}×{height} pixels")
    return values[..., border : height - border, border : width - border]


def ssim_map(first: Tensor, second: Tensor, mean_second: Tensor) -> Tensor:
    """Compute the SSIM of every whole window.

    Args:
        first: images, (B, C, H, W) float64 of range 1.
        second: images of the same shape.
        mean_second: the means of the second images (`window_mean`).

    Returns:
        (B, C, H − 10, W − 10).
    """
    c1, c2 = SSIM_K1**2, SSIM_K2**2
    mean_first = window_mean(first)
    product_of_means = mean_first * mean_second
    squares_of_means = mean_first.square() + mean_second.square()
    covariance = window_mean(first * second) - product_of_means
    variances = window_mean(first.square() + second.square()) - squares_of_means
    luminance = (2 * product_of_means + c1) / (squares_of_means + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def window_mean(values: Tensor) -> Tensor:
    """Compute the Gaussian-weighted mean in every whole window: (B, C, H, W) → (B, C, H − 10, W − 10).

    The window is separable, so 11 + 11 products a pixel replace 121. They are computed as sums of shifted images:
    torch's convolutions are several times slower in float64 on a CPU.
    """
    offsets = range(-SSIM_RADIUS, SSIM_RADIUS + 1)
    weights = [math.exp(-(offset**2) / (2 * SSIM_SIGMA**2)) for offset in offsets]
    for dim in (2, 3):
        length = values.shape[dim] - 2 * SSIM_RADIUS
        mean = values.narrow(dim, 0, length) * (weights[0] / sum(weights))
        for k, weight in enumerate(weights[1:], start=1):
            mean.add_(values.narrow(dim, k, length), alpha=weight / sum(weights))
        values = mean
    return values
