"""The noise level of an image, against scikit-image's estimate block by block."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.restoration import estimate_sigma

from unseen.data.embedded import embedded_photos
from unseen.evaluation.noise import BLOCK, estimate_noise


def photograph(sigma: float, height: int, width: int) -> NDArray[np.float32]:
    """The middle of the astronaut with noise of σ gray levels, rounded to 8 bits."""
    (photo,) = (photo.pixels for photo in embedded_photos("test") if photo.name == "astronaut")
    top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
    noise = np.random.default_rng(0).normal(0, sigma, (height, width, 3))
    levels = (photo[top : top + height, left : left + width] + noise).clip(0, 255).round()
    return levels.astype(np.float32) / np.float32(255)


def reference(crop: NDArray[np.float32]) -> float:
    """The lower quartile over blocks of what scikit-image estimates, gray levels of 255."""
    side_y, side_x = (min(BLOCK, side) for side in crop.shape[:2])
    sigmas = []
    for top in range(0, crop.shape[0] - side_y + 1, BLOCK):
        for left in range(0, crop.shape[1] - side_x + 1, BLOCK):
            block = crop[top : top + side_y, left : left + side_x]
            if np.mean((block <= 0) | (block >= 1)) <= 0.5:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)  # of a channel without any detail
                    by_channel = estimate_sigma(block, channel_axis=-1)  # type: ignore[no-untyped-call]
                sigmas.append(float(np.mean(np.nan_to_num(by_channel))))
    return 255 * float(np.quantile(sigmas, 0.25)) if sigmas else math.nan


@pytest.mark.parametrize("sigma", [0, 2, 15, 50])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (256, 200), (17, 90), (63, 129), (100, 33)])
def test_the_noise_level_is_that_of_scikit_image_to_nearly_the_bit(sigma: float, height: int, width: int) -> None:
    crop = photograph(sigma, height, width)
    assert estimate_noise([crop]) == pytest.approx(reference(crop), rel=1e-6)


def test_areas_without_any_detail_are_left_out_of_the_median_and_a_channel_of_nothing_else_counts_as_zero() -> None:
    crop = photograph(15, 64, 128)
    crop[::2, :50] = crop[1::2, :50] = 0.5
    crop[..., 2] = 0.25
    assert estimate_noise([crop]) == pytest.approx(reference(crop), rel=1e-6)
    assert estimate_noise([np.full((64, 64, 3), 0.5, np.float32)]) == pytest.approx(0, abs=1e-9)


def test_an_image_of_nothing_but_clipped_blocks_has_no_noise_level() -> None:
    assert math.isnan(estimate_noise([np.ones((128, 64, 3), np.float32)]))
