"""Self-checks of a restoration: the noise level of the input, and whether the restoration is worth its risk.

The noise is estimated on crops of the input, so that the cost does not grow with the input's size; the rest is measured
while the input is restored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..evaluation.noise import Crop, photo_noise
from ..models.card import Envelope
from ..models.loading import Model
from .guarded_model import Change
from .report import NoiseRange, PhotoWarning

SLIGHT = 0.6 / 255
"""Root mean square change, in units of the range, below which a restoration is not worth its risk.

This and the two that follow were chosen by studies/do_no_harm.py, on validation photographs."""
QUIET = 1.0
"""Noise level, gray levels of 255, below which an input is taken for clean unless the network changes it much."""
SLIGHT_WHERE_QUIET = 1.6 / 255
"""Root mean square change, in units of the range, below which the same is true of a quiet input."""

VISIBLE_CHANGE = 0.5 / 255
"""The smallest change, in units of the range, that is visible in a file of 8 bits."""
WARNED_SHIFT = 5 / 255
"""The largest shift of a colour that is not warned of, in units of the range."""

UNREADABLE = "its noise cannot be estimated (too small, clipped, or drawn as screenshots are)"
UNREADABLE_SUMMARY = (
    "noise that cannot be estimated (too small, clipped, or drawn as screenshots are); look for edges and text that "
    "changed"
)
UNCHANGED = PhotoWarning("the output equals the input, the model changed nothing")

MOVED_SUMMARY = "colours of large areas moved; look for saturated areas, such as lamps and flowers, of another tone"


@dataclass(frozen=True)
class SelfCheck:
    """The judgement on a photograph.

    Attributes:
        noise_level: estimated noise level, gray levels of 255; nan where it cannot be estimated.
        kept: share of the restoration to keep: 1, or 0 where the input is left as it is.
        warnings: reasons to look at the result.
        noise_range: the noise that the network itself read; None where it reads none.
        colourless: whether its crops are in black and white, however its file holds them.
    """

    noise_level: float
    kept: float = 1.0
    warnings: tuple[PhotoWarning, ...] = ()
    noise_range: NoiseRange | None = None
    colourless: bool = False

    @property
    def shown_noise(self) -> float:
        """The noise level to show: the mean that the network itself read, or else the estimate."""
        return self.noise_range.mean if self.noise_range else self.noise_level


def self_check(crops: Sequence[Crop], model: Model, envelope: Envelope | None) -> SelfCheck:
    """Judge a photograph by some of its crops, before restoration.

    Args:
        crops: crops of the photograph (`sampled_crops`).
        model: the model that will restore it.
        envelope: the noise levels at which the model is known to be safe; None if nothing is known.
    """
    noise_level = photo_noise(crops)
    warning = envelope_warning(noise_level, envelope)
    colourless = all(bool((crop == crop[..., :1]).all()) for crop in crops)
    return SelfCheck(noise_level, 1.0, (warning,) if warning else (), noise_range_of(model, crops), colourless)


def worth_its_risk(change: float, noise_level: float, strength: float = 1.0) -> bool:
    """Whether a restoration changes its input enough for noise to be the likely reason.

    A network that changes an input by less takes grain and fine texture for noise as often as it takes noise; nobody
    misses so weak a restoration.

    Args:
        change: root mean square change of a value, in units of the range (`Change.rms`).
        noise_level: σ of the input in gray levels of 255, of `photo_noise`; nan, as of drawings, counts as quiet.
        strength: strength of the restoration, above 0. Below 1 the change counts as if it had been made at 1, so that
            who asks for less of a restoration gets less, and not none.
    """
    return change / min(1.0, strength) >= (SLIGHT if noise_level >= QUIET else SLIGHT_WHERE_QUIET)


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


def with_change(check: SelfCheck, change: Change, harm_check: bool, strength: float = 1.0) -> SelfCheck:
    """Complete a judgement by what the restoration has changed.

    Args:
        check: the judgement before the restoration.
        change: what the restoration has changed.
        harm_check: whether the input is left as it is where the restoration is not `worth_its_risk`. Then there is
            nothing to warn of.
        strength: strength of the restoration.
    """
    if harm_check and not worth_its_risk(change.rms, check.noise_level, strength):
        return replace(check, kept=0.0, warnings=())
    if change.largest < VISIBLE_CHANGE:
        return replace(check, warnings=(UNCHANGED,))
    if change.colour <= WARNED_SHIFT:
        return check
    text = f"colours of large areas moved by up to {255 * change.colour:.0f} gray levels"
    return replace(check, warnings=(*check.warnings, PhotoWarning(text, MOVED_SUMMARY, of_colours=True)))


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
        return PhotoWarning(f"{UNREADABLE}, so it is not known whether this is safe", UNREADABLE_SUMMARY)
    if envelope.holds(noise_level):
        return None
    where = f"the {envelope.low:.1f} to {envelope.high:.1f} where this model is known to be safe"
    if noise_level < envelope.low:
        summary = f"noise level below {where}; look for fine texture that is gone"
    else:
        summary = f"noise level above {where}; look for noise that is left, and for blotches"
    return PhotoWarning(f"its noise level by wavelets is {noise_level:.1f} gray levels, outside {where}", summary)
