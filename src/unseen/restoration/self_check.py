"""Self-checks of a restoration: the noise level of the input, and the share of the restoration to keep.

Both are estimated on crops of the input, so that the cost does not grow with the input's size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..core.errors import UserError
from ..evaluation.noise import Crop, photo_noise
from ..models.card import Envelope
from ..models.loading import Model
from .guarded_model import Change, with_colours_kept
from .report import NoiseRange, PhotoWarning

PROBE_STEP = 1e-3
"""ε of Monte-Carlo SURE, in units of the range: small beside any noise, large beside the rounding of float32."""

VISIBLE_CHANGE = 0.5 / 255
"""The smallest change, in units of the range, that is visible in a file of 8 bits."""
WARNED_SHIFT = 5 / 255
"""The largest shift of a colour that is not warned of, in units of the range."""

UNREADABLE = "its noise cannot be estimated (too small, clipped, or drawn as screenshots are)"
UNREADABLE_SUMMARY = (
    "noise that cannot be estimated (too small, clipped, or drawn as screenshots are); look for edges and text that "
    "changed"
)
LEFT_ALONE = PhotoWarning(
    f"{UNREADABLE}, so it is left as it is", "left as they are, since their noise cannot be estimated"
)
UNCHANGED = PhotoWarning("the output equals the input, the model changed nothing")

MOVED_SUMMARY = "colours of large areas moved; look for saturated areas, such as lamps and flowers, of another tone"


@dataclass(frozen=True)
class SelfCheck:
    """The judgement on a photograph.

    Attributes:
        noise_level: estimated noise level, gray levels of 255; nan where it cannot be estimated.
        kept: share of the restoration to keep, in [0, 1].
        warnings: reasons to look at the result.
        noise_range: the noise that the network itself read; None where it reads none.
    """

    noise_level: float
    kept: float = 1.0
    warnings: tuple[PhotoWarning, ...] = ()
    noise_range: NoiseRange | None = None

    @property
    def shown_noise(self) -> float:
        """The noise level to show: the mean that the network itself read, or else the estimate."""
        return self.noise_range.mean if self.noise_range else self.noise_level


def self_check(crops: Sequence[Crop], model: Model, envelope: Envelope | None, do_no_harm: bool) -> SelfCheck:
    """Judge a photograph by some of its crops, before restoration.

    Args:
        crops: crops of the photograph (`sampled_crops`).
        model: the model that will restore it.
        envelope: the noise levels at which the model is known to be safe; None if nothing is known.
        do_no_harm: whether to keep only as much of the restoration, its colours kept, as Stein's estimate finds best,
            and nothing where the noise level cannot be estimated.

    Raises:
        UserError: `do_no_harm` with a model that enlarges.
    """
    noise_level = photo_noise(crops)
    # In float32: the rounding of bfloat16 is larger than the steps by which Stein's estimate finds a derivative.
    judged = with_colours_kept(replace(model, run=model.exact or model.run), noise_level)
    kept = harmless_share(judged, crops) if do_no_harm else 1.0
    noise_range = noise_range_of(model, crops)
    if math.isnan(noise_level) and do_no_harm:
        return SelfCheck(noise_level, kept, (LEFT_ALONE,), noise_range)
    warnings = [envelope_warning(noise_level, envelope), blend_warning(kept)]
    return SelfCheck(noise_level, kept, tuple(warning for warning in warnings if warning), noise_range)


def noise_range_of(model: Model, crops: Sequence[Crop]) -> NoiseRange | None:
    """The noise that the model's network reads in crops, float32 (h, w, 3) in [0, 1]; None where it reads none."""
    if model.noise_map is None:
        return None
    maps = [model.noise_map(_image(crop))[:, :3].mean(1).flatten() for crop in crops]
    deviations = 255 * torch.cat(maps)
    low, high = deviations.quantile(torch.tensor([0.05, 0.95])).tolist()
    return NoiseRange(float(deviations.mean()), low, high)


def _image(crop: Crop) -> torch.Tensor:
    """A crop as (1, 3, h, w)."""
    return torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None]


