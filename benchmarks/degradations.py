"""The steps of the package's distortions, written plainly with numpy and OpenCV: the rivals of benchmarks/data.py.

One image at a time, float32 (H, W, 3) in [0, 1], as the training code of most papers does it. The order and the ranges
of Real-ESRGAN are those of its published configuration.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[Any]
Degradation = Callable[[Any, np.random.Generator], Any]


def blur(sigma: float) -> Degradation:
    """Gaussian blur with a kernel of four σ to either side."""
    side = 2 * math.ceil(4 * sigma) + 1
    return lambda image, rng: cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101)


def jpeg(quality: int) -> Degradation:
    """JPEG from 8 bits to float32; a float image is rounded before."""

    def degrade(image: Image, rng: np.random.Generator) -> Any:
        if image.dtype != np.uint8:
            image = np.clip(image * 255, 0, 255).round().astype(np.uint8)
        _, file = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
        assert decoded is not None
        decoded = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
        return decoded.astype(np.float32) / np.float32(255)

    return degrade


def poisson(photons: float) -> Degradation:
    """Photon noise."""
    return lambda image, rng: np.clip(rng.poisson(image * photons) / photons, 0, 1).astype(np.float32)


# ----------------------------------------------------------------------------------------------------- camera noise

GREEN = np.array([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]], np.float32)
BESIDE = np.array(
    [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]], np.float32
)
DIAGONAL = np.array(
    [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]], np.float32
)


def camera(shot: tuple[float, float], read: tuple[float, float]) -> Degradation:
    """Shot and read noise on the linear image, a Bayer mosaic, and the demosaicking of Malvar, He and Cutler."""

    def degrade(image: Image, rng: np.random.Generator) -> Any:
        a, b = (low * (high / low) ** rng.random() for low, high in (shot, read))
        light = np.where(image < 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4).astype(np.float32)
        noise = rng.standard_normal(light.shape, np.float32) * np.sqrt(a * light + b)
        seen = demosaicked(np.clip(light + noise, 0, 1), int(rng.integers(2)), int(rng.integers(2)))
        seen = np.clip(seen, 0, 1)
        return np.where(seen < 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055).astype(np.float32)

    return degrade


def demosaicked(image: Image, row: int, column: int) -> Image:
    """The image through a Bayer mosaic whose first red pixel is at (row, column)."""
    red, blue = (slice(row, None, 2), slice(column, None, 2)), (slice(1 - row, None, 2), slice(1 - column, None, 2))
    beside_red, beside_blue = (red[0], blue[1]), (blue[0], red[1])
    raw = image[..., 1].copy()
    raw[red], raw[blue] = image[red][..., 0], image[blue][..., 2]
    green, beside, above, diagonal = (
        cv2.filter2D(raw, -1, kernel / 8, borderType=cv2.BORDER_REFLECT_101)
        for kernel in (GREEN, BESIDE, BESIDE.T.copy(), DIAGONAL)
    )
    full = np.stack([raw] * 3, axis=-1)
    full[red][..., 1], full[blue][..., 1] = green[red], green[blue]
    full[beside_red][..., 0], full[beside_red][..., 2] = beside[beside_red], above[beside_red]
    full[beside_blue][..., 0], full[beside_blue][..., 2] = above[beside_blue], beside[beside_blue]
    full[red][..., 2], full[blue][..., 0] = diagonal[red], diagonal[blue]
    return full


# ------------------------------------------------------------------------------------------------------------ rain


def rain(density: tuple[float, float]) -> Degradation:
    """Streaks of one angle, each with its own place, length, width and brightness, drawn one after the other."""

    def degrade(image: Image, rng: np.random.Generator) -> Any:
        height, width = image.shape[:2]
        length, angle = rng.uniform(10, 20), math.radians(rng.uniform(-20, 20))
        margin = 1.5 * length
        area = (height + 2 * margin) * (width + 2 * margin)
        layer = np.zeros((height, width), np.float32)
        bright, thick = rng.uniform(0.2, 0.5), rng.uniform(1, 1.5)
        for _ in range(rng.poisson(rng.uniform(*density) * area)):
            y, x = rng.uniform(-margin, height + margin), rng.uniform(-margin, width + margin)
            streak(layer, y, x, angle, length * rng.uniform(0.5, 1.5), max(1, thick * rng.uniform(0.75, 1.25)), bright)
        return np.clip(image + layer[..., None], 0, 1)

    return degrade


def streak(layer: Image, y: float, x: float, angle: float, length: float, width: float, brightness: float) -> None:
    """Add a streak with a Gaussian cross-section and soft ends to the layer, within its bounding box."""
    down, right = math.cos(angle), math.sin(angle)
    tall = 0.75 * length * down + 1.5 * width
    wide = 0.75 * length * abs(right) + 1.5 * width
    top, bottom = max(0, math.ceil(y - tall)), min(layer.shape[0], math.floor(y + tall) + 1)
    first, last = max(0, math.ceil(x - wide)), min(layer.shape[1], math.floor(x + wide) + 1)
    if top >= bottom or first >= last:
        return
    rows = np.arange(top, bottom, dtype=np.float32)[:, None] - y
    columns = np.arange(first, last, dtype=np.float32) - x
    along, across = columns * right + rows * down, columns * down - rows * right
    ends = np.clip(1.5 - np.abs(along) * (2 / length), 0, 1)
    layer[top:bottom, first:last] += brightness * ends * np.exp(-math.pi * (across / width) ** 2)


def rain_of_lines(density: tuple[float, float]) -> Degradation:
    """Streaks of one angle, each with its own place, length and brightness, drawn as lines with soft edges.

    OpenCV's lines are a pixel wide, do not add up where they cross and end abruptly: less than the package draws.
    """

    def degrade(image: Image, rng: np.random.Generator) -> Any:
        height, width = image.shape[:2]
        length, angle, bright = rng.uniform(10, 20), math.radians(rng.uniform(-20, 20)), rng.uniform(0.2, 0.5)
        margin = length
        count = rng.poisson(rng.uniform(*density) * (height + 2 * margin) * (width + 2 * margin))
        middles = rng.random((count, 2)) * (width + 2 * margin, height + 2 * margin) - margin
        halves = rng.uniform(0.5, 1.5, (count, 1)) * length / 2 * (math.sin(angle), math.cos(angle))
        starts, ends = (np.rint(16 * points).astype(int) for points in (middles - halves, middles + halves))
        layer = np.zeros((height, width), np.uint8)
        for start, end, share in zip(starts.tolist(), ends.tolist(), rng.uniform(0.5, 1.5, count), strict=True):
            cv2.line(layer, start, end, 255 * bright * share, 1, cv2.LINE_AA, 4)
        return np.clip(image + layer[..., None] * np.float32(1 / 255), 0, 1)

    return degrade


# ----------------------------------------------------------------------------------------------------- Real-ESRGAN

RESIZES = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
FIRST = {"blurred": 1.0, "sigma": (0.2, 3), "turns": (0.2, 0.7, 0.1), "factors": (0.15, 1.5), "noise": (30, 3)}
SECOND = {"blurred": 0.8, "sigma": (0.2, 1.5), "turns": (0.3, 0.4, 0.3), "factors": (0.3, 1.2), "noise": (25, 2.5)}


def real_esrgan(order: int, scale: int = 4) -> Degradation:
    """Blur, resizing, noise and JPEG, once or twice, to an image smaller by `scale`."""

    def degrade(image: Image, rng: np.random.Generator) -> Any:
        full, final = image.shape[:2], (image.shape[0] // scale, image.shape[1] // scale)
        image = one_pass(image, full, FIRST, rng)
        if order == 2:
            image = one_pass(compressed(np.clip(image, 0, 1), rng), final, SECOND, rng)
        first = rng.random() < 0.5
        image = compressed(image, rng) if first else image
        image = resized(image, final, rng)
        if rng.random() < 0.8:
            image = filtered(image, sinc(2 * int(rng.integers(3, 11)) + 1, rng.uniform(math.pi / 3, math.pi)))
        image = image if first else compressed(image, rng)
        return (np.clip(image * 255, 0, 255).round() / 255).astype(np.float32)

    return degrade


def one_pass(image: Image, full: tuple[int, ...], ranges: dict[str, Any], rng: np.random.Generator) -> Any:
    """One pass of blur, resizing and noise."""
    if rng.random() < ranges["blurred"]:
        image = filtered(image, random_kernel(ranges["sigma"], rng))
    turn = rng.choice(3, p=ranges["turns"])
    low, high = ranges["factors"]
    factor = (rng.uniform(1, high), rng.uniform(low, 1), 1.0)[turn]
    image = resized(image, (max(1, int(full[0] * factor)), max(1, int(full[1] * factor))), rng)
    sigma, strength = ranges["noise"]
    gray = rng.random() < 0.4
    if rng.random() < 0.5:
        shape = (*image.shape[:2], 1 if gray else 3)
        noise = rng.standard_normal(shape, np.float32) * np.float32(rng.uniform(1, sigma) / 255)
    else:
        light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] if gray else image
        light = np.clip(light * 255, 0, 255).round() / 255
        photons = 2 ** np.ceil(np.log2(len(np.unique(light))))
        noise = (rng.poisson(light * photons) / photons - light) * rng.uniform(0.05, strength)
    return np.clip(image + noise, 0, 1).astype(np.float32)


def random_kernel(sigma: tuple[float, float], rng: np.random.Generator) -> Any:
    """A sinc, or a Gaussian, generalised Gaussian or plateau, round or elliptic."""
    size = 2 * int(rng.integers(3, 11)) + 1
    if rng.random() < 0.1:
        return sinc(size, rng.uniform(math.pi / (3 if size < 13 else 5), math.pi))
    kind = rng.choice(6, p=(0.45, 0.25, 0.12, 0.03, 0.12, 0.03))
    first, second, theta = rng.uniform(*sigma), rng.uniform(*sigma), rng.uniform(-math.pi, math.pi)
    second = first if kind % 2 == 0 else second
    x = np.arange(size) - size // 2
    along = (x * math.cos(theta) + x[:, None] * math.sin(theta)) / first
    across = (x[:, None] * math.cos(theta) - x * math.sin(theta)) / second
    distance = along**2 + across**2
    if kind < 2:
        kernel = np.exp(-distance / 2)
    elif kind < 4:
        kernel = np.exp(-(distance ** (rng.uniform(0.5, 1) if rng.random() < 0.5 else rng.uniform(1, 4))) / 2)
    else:
        kernel = 1 / (1 + distance ** (1 if rng.random() < 0.5 else rng.uniform(1, 2)))
    return kernel / kernel.sum()


def sinc(size: int, cutoff: float) -> Any:
    """A circular low-pass."""
    from scipy.special import j1

    x = np.arange(size) - size // 2
    radius = np.hypot(x, x[:, None])
    kernel = cutoff * j1(cutoff * radius) / (2 * math.pi * np.maximum(radius, 1))
    kernel[size // 2, size // 2] = cutoff**2 / (4 * math.pi)
    return kernel / kernel.sum()


def filtered(image: Image, kernel: Image) -> Any:
    """The image convolved with a kernel, the border mirrored."""
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def resized(image: Image, size: tuple[int, int], rng: np.random.Generator) -> Any:
    """The image at (height, width), by a mode that is drawn."""
    return cv2.resize(image, size[::-1], interpolation=RESIZES[rng.integers(3)])


def compressed(image: Image, rng: np.random.Generator) -> Any:
    """JPEG of a quality that is drawn."""
    return jpeg(int(rng.integers(30, 96)))(image, rng)
