"""When not to trust a restoration: how noisy the input is, whether anything changed, and how far to follow the model.

Everything is judged on crops of the input, so that the cost does not grow with its size.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.errors import UserError
from ..models.card import Envelope
from ..models.loading import Model

Crop = NDArray[np.float32]
"""(h, w, 3) in [0, 1]."""

BLOCK = 64
"""Side of a block that is read by itself, pixels."""
SMALLEST = 16
"""Side in pixels below which nothing is read: the median would be that of a few dozen coefficients."""
CLIPPED = 0.5
"""Share of black or white values (0 or 1) above which a block is left out: noise cannot be seen where it is clipped."""
PLACES, SIDE = 9, 256
"""At how many places of a photograph, of which side in pixels, it is looked at."""
HALF_A_LEVEL = 0.5 / 255
"""Less than that is no change in a file of 8 bits."""
STEP = 1e-3
"""Of the probe, in units of the range: small beside any noise, large beside the rounding of float32."""


def estimate_noise(crops: Iterable[Crop]) -> float:
    """The reading: σ of white Gaussian noise in gray levels of 255, nan where there is nothing to read it from.

    Per block of at most 64×64 pixels, the median absolute wavelet coefficient at the finest scale, divided by that of
    a standard normal (Donoho & Johnstone, Ideal spatial adaptation by wavelet shrinkage, Biometrika 1994, section 4.2;
    scikit-image's `estimate_sigma`), averaged over channels. Texture adds to that and never takes away, so the lower
    quartile over blocks is what is read. Signal-dependent noise is read between its extremes; noise that is
    correlated, as after JPEG or demosaicking, is read too low.

    crops: float32 (h, w, 3) in [0, 1]; parts with a side below 16 pixels, and blocks that are mostly black or white,
    are left out.
    """
    found = [_read(block) for crop in crops for block in _blocks(crop)]
    return 255 * float(np.quantile(found, 0.25)) if found else math.nan


def _read(block: Crop) -> float:
    """σ in the mean over channels, in units of the range; 0 for a channel without any detail."""
    # Importing it takes a second.
    from skimage.restoration import estimate_sigma

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the median of no coefficient, where all are exactly zero
        by_channel: list[float] = estimate_sigma(block, channel_axis=-1)  # type: ignore[no-untyped-call]
    return float(np.mean(np.nan_to_num(by_channel)))


def _blocks(crop: Crop) -> Iterator[Crop]:
    height, width = crop.shape[:2]
    if min(height, width) < SMALLEST:
        return
    for top in range(0, max(1, height - BLOCK + 1), BLOCK):
        for left in range(0, max(1, width - BLOCK + 1), BLOCK):
            block = crop[top : top + BLOCK, left : left + BLOCK]
            if np.mean((block <= 0) | (block >= 1)) <= CLIPPED:
                yield block


def noise_of(image: Tensor) -> float:
    """The reading of one image, float (1, 3, H, W) in [0, 1]."""
    return estimate_noise([image[0].permute(1, 2, 0).numpy()])


def outside(reading: float, envelope: Envelope | None) -> str | None:
    """One line of warning where a reading is not within the safe envelope, ends included; None where all is well.

    Without an envelope nothing is known of any image: that is to be said once, of the model (`cards.safety`), and
    None is returned here.
    """
    if envelope is None:
        return None
    if math.isnan(reading):
        return "its noise cannot be read (too small, flat or clipped), so it is not known whether restoring it is safe"
    if envelope.low <= reading <= envelope.high:
        return None
    return (
        f"its noise reads {reading:.1f} gray levels, outside the {envelope.low:.1f} to {envelope.high:.1f} where this "
        "model is known to be safe"
    )


def harmless_share(model: Model, crops: Sequence[Crop]) -> float:
    """How far to go from the input towards the restoration: t in [0, 1] of y + t (f(y) - y).

    For y = x + white Gaussian noise of σ, N values, g(y) = y + t (f(y) - y) and δ = div f / N, Stein's unbiased
    estimate of the mean squared error of g (Stein, Estimation of the mean of a multivariate normal distribution,
    Annals of Statistics 1981) is

        t² |f(y) - y|² / N - σ² + 2 σ² (1 + t (δ - 1)),    least at    t = σ² (1 - δ) / (|f(y) - y|² / N).

    δ is found from one random probe b of ±1, as b · (f(y + ε b) - f(y)) / (ε N) (Ramani, Blu & Unser, Monte-Carlo
    SURE, IEEE Transactions on Image Processing 2008); the probe is always the same. σ is the reading of
    `estimate_noise`: where it is too low, as for correlated noise, too little of the restoration is kept, and where
    it is too high, too much. 1, all of the restoration, where no noise can be read.

    model: one that keeps sizes; raises UserError for another. crops: as for `estimate_noise`.
    """
    if model.reach.scale != 1:
        raise UserError(f"{model.name}: enlarges, and only a model that keeps sizes can be blended with its input")
    variance = (estimate_noise(crops) / 255) ** 2
    if math.isnan(variance):
        return 1.0
    moved = divergence = 0.0
    for i, crop in enumerate(crops):
        image = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None]
        probe = 2.0 * torch.randint(2, image.shape, generator=torch.Generator().manual_seed(i)) - 1
        restored = model.run(image)
        response = (model.run(image + STEP * probe) - restored) / STEP
        moved += float((restored - image).double().square().sum())
        divergence += float((probe * response).double().sum())
    if moved == 0:
        return 1.0
    values = sum(crop.size for crop in crops)
    return min(max(variance * (values - divergence) / moved, 0.0), 1.0)
