"""CBM3D and OpenCV's non-local means at their best, measured as restorer.py measures a model.

    pip install bm3d opencv-python-headless       # rivals to measure against, never needed by the package
    python studies/restorer_rivals.py --data /path/to/data --sigmas 15 25        # minutes a level on one core

adds rows to docs/results/restorer.jsonl. CBM3D (Dabov et al. 2007; the program of Mäkinen, Azzari and Foi 2020, Tampere
University, whose licence allows non-commercial use alone) is told σ, since it cannot read it. OpenCV's
fastNlMeansDenoisingColored (Buades et al. 2011) gets for each picture the best of ten settings, by PSNR.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from restorer import GRAY_SIGMAS, ROWS, SIGMAS, Row, kept_rows, photos_of
from restorer_measures import CONVENTION, fidelity

from unseen.core.jsonl import write_lines
from unseen.core.progress import progress_bars, track
from unseen.data.gray import grayed
from unseen.data.photo import Photo, Pixels, to_8_bits
from unseen.data.tensors import to_pixels, to_tensor
from unseen.evaluation.benchmark_sets import spread
from unseen.evaluation.inputs import distort
from unseen.protocols.confounder import parse_confounder

CBM3D, NLM = "CBM3D", "OpenCV NLM"
"""What the rows and panels of the rivals are known by, in place of a digest of weights."""

STRENGTHS = (0.5, 0.7, 0.9, 1.1, 1.4)
"""Strengths `h` that non-local means tries, as shares of the noise's deviation."""


def cbm3d(noisy: Pixels, sigma: float) -> Pixels:
    """Restore by CBM3D that is told σ, in gray levels."""
    import bm3d

    restored = bm3d.bm3d_rgb(noisy / 255, sigma / 255)
    return to_8_bits(np.asarray(restored, np.float32))


def bm3d_of_gray(noisy: Pixels, sigma: float) -> Pixels:
    """Restore a gray picture (H, W, 1) by BM3D that is told σ, in gray levels."""
    import bm3d

    restored = bm3d.bm3d(noisy[..., 0] / 255, sigma / 255)
    return to_8_bits(np.asarray(restored, np.float32))[..., None]


def non_local_means(noisy: Pixels, h: float, h_colour: float) -> Pixels:
    """Restore by OpenCV's non-local means, of strength `h` for luminance and `h_colour` for colour."""
    import cv2

    restored: Pixels = cv2.fastNlMeansDenoisingColored(np.ascontiguousarray(noisy), None, h, h_colour, 7, 21)
    return restored


def best_non_local_means(noisy: Pixels, clean: Pixels, sigma: float) -> Pixels:
    """The best of ten settings, by the PSNR to the truth."""
    settings = [(share * sigma, factor * share * sigma) for share in STRENGTHS for factor in (1.0, 2.0)]
    return best((non_local_means(noisy, *setting) for setting in settings), clean)


def best(candidates: Iterable[Pixels], clean: Pixels) -> Pixels:
    """The candidate that is nearest to the truth by PSNR."""
    return max(candidates, key=lambda pixels: quality(pixels, clean))


def quality(pixels: Pixels, clean: Pixels) -> float:
    """PSNR in dB."""
    return fidelity(to_tensor(pixels), to_tensor(clean))


Rival = Callable[[Pixels, Pixels, float], Pixels]
"""Restores a noisy picture, which has this truth and this σ."""

RIVALS: dict[str, Rival] = {
    NLM: best_non_local_means,
    CBM3D: lambda noisy, clean, sigma: cbm3d(noisy, sigma),
}


def measure(data: Path, sigmas: Sequence[int]) -> None:
    """Measure both rivals on the photographs that models are measured on, and keep each row as soon as it is there."""
    kept = kept_rows(ROWS)
    photos = spread(photos_of(f"cbsd68={data}/test/cbsd68"), 24)[::2]
    work = [(name, sigma, photo) for name in RIVALS for sigma in sigmas for photo in photos]
    missing = [partial(row_of, *item) for item in work if (item[0], "noise", str(item[1]), item[2].name) not in kept]
    grays = [(sigma, photo) for sigma in GRAY_SIGMAS if sigma in sigmas for photo in photos]
    missing += [partial(gray_row, *item) for item in grays if (CBM3D, "gray", str(item[0]), item[1].name) not in kept]
    for measured in track(missing, "rivals", len(missing)):
        row = measured()
        kept[row.weights, row.test, row.level, row.image] = row
        write_lines(ROWS, kept.values())


def row_of(name: str, sigma: int, photo: Photo) -> Row:
    """Measure one rival on one photograph."""
    noisy = to_pixels(distort(photo, parse_confounder(f"gaussian_noise:{sigma}", "level"), CONVENTION, 0, "cbsd68"))
    restored = RIVALS[name](noisy, photo.pixels, sigma)
    return Row(name, "noise", str(sigma), photo.name, quality(noisy, photo.pixels), quality(restored, photo.pixels))


def gray_row(sigma: int, photo: Photo) -> Row:
    """Measure BM3D on the gray copy of a photograph."""
    gray = grayed(photo)
    noisy = to_pixels(distort(gray, parse_confounder(f"gaussian_noise:{sigma}", "level"), CONVENTION, 0, "cbsd68"))
    restored = bm3d_of_gray(noisy, sigma)
    return Row(CBM3D, "gray", str(sigma), photo.name, quality(noisy, gray.pixels), quality(restored, gray.pixels))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="folder of data sets")
    parser.add_argument("--sigmas", nargs="+", type=int, default=[sigma for sigma in SIGMAS if sigma], help="levels")
    given = parser.parse_args()
    with progress_bars():
        measure(given.data, given.sigmas)


if __name__ == "__main__":
    main()
