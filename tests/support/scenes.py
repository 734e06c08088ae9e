"""Pictures that are made here, and kept as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def scene(height: int = 40, width: int = 60, seed: int = 0) -> Pixels:
    """A smooth RGB picture without symmetry, which JPEG keeps well."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    phase = rng.uniform(0, 6, size=3)
    waves = [127 + 100 * np.sin(x / 17 + p) * np.cos(y / 11 + 2 * p) + 20 * x / width for p in phase]
    return np.stack(waves, axis=-1).clip(0, 255).astype(np.uint8)


def save(path: Path, pixels: Pixels, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def noise(seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (100, 100, 3), dtype=np.uint8)