def with_change(check: SelfCheck, change: Change) -> SelfCheck:
    """Complete a judgement by what the restoration has changed; where that is nothing, there is nothing else to say."""
    if check.kept and change.largest < VISIBLE_CHANGE:
        return replace(check, warnings=(blend_warning(check.kept) or UNCHANGED,))
    if change.colour <= WARNED_SHIFT:
        return check
    text = f"colours of large areas moved by up to {255 * change.colour:.0f} gray levels"
    return replace(check, warnings=(*check.warnings, PhotoWarning(text, MOVED_SUMMARY, guarded=True)))


def envelope_warning(noise_level: float, envelope: Envelope | None) -> PhotoWarning | None:
    """A warning if a noise level is outside the safe envelope, whose ends are safe too; None if inside.

    Without an envelope the result is None: then the caller warns once for the model (`card.safety`), not for each
    image.

    Args:
        noise_level: σ in gray levels of 255, of `photo_noise`; nan if it cannot be estimated.
        envelope: the noise levels at which the model is known to be safe.
    """
    if envelope is None:
        return None
    if math.isnan(noise_level):
        return PhotoWarning(f"{UNREADABLE}, so it is not known whether this is safe", UNREADABLE_SUMMARY, guarded=True)
    if envelope.holds(noise_level):
        return None
    where = f"the {envelope.low:.1f} to {envelope.high:.1f} where this model is known to be safe"
    if noise_level < envelope.low:
        summary = f"noise level below {where}; look for fine texture that is gone"
    else:
        summary = f"noise level above {where}; look for noise that is left, and for blotches"
    return PhotoWarning(f"its noise level is {noise_level:.1f} gray levels, outside {where}", summary, guarded=True)


def blend_warning(kept: float) -> PhotoWarning | None:
    """A warning that only a share of the restoration is kept; None for all of it."""
    if kept == 1:
        return None
    return PhotoWarning(
        f"{kept:.0%} of the restoration kept, so as to do no harm",
        "only a share of the restoration kept, so as to do no harm; look for noise that is left",
    )


def harmless_share(model: Model, crops: Sequence[Crop]) -> float:
    """Choose the share t in [0, 1] of the restoration f(y) in the blend y + t (f(y) - y) with the input y.

    For y = x + white Gaussian noise of σ, N values, g(y) = y + t (f(y) - y) and δ = div f / N, Stein's unbiased
    estimate of the mean squared error of g (Stein, Estimation of the mean of a multivariate normal distribution,
    Annals of Statistics 1981) is

        t² |f(y) - y|² / N - σ² + 2 σ² (1 + t (δ - 1)),    least at    t = σ² (1 - δ) / (|f(y) - y|² / N).

    δ is estimated from one random probe b of ±1, as b · (f(y + ε b) - f(y)) / (ε N) (Ramani, Blu & Unser, Monte-Carlo
    SURE, IEEE Transactions on Image Processing 2008); the probe is always the same. σ is the noise level of
    `photo_noise`: an estimate that is too low, as for correlated noise, keeps too little of the restoration, and an
    estimate that is too high keeps too much.

    Args:
        model: f; it must keep sizes.
        crops: y, as for `estimate_noise`.

    Returns:
        t; 0, none of the restoration, where no noise level can be estimated (`photo_noise`).

    Raises:
        UserError: the model enlarges.
    """
    if model.receptive_field.scale != 1:
        raise UserError(f"{model.name}: enlarges, and only a model that keeps sizes can be blended with its input")
    variance = (photo_noise(crops) / 255) ** 2
    if math.isnan(variance):
        return 0.0
    squared_change = divergence = 0.0
    for i, crop in enumerate(crops):
        image = _image(crop)
        probe = 2.0 * torch.randint(2, image.shape, generator=torch.Generator().manual_seed(i)) - 1
        restored = model.run(image)
        response = (model.run(image + PROBE_STEP * probe) - restored) / PROBE_STEP
        squared_change += float((restored - image).double().square().sum())
        divergence += float((probe * response).double().sum())
    if squared_change == 0:
        return 1.0
    values = sum(crop.size for crop in crops)
    return min(max(variance * (values - divergence) / squared_change, 0.0), 1.0)
