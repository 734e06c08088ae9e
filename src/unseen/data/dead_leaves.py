"""Dead leaves: images without end and without a licence, with the statistics of photographs.

Discs of random size, place and colour occlude one another. With radii from p(r) ∝ r^-3 the images are nearly
scale-invariant, as photographs are (Lee, Mumford & Huang, "Occlusion models for natural images: a statistical study of
a scale-invariant dead leaves model", IJCV 41, 2001). Denoisers trained on them come close to those trained on
photographs (Achddou, Gousseau & Ladjal, "Synthetic images as a regularity prior for image restoration neural networks",
SSVM 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.progress import track
from .arrays import Floats, Integers
from .embedded import embedded_photos
from .loading import numpy_generator
from .photo import Photo, Pixels

# Radii in pixels. Discs between two of these radii are rasterised together, in square boxes of the larger radius; the
# few discs larger than the last radius one by one.
_CLASSES = (1.5, 3.5, 7.5, 15.5)


class Discs(NamedTuple):
    """Discs from front to back: pixel (row i, column j) is at x = j, y = i.

    Attributes:
        x: horizontal positions of the centres, in pixels.
        y: vertical positions of the centres, in pixels.
        r: radii in pixels.
    """

    x: Floats
    y: Floats
    r: Floats


@dataclass(frozen=True)
class DeadLeaves:
    """The dead leaves model.

    Attributes:
        r_min: smallest radius in pixels, 0 < r_min < r_max.
        r_max: largest radius in pixels.
        exponent: exponent of the density of radii, proportional to r^-exponent from r_min to r_max; 3 is the
            scale-invariant case.
        edge_blur: standard deviation in pixels of a Gaussian over the finished image, 0 for none. Discs are flat, so
            that the Gaussian changes edges only. It models the pixel's aperture: without a blur edges are jagged.

    Raises:
        UserError: for values outside these ranges.
    """

    r_min: float = 1.0
    r_max: float = 200.0
    exponent: float = 3.0
    edge_blur: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.r_min < self.r_max < math.inf:
            raise UserError(f"r_min: need 0 < r_min < r_max, got {self.r_min} and {self.r_max}")
        if not math.isfinite(self.exponent):
            raise UserError(f"exponent: must be finite, got {self.exponent}")
        if not 0 <= self.edge_blur < math.inf:
            raise UserError(f"edge_blur: a standard deviation in pixels, at least 0, got {self.edge_blur}")

    def image(self, size: int, palette: Pixels, rng: np.random.Generator) -> Pixels:
        """Draw one image.

        The image is a window of the stationary model on the whole plane: nothing sets its border apart. Painting from
        front to back until all is covered samples the model exactly (Kendall & Thönnes, "Perfect simulation in
        stochastic geometry", Pattern Recognition 32, 1999).

        Args:
            size: side of the image in pixels.
            palette: uint8 (N, 3), colours to draw from; each disc takes one, all equally likely.
            rng: the only source of randomness.

        Returns:
            uint8 (size, size, 3).

        Raises:
            UserError: for a size below 1.
            ValueError: for another palette.
        """
        if size < 1:
            raise UserError(f"size: must be at least 1 pixel, got {size}")
        if palette.ndim != 2 or palette.shape[1] != 3 or palette.dtype != np.uint8 or not len(palette):
            raise ValueError(f"palette must be uint8 (N, 3), N > 0, got {palette.dtype} {palette.shape}")
        # Drawn larger by the radius of the blur, which then averages true neighbours at the border.
        margin = math.ceil(3 * self.edge_blur)
        leaves = self._visible_leaves(size + 2 * margin, rng)
        colours = palette[rng.integers(len(palette), size=int(leaves.max()) + 1)]
        image = colours[leaves]
        return _blur(image, self.edge_blur, margin) if margin else image

    def radii(self, count: int, rng: np.random.Generator) -> Floats:
        """Sample `count` radii from the power law."""
        return self._power_law(-self.exponent, count, rng)

    def discs(self, count: int, size: int, rng: np.random.Generator) -> Discs:
        """Sample discs of the plane, radii by the power law and places uniform, whose boxes meet the frame.

        Most discs of a frame extended by r_max on all sides would miss the frame itself. So only discs that meet the
        frame are drawn: a disc of radius r does if its centre is in a square of side size + 2r, so that r has density ∝
        r^-exponent (size + 2r)², a mixture of three power laws.
        """
        weights = self._term_weights(size)
        counts = rng.multinomial(count, weights / weights.sum())
        r = np.concatenate([self._power_law(k - self.exponent, n, rng) for k, n in enumerate(counts.tolist())])
        rng.shuffle(r)
        # Pixels have their middles at 0 ... size - 1: the frame is half a pixel larger on each side.
        low, span = -0.5 - r, size + 2 * r
        return Discs(low + span * rng.random(count), low + span * rng.random(count), r)

    def _power_law(self, power: float, count: int, rng: np.random.Generator) -> Floats:
        """Sample radii with density ∝ r^power from r_min to r_max, by inverting the distribution function."""
        u = rng.random(count)
        e = power + 1
        if abs(e) < 1e-9:
            return np.asarray(self.r_min * (self.r_max / self.r_min) ** u)
        low, high = self.r_min**e, self.r_max**e
        return np.asarray((low + u * (high - low)) ** (1 / e))

    def _integral(self, power: float) -> float:
        """Compute ∫ r^power dr from r_min to r_max."""
        e = power + 1
        if abs(e) < 1e-9:
            return math.log(self.r_max / self.r_min)
        return float((self.r_max**e - self.r_min**e) / e)

    def _term_weights(self, size: int) -> Floats:
        """Integrate the three terms of r^-exponent (size² + 4 size r + 4 r²)."""
        factors = (size * size, 4.0 * size, 4.0)
        return np.array([factor * self._integral(k - self.exponent) for k, factor in enumerate(factors)])

    def _count_for(self, layers: float, size: int) -> int:
        """Count the discs that, meeting the frame, cover each of its pixels `layers` times on average."""
        mean_area = math.pi * self._integral(2 - self.exponent)
        return math.ceil(layers * float(self._term_weights(size).sum()) / mean_area)

    def _visible_leaves(self, size: int, rng: np.random.Generator) -> Integers:
        """Return the number of the frontmost disc at each pixel, (size, size).

        Discs come in batches, from near to far, each batch twice as large as the one before: later discs are mostly
        hidden, and hidden discs are dropped before they are drawn.
        """
        leaves = np.full((size, size), -1, dtype=np.int64)
        first, layers = 0, 1.0
        while (uncovered := leaves < 0).any():
            discs = self.discs(self._count_for(layers, size), size, rng)
            front = _frontmost(discs, uncovered)
            visible = uncovered & (front < len(discs.r))
            leaves[visible] = first + front[visible]
            first += len(discs.r)
            layers *= 2
        return leaves


def _frontmost(discs: Discs, wanted: NDArray[np.bool_]) -> Integers:
    """Return for each pixel the lowest index of a disc that holds it, or the number of discs where none does.

    The result is right where `wanted`, (size, size), is set; elsewhere discs may be missing.
    """
    size = len(wanted)
    count = len(discs.r)
    front = np.full(size * size, count, dtype=np.int64)
    index = np.flatnonzero(_box_holds_any(discs, wanted))
    radius = discs.r[index]
    low = 0.0
    for high in _CLASSES:
        _paint_small(front, size, discs, index[(low < radius) & (radius <= high)], high)
        low = high
    canvas = front.reshape(size, size)
    for i in index[radius > low].tolist():
        _paint_large(canvas, float(discs.x[i]), float(discs.y[i]), float(discs.r[i]), i)
    return canvas


def _box_holds_any(discs: Discs, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return for each disc whether its bounding box holds a wanted pixel, by four look-ups in a summed-area table."""
    size = len(wanted)
    table = np.zeros((size + 1, size + 1), dtype=np.int64)
    table[1:, 1:] = wanted.cumsum(axis=0).cumsum(axis=1)
    top, left = (np.clip(np.ceil(c - discs.r), 0, size).astype(np.int64) for c in (discs.y, discs.x))
    bottom, right = (np.clip(np.floor(c + discs.r) + 1, 0, size).astype(np.int64) for c in (discs.y, discs.x))
    # Boxes between two pixels are empty, and then top may lie below bottom by one.
    nonempty = (top < bottom) & (left < right)
    counts = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    return np.asarray(nonempty & (counts > 0))


def _paint_small(front: Integers, size: int, discs: Discs, index: Integers, r_max: float) -> None:
    """Lower `front`, flat (size * size), to the index of each disc of radius up to r_max on its pixels."""
    x, y, r = discs.x[index], discs.y[index], discs.r[index]
    steps = np.arange(math.floor(2 * r_max) + 1)
    columns = np.ceil(x - r).astype(np.int64)[:, None] + steps
    rows = np.ceil(y - r).astype(np.int64)[:, None] + steps
    # A pixel outside of the frame is given a distance that no disc reaches.
    across = np.where((columns >= 0) & (columns < size), (columns - x[:, None]) ** 2, np.inf)
    down = np.where((rows >= 0) & (rows < size), (rows - y[:, None]) ** 2, np.inf)
    inside = across[:, None, :] + down[:, :, None] <= (r * r)[:, None, None]
    disc, row, column = np.nonzero(inside)
    np.minimum.at(front, rows[disc, row] * size + columns[disc, column], index[disc])


def _paint_large(canvas: Integers, x: float, y: float, r: float, index: int) -> None:
    """Lower `canvas` (size, size) to `index` on the pixels of one disc."""
    size = len(canvas)
    top, bottom = max(math.ceil(y - r), 0), min(math.floor(y + r) + 1, size)
    left, right = max(math.ceil(x - r), 0), min(math.floor(x + r) + 1, size)
    inside = (np.arange(left, right) - x) ** 2 + ((np.arange(top, bottom) - y) ** 2)[:, None] <= r * r
    box = canvas[top:bottom, left:right]
    box[inside & (box > index)] = index


def _blur(image: Pixels, sigma: float, margin: int) -> Pixels:
    """Blur a (H, W, 3) image by a Gaussian of radius `margin`, and cut `margin` pixels off every side."""
    weights = np.exp(-0.5 * (np.arange(-margin, margin + 1) / sigma) ** 2).astype(np.float32)
    weights /= weights.sum()
    result = image.astype(np.float32)
    for _ in range(2):
        length = len(result) - 2 * margin
        summed = sum(weight * result[k : k + length] for k, weight in enumerate(weights))
        result = np.asarray(summed).transpose(1, 0, 2)
    return np.rint(result).clip(0, 255).astype(np.uint8)


def dead_leaves_photos(
    count: int,
    size: int = 256,
    seed: int = 0,
    model: DeadLeaves | None = None,
    palettes: list[Photo] | None = None,
) -> list[Photo]:
    """Draw `count` images of size x size named "dead_leaves/00000" and so on.

    Image i depends on (seed, i), the model and the palettes, not on `count`.

    Args:
        count: number of images.
        size: side in pixels.
        seed: seed of all draws.
        model: the model of the images; `DeadLeaves()` by default.
        palettes: photographs, of which one is drawn for each image to give the colours, since the colours of one
            photograph belong together. By default the embedded training photographs that are not gray.

    Raises:
        UserError: for a count below 0.
    """
    if count < 0:
        raise UserError(f"count: must be at least 0, got {count}")
    model = DeadLeaves() if model is None else model
    if palettes is None:
        palettes = [photo for photo in embedded_photos("train") if not _is_gray(photo)]
    photos = []
    for i in track(range(count), "drawing dead leaves", total=count):
        name = f"dead_leaves/{i:05d}"
        rng = numpy_generator(seed, name)
        colours = palettes[int(rng.integers(len(palettes)))].pixels.reshape(-1, 3)
        photos.append(Photo(name, model.image(size, colours, rng)))
    return photos


def _is_gray(photo: Photo) -> bool:
    return bool((photo.pixels == photo.pixels[..., :1]).all())
