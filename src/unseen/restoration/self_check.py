"""Self-checks of a restoration: the noise level of the input, and the share of the restoration to keep.

Both are estimated on crops of the input, so that the cost does not grow with the input's size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..core.errors import UserError
from ..evaluation.noise import PLACES, SIDE, Crop, estimate_noise
from ..models.card import Envelope
from ..models.loading import Model
from .imagefiles.image_file import ImageFile

PROBE_STEP = 1e-3
"""ε of Monte-Carlo SURE, in units of the range: small beside any noise, large beside the rounding of float32."""


@dataclass(frozen=True)
class SelfCheck:
    """The judgement on a photograph before it is restored.

    Attributes:
        share: share of the restoration to keep, in [0, 1].
        warnings: reasons to check the result.
    """

    share: float = 1.0
    warnings: tuple[str, ...] = ()


def self_check(source: ImageFile, model: Model, envelope: Envelope | None, do_no_harm: bool) -> SelfCheck:
    """Judge a photograph by some of its crops, before restoration.

    Args:
        source: the photograph.
        model: the model that will restore it.
        envelope: the noise levels at which the model is known to be safe; None if nothing is known.
        do_no_harm: whether to keep only as much of the restoration as Stein's estimate finds best.

    Raises:
        UserError: `do_no_harm` with a model that enlarges.
        UnreadableImage: the file is broken or cut short.
    """
    if not (do_no_harm or envelope):
        return SelfCheck()
    crops = source.crops(PLACES, SIDE)
    warning = envelope_warning(estimate_noise(crops), envelope) if envelope else None
    share = harmless_share(model, crops) if do_no_harm else 1.0
    blended = f"{share:.0%} of the restoration kept, so as to do no harm" if share < 1 else None
    return SelfCheck(share, tuple(text for text in (warning, blended) if text))


def envelope_warning(noise_level: float, envelope: Envelope | None) -> str | None:
    """A warning of one line if a noise level is outside the safe envelope, whose ends are safe too; None if inside.

    Without an envelope the result is None: then the caller warns once for the model (`card.safety`), not for each
    image.

    Args:
        noise_level: σ in gray levels of 255, of `estimate_noise`; nan if it cannot be estimated.
        envelope: the noise levels at which the model is known to be safe.
    """
    if envelope is None:
        return None
    if math.isnan(noise_level):
        return "its noise cannot be estimated (too small, flat or clipped), so it is not known whether this is safe"
    if envelope.low <= noise_level <= envelope.high:
        return None
    return (
        f"its noise level is {noise_level:.1f} gray levels, outside the {envelope.low:.1f} to {envelope.high:.1f} "
        "where this model is known to be safe"
    )


def harmless_share(model: Model, crops: Sequence[Crop]) -> float:
    """Choose the share t in [0, 1] of the restoration f(y) in the blend y + t (f(y) - y) with the input y.

    For y = x + white Gaussian noise of σ, N values, g(y) = y + t (f(y) - y) and δ = div f / N, Stein's unbiased
    estimate of the mean squared error of g (Stein, Estimation of the mean of a multivariate normal distribution,
    Annals of Statistics 1981) is

        t² |f(y) - y|² / N - σ² + 2 σ² (1 + t (δ - 1)),    least at    t = σ² (1 - δ) / (|f(y) - y|² / N).

    δ is estimated from one random probe b of ±1, as b · (f(y + ε b) - f(y)) / (ε N) (Ramani, Blu & Unser, Monte-Carlo
    SURE, IEEE Transactions on Image Processing 2008); the probe is always the same. σ is the noise level of
    `estimate_noise`: an estimate that is too low, as for correlated noise, keeps too little of the restoration, and an
    estimate that is too high keeps too much.

    Args:
        model: f; it must keep sizes.
        crops: y, as for `estimate_noise`.

    Returns:
        t; 1, all of the restoration, where no noise level can be estimated.

    Raises:
        UserError: the model enlarges.
    """
    if model.receptive_field.scale != 1:
        raise UserError(f"{model.name}: enlarges, and only a model that keeps sizes can be blended with its input")
    variance = (estimate_noise(crops) / 255) ** 2
    if math.isnan(variance):
        return 1.0
    squared_change = divergence = 0.0
    for i, crop in enumerate(crops):
        image = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None]
        probe = 2.0 * torch.randint(2, image.shape, generator=torch.Generator().manual_seed(i)) - 1
        restored = model.run(image)
        response = (model.run(image + PROBE_STEP * probe) - restored) / PROBE_STEP
        squared_change += float((restored - image).double().square().sum())
        divergence += float((probe * response).double().sum())
    if squared_change == 0:
        return 1.0
    values = sum(crop.size for crop in crops)
    return min(max(variance * (values - divergence) / squared_change, 0.0), 1.0)
