"""Blur kernels, and the convolution of each image with its own kernel.

Kernels are float64 (n, size, size) with an odd `size`, centred, and sum to 1. Rows are y, downwards, columns x; angles
turn from x towards y, in radians. Kernels are made on the device of the tensors that they are made from.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from .distortion import normal_fields

Border = Literal["reflect", "replicate"]
"""Pixels beyond the edge: the image mirrored without repeating its edge, as often as needed, or the edge itself."""

SMALLEST_WIDTH = 1e-6  # pixels: stands for a width of 0, so that its kernel is an impulse and not 0/0
ROWS_AT_ONCE = 64  # of a blur by matrices: more need fewer products of larger matrices, which have more zeros
LANES = 16  # numbers in a register of AVX-512
CACHE_LINE = 16  # numbers of float32 in 64 bytes; of float64, two lines
PATH_STEPS = 256  # of a camera path, whatever its length, so that a seed means the same shape


def gaussian_kernels(sigma_x: Tensor, sigma_y: Tensor, theta: Tensor, size: int) -> Tensor:
    """Make Gaussian kernels k(x) ∝ exp(−q/2), q = xᵀ Σ⁻¹ x, sampled at pixel centres.

    Args:
        sigma_x: standard deviation of Σ along the direction θ, in pixels, (n,).
        sigma_y: standard deviation of Σ across the direction θ, in pixels, (n,).
        theta: direction θ, (n,).
        size: side of the kernels.
    """
    return _normalised(torch.exp(-_squared_distances(sigma_x, sigma_y, theta, size) / 2))


def generalised_gaussian_kernels(sigma_x: Tensor, sigma_y: Tensor, theta: Tensor, beta: Tensor, size: int) -> Tensor:
    """Make kernels k(x) ∝ exp(−q^β/2), q as in `gaussian_kernels` (Wang et al. 2021, Real-ESRGAN, section 3.1).

    Args:
        sigma_x: as in `gaussian_kernels`.
        sigma_y: as in `gaussian_kernels`.
        theta: as in `gaussian_kernels`.
        beta: β, (n,). 1 is the Gaussian; below 1 tails are heavy; far above 1 the kernel is a flat ellipse.
        size: side of the kernels.
    """
    powers = _squared_distances(sigma_x, sigma_y, theta, size) ** beta.view(-1, 1, 1)
    return _normalised(torch.exp(-powers / 2))


def plateau_kernels(sigma_x: Tensor, sigma_y: Tensor, theta: Tensor, beta: Tensor, size: int) -> Tensor:
    """Make kernels k(x) ∝ 1/(1 + q^β), q as in `gaussian_kernels` (Wang et al. 2021, Real-ESRGAN, section 3.1)."""
    powers = _squared_distances(sigma_x, sigma_y, theta, size) ** beta.view(-1, 1, 1)
    return _normalised(1 / (1 + powers))


def sinc_kernels(cutoff: Tensor, size: int) -> Tensor:
    """Make circular low-pass kernels k(x) ∝ ω J₁(ω|x|) / (2π|x|) (Wang et al. 2021, Real-ESRGAN, section 3.3).

    Kernels have negative lobes: they make edges ring.

    Args:
        cutoff: ω in radians per pixel, above 0, (n,): frequencies above it are cut off.
        size: side of the kernels.
    """
    y, x = _grid(size, cutoff)
    radius, cutoff = (x**2 + y**2).sqrt(), cutoff.view(-1, 1, 1)
    ring = cutoff * torch.special.bessel_j1(cutoff * radius) / (2 * math.pi * radius.clamp_min(1))
    return _normalised(torch.where(radius == 0, cutoff**2 / (4 * math.pi), ring))


def disc_kernels(radius: Tensor, size: int) -> Tensor:
    """Make kernels of a lens out of focus: each pixel weighs the area that it shares with a disc.

    Args:
        radius: radius of the disc in pixels, (n,). Up to 0.5 the disc lies in one pixel and changes nothing.
        size: side of the kernels.
    """
    y, x = _grid(size, radius)
    r = radius.clamp_min(SMALLEST_WIDTH).view(-1, 1, 1)
    corners = [_disc_quadrant(x + right, y + down, r) for right in (-0.5, 0.5) for down in (-0.5, 0.5)]
    return _normalised((corners[3] - corners[2] - corners[1] + corners[0]).clamp_min(0))


def camera_paths(length: Tensor, angle: Tensor, bend: float, seeds: Tensor) -> Tensor:
    """Make paths of a shaken camera at constant speed, whose heading is a random walk.

    Args:
        length: length of the path in pixels, (n,).
        angle: heading at the start of the path, (n,).
        bend: standard deviation, in radians, of the heading at the path's end about the heading at its start; 0 is a
            straight line.
        seeds: seeds of the random walks, (n,).

    Returns:
        Points (x, y) of shape (n, PATH_STEPS, 2), centred on their mean.
    """
    steps = normal_fields(seeds, torch.empty(len(seeds), 1, 1, PATH_STEPS, dtype=torch.float64))
    turns = steps.flatten(1).cumsum(dim=1)
    heading = angle[:, None] + bend / math.sqrt(PATH_STEPS) * turns
    strides = torch.stack([heading.cos(), heading.sin()], dim=2) * (length / PATH_STEPS)[:, None, None]
    points = strides.cumsum(dim=1)
    return points - points.mean(dim=1, keepdim=True)


def path_kernels(paths: Tensor, size: int) -> Tensor:
    """Make kernels from points, each spread over its four nearest pixels by bilinear weights.

    Keeps the centroid. Points beyond the kernel are lost.

    Args:
        paths: points (x, y) from the centre, (n, m, 2).
        size: side of the kernels.
    """
    offsets = _offsets(size, paths)
    near_x, near_y = ((1 - (paths[..., i, None] - offsets).abs()).clamp_min(0) for i in (0, 1))
    # One product per image: a batched one may sum in another order.
    return _normalised(torch.stack([rows.T @ columns for rows, columns in zip(near_y, near_x, strict=True)]))


def convolve(images: Tensor, kernels: Tensor, border: Border) -> Tensor:
    """Convolve each image with its own kernel; the shape is kept.

    Args:
        images: float (n, C, H, W). Images may be smaller than the kernel.
        kernels: (n, k, k), k odd.
        border: pixels beyond the edge.

    Raises:
        ValueError: for an unknown border.
    """
    n, channels, height, width = images.shape
    radius = kernels.shape[-1] // 2
    # A depthwise convolution works on LANES channels at a time: images of few channels are cut into strips to fill it.
    # It is compiled for each new size: sizes are rounded up, since random ones would be compiled every time.
    strips = max(min(LANES // (n * channels), height), 1)
    tall, wide = _rounded_up(-(-height // strips)), _rounded_up(width)
    down, right = _positions(height, radius, border, images), _positions(width, radius, border, images)
    starts = torch.arange(strips, device=images.device)[:, None] * tall
    rows = (starts + torch.arange(tall + 2 * radius, device=images.device)).clamp_(max=len(down) - 1)
    columns = torch.arange(wide + 2 * radius, device=images.device).clamp_(max=len(right) - 1)
    padded = images.index_select(2, down[rows.flatten()]).index_select(3, right[columns])
    groups = n * channels * strips
    weights = kernels.flip(1, 2).to(images).repeat_interleave(channels * strips, dim=0)[:, None]
    convolved = F.conv2d(padded.reshape(1, groups, rows.shape[1], -1), weights, groups=groups)
    return convolved.reshape(n, channels, strips * tall, wide)[:, :, :height, :width].contiguous()


def _rounded_up(length: int) -> int:
    """Round a length up by an eighth at most: to 1, 2, …, 16, 18, …, 32, 36, …, 64, 72, 80, …."""
    step = min(1 << max(length.bit_length() - 4, 0), 8)
    return -(-length // step) * step


def gaussian_blur(images: Tensor, sigma: Tensor, size: int, border: Border) -> Tensor:
    """Convolve with isotropic `gaussian_kernels`, by two one-dimensional passes: faster than `convolve`.

    Args:
        images: float (n, C, H, W).
        sigma: standard deviation in pixels, (n,).
        size: side of the kernels, odd.
        border: pixels beyond the edge.
    """
    n, channels, height, width = images.shape
    sigma = sigma[:1] if bool((sigma == sigma[0]).all()) else sigma  # of one level: made once for all images
    squares = (_offsets(size, sigma) / sigma.clamp_min(SMALLEST_WIDTH)[:, None]) ** 2
    weights = torch.softmax(-squares / 2, dim=1).cpu()
    bands = {length: _bands(length, weights, border, images) for length in {height, width}}
    rows = _matrices(n, height, width * channels, images)
    rows.view(n, height, width, channels).copy_(images.permute(0, 2, 3, 1))
    # The first pass turns each image, to lie with the columns first, in which the second pass goes the same way.
    columns = _matrices(n, width * channels, height, images)
    _blend_rows(rows, bands[height], columns.transpose(1, 2))
    blurred = _matrices(n, width, channels * height, images)
    _blend_rows(columns.view(blurred.shape), bands[width], blurred)
    return torch.empty_like(images).copy_(blurred.view(n, width, channels, height).permute(0, 2, 3, 1))


def _matrices(n: int, rows: int, columns: int, like: Tensor) -> Tensor:
    """Room for n matrices, (n, rows, columns), each of which begins with a cache line.

    On some processors a product rounds otherwise where its factors begin within one; an image would then depend, by a
    rounding, on its place in the batch.
    """
    step = -(-rows * columns // CACHE_LINE) * CACHE_LINE
    return like.new_empty(n * step).as_strided((n, rows, columns), (step, columns, 1))


class _Band(NamedTuple):
    """Weights by which some rows of the result, from `start`, are sums of the rows `first` to `last` - 1: (n, l, k)."""

    start: int
    first: int
    last: int
    weights: Tensor


def _bands(length: int, weights: Tensor, border: Border, like: Tensor) -> list[_Band]:
    """Spread symmetric kernels (n, k) over `length` rows, and over those that stand for the rows beyond the border.

    Made on the CPU, whatever the device, since weights that fall on one row are added.
    """
    n, size = weights.shape
    windows = _positions(length, size // 2, border, weights).unfold(0, size, 1)
    bands = []
    for start in range(0, length, ROWS_AT_ONCE):
        window = windows[start : start + ROWS_AT_ONCE]
        first, last = int(window.min()), int(window.max()) + 1
        places, shares = (window - first).expand(n, -1, -1), weights[:, None].expand(-1, len(window), -1)
        spread = weights.new_zeros(n, len(window), last - first).scatter_add_(2, places, shares)
        bands.append(_Band(start, first, last, _matrices(n, len(window), last - first, like).copy_(spread)))
    return bands


def _blend_rows(rows: Tensor, bands: list[_Band], out: Tensor) -> None:
    """Sum rows (n, L, M) by their weights, into `out` of the same shape."""
    for start, first, last, weights in bands:
        blended = out[:, start : start + weights.shape[1]]
        torch.bmm(weights.expand(len(rows), -1, -1), rows[:, first:last], out=blended)


def _offsets(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, dtype=torch.float64, device=like.device) - size // 2


def _grid(size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(_offsets(size, like), _offsets(size, like), indexing="ij")
    return y, x


def _normalised(kernels: Tensor) -> Tensor:
    return kernels / kernels.sum(dim=(1, 2), keepdim=True)


def _squared_distances(sigma_x: Tensor, sigma_y: Tensor, theta: Tensor, size: int) -> Tensor:
    """Compute q = xᵀ Σ⁻¹ x, (n, size, size)."""
    y, x = _grid(size, theta)
    cos, sin = theta.cos().view(-1, 1, 1), theta.sin().view(-1, 1, 1)
    along = (x * cos + y * sin) / sigma_x.clamp_min(SMALLEST_WIDTH).view(-1, 1, 1)
    across = (y * cos - x * sin) / sigma_y.clamp_min(SMALLEST_WIDTH).view(-1, 1, 1)
    return along**2 + across**2


def _disc_quadrant(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    """Area of the disc of radius r within the rectangle from the centre to (x, y); negative where x·y is negative.

    For 0 <= x, y <= r the area is ∫₀ˣ min(y, h(t)) dt with h(t) = √(r² − t²), whose integral has a closed form.
    """

    def integral(t: Tensor) -> Tensor:
        return (t * (r**2 - t**2).clamp_min(0).sqrt() + r**2 * torch.asin((t / r).clamp(max=1))) / 2

    right, down = torch.minimum(x.abs(), r), torch.minimum(y.abs(), r)
    level = torch.minimum((r**2 - down**2).clamp_min(0).sqrt(), right)  # up to here the rectangle is below the circle
    return x.sign() * y.sign() * (down * level + integral(right) - integral(level))


def _positions(length: int, radius: int, border: Border, like: Tensor) -> Tensor:
    """Map the pixels −radius to length + radius − 1 into 0 to length − 1, by the rule for the border."""
    if border not in get_args(Border):
        raise ValueError(f"border {border!r} is none of {', '.join(get_args(Border))}")
    positions = torch.arange(-radius, length + radius, device=like.device)
    if border == "replicate" or length == 1:
        return positions.clamp(0, length - 1)
    period = 2 * (length - 1)
    positions = positions % period
    return torch.minimum(positions, period - positions)
