"""When not to trust a restoration: how noisy the input is, whether anything changed, and how far to follow the model.

Everything is judged on crops of the input, so that the cost does not grow with its size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from ..core.errors import UserError
from ..evaluation.noise import Crop, estimate_noise
from ..models.card import Envelope
from ..models.loading import Model

HALF_A_LEVEL = 0.5 / 255
"""Less than that is no change in a file of 8 bits."""

STEP = 1e-3
"""Of the probe, in units of the range: small beside any noise, large beside the rounding of float32."""


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
    if model.receptive_field.scale != 1:
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
