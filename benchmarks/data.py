"""Drawing the batches of a training step, against the same steps in plain numpy and OpenCV, or kornia.

    python benchmarks/data.py [--rounds 9] [--rows blur jpeg] [--patch 64] [--batch 16]

Both sides cut the same number of clean patches from the same photographs, and distort them by every confounder of
the row.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

import cv2
import degradations
import numpy as np
import torch
from degradations import Degradation
from pairs import Row, measure, ratio, repeated, show
from torch import Tensor

from unseen import keep_freed_memory
from unseen.data.patches import Patches
from unseen.data.photo import Photo
from unseen.data.sources import training_photos
from unseen.protocols.confounder import parse_confounder


@dataclass(frozen=True)
class Comparison:
    """A comparison: the confounders by their specs, and the same by a rival.

    Attributes:
        specs: the confounders.
        rival: the rival's name.
        by: the rival's distortions, one a confounder.
        target: the speed of the rival to reach; None where the rival does less.
        takes: what the rival distorts: a float patch, a patch of 8 bits, or a float batch.
    """

    specs: Sequence[str]
    rival: str
    by: Sequence[Degradation]
    target: float | None = 1.0
    takes: Literal["patch", "levels", "batch"] = "patch"


SIGMAS, WIDTHS, QUALITIES = (5, 10, 15, 20), (1, 2, 3, 4), (80, 60, 40, 20)
SHOT, READ, DENSITY = (1e-4, 0.012), (1e-6, 2e-4), (0.0005, 0.005)
RAIN = f"rain_streaks:[{DENSITY[0]},{DENSITY[1]}]"


def kornia_noise(sigma: float) -> Degradation:
    """Gaussian noise on a batch by kornia, clipped."""
    from kornia.augmentation import RandomGaussianNoise

    noise = RandomGaussianNoise(std=sigma / 255, p=1.0)
    return lambda clean, rng: noise(clean).clamp(0, 1)


COMPARISONS: dict[str, Callable[[], Comparison]] = {
    "noise": lambda: Comparison(
        [f"gaussian_noise:{s}" for s in SIGMAS], "kornia", [kornia_noise(s) for s in SIGMAS], 1.5, "batch"
    ),
    "blur": lambda: Comparison(
        [f"gaussian_blur:{s}" for s in WIDTHS], "OpenCV", [degradations.blur(s) for s in WIDTHS]
    ),
    "jpeg": lambda: Comparison(
        [f"jpeg:{q}" for q in QUALITIES], "OpenCV", [degradations.jpeg(q) for q in QUALITIES], takes="levels"
    ),
    "poisson": lambda: Comparison(["poisson_noise:100"], "numpy", [degradations.poisson(100)]),
    "camera": lambda: Comparison(
        [f"camera_noise:python,[{SHOT[0]},{SHOT[1]}],[{READ[0]},{READ[1]}]"],
        "numpy and OpenCV",
        [degradations.camera(SHOT, READ)],
    ),
    "rain": lambda: Comparison([RAIN], "numpy, the same steps", [degradations.rain(DENSITY)]),
    "rain (lines)": lambda: Comparison([RAIN], "OpenCV's plain lines", [degradations.rain_of_lines(DENSITY)], None),
    "real_esrgan 1": lambda: Comparison(["real_esrgan:1"], "numpy and OpenCV", [degradations.real_esrgan(1)]),
    "real_esrgan 2": lambda: Comparison(["real_esrgan:2"], "numpy and OpenCV", [degradations.real_esrgan(2)]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", nargs="+", default=list(COMPARISONS), choices=list(COMPARISONS), metavar="ROW")
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    show(rows(options.rounds, options.rows, options.patch, options.batch))


def rows(rounds: int, names: Sequence[str] = tuple(COMPARISONS), patch: int = 64, batch: int = 16) -> Iterator[Row]:
    """A row for each comparison: the speed of the package by that of the rival."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_freed_memory()
    photos = training_photos(["embedded"]).train
    for name in names:
        yield compare(name, COMPARISONS[name](), photos, patch, batch, rounds)


def compare(name: str, row: Comparison, photos: Sequence[Photo], patch: int, batch: int, rounds: int) -> Row:
    """The speed of a batch under every confounder."""
    patches, confounders = Patches(photos, patch), [parse_confounder(spec, "row") for spec in row.specs]
    rng, steps = np.random.default_rng(0), count()
    images = [photo.pixels for photo in photos]

    def ours() -> None:
        draws = torch.Generator().manual_seed(next(steps))
        clean = patches.draw(batch, draws)
        for confounder in confounders:
            confounder.pair(clean, draws)

    def theirs() -> None:
        cut = crops(images, patch, batch, rng)
        if row.takes == "batch":
            clean = torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).contiguous() / 255
            for degrade in row.by:
                degrade(clean, rng)
            return
        floats = [image.astype(np.float32) / np.float32(255) for image in cut]
        tensor(floats)
        for degrade in row.by:
            tensor([degrade(image, rng) for image in (cut if row.takes == "levels" else floats)])

    repeats = 5
    ways = {"ours": ours, "rival": theirs}
    seconds = measure({way: repeated(step, repeats) for way, step in ways.items()}, rounds)
    return Row(
        f"{name}: {len(row.specs)} × {batch} patches of {patch}²",
        row.rival,
        "" if row.target is None else f"≥ {row.target:g}",
        ratio(seconds["rival"], seconds["ours"]),
    )


def crops(
    images: Sequence[degradations.Image], size: int, n: int, rng: np.random.Generator
) -> list[degradations.Image]:
    """Cut n random patches, flipped and turned."""
    cut = []
    for _ in range(n):
        image = images[int(rng.integers(len(images)))]
        top, left = (int(rng.integers(side - size + 1)) for side in image.shape[:2])
        patch = image[top : top + size, left : left + size]
        patch = patch[:: 1 - 2 * int(rng.integers(2)), :: 1 - 2 * int(rng.integers(2))]
        cut.append(np.ascontiguousarray(patch.transpose(1, 0, 2) if rng.random() < 0.5 else patch))
    return cut


def tensor(images: Sequence[degradations.Image]) -> Tensor:
    """A batch of images, channels last in memory."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


if __name__ == "__main__":
    main()
