"""Frames on which the study of the restorer measures brightness: dark, bright, and synthetic microscopy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from unseen.data.photo import Photo


def frames(clean: Sequence[Photo]) -> Iterator[tuple[str, Photo]]:
    """Frames on which brightness is measured: dark and bright copies of photographs, and synthetic microscopy."""
    for photo in clean:
        yield "dark", Photo(photo.name, np.rint(photo.pixels * 0.05).astype(np.uint8))
        yield "bright", Photo(photo.name, np.rint(178 + photo.pixels * (52 / 255)).astype(np.uint8))
    for seed in range(len(clean)):
        yield "microscopy", microscopy(seed)


def microscopy(seed: int, side: int = 320) -> Photo:
    """Make a fluorescence picture: 40 round cells with soft rims, green, brightest in the middle, on near-black.

    A cell has a radius of 4 to 18 pixels, 20 to 200 gray levels, and one twentieth of them in red; the ground has 2.
    """
    draws = np.random.default_rng(seed)
    row, column = np.mgrid[:side, :side]
    green = np.full((side, side), 2.0)
    for y, x, radius, light in draws.uniform((0, 0, 4, 20), (side, side, 18, 200), (40, 4)):
        distance = np.hypot(row - y, column - x)
        green += (
            light * (1 - 0.4 * (distance / radius).clip(0, 1)) / (1 + np.exp((2 * (distance - radius)).clip(None, 50)))
        )
    pixels = np.stack((2 + 0.05 * (green - 2), green, np.full_like(green, 2)), axis=2)
    return Photo(f"cells {seed}", np.rint(pixels.clip(0, 230)).astype(np.uint8))
