"""The numbers behind the charts and pictures that are in no table of the study itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.number_text import number
from ...core.statistics import Estimate
from ..summary import StudySummary

if TYPE_CHECKING:  # what trains knows torch, and curves know matplotlib
    from ..tuning import Trial
    from .curves import Curves
    from .gallery import Gallery

SIGNIFICANT = ".4g"
"""Four digits, for quantities of any size."""


@dataclass(frozen=True)
class Numbers:
    """A table: the first entry of a row names it. Numbers are written such that a script can read them."""

    caption: str
    headings: list[str]
    rows: list[list[str]]


def with_spread(estimate: Estimate, decimals: int = 2) -> str:
    """A mean, and the half-width of its interval where that is known."""
    spread = "" if estimate.spread is None else f" ±{estimate.spread:.{decimals}f}"
    return number(estimate.mean, f".{decimals}f") + spread


def trials(tried: Sequence[Trial]) -> Numbers:
    """The settings that were tried, and which of each line was taken."""
    best = {trial.entry: trial for trial in sorted(tried, key=lambda trial: _least(trial.held_out_psnr))}
    rows = [
        [
            trial.entry,
            trial.spec,
            number(trial.lr, SIGNIFICANT),
            number(trial.held_out_psnr),
            "taken" if best[trial.entry] == trial else "",
        ]
        for trial in tried
    ]
    headings = ["method", "settings", "learning rate", "held-out PSNR, dB", "taken"]
    return Numbers("Settings tried, judged on held-out levels", headings, rows)


def points(curves: Mapping[str, Curves], words: Mapping[str, str], caption: str) -> Numbers:
    """Every point of the charts of training."""
    headings = ["method", "gradient evaluations", "seconds", *(words[quantity] for quantity in curves)]
    rows = []
    for line in dict.fromkeys(line for of in curves.values() for line in of):
        columns = [of.get(line, []) for of in curves.values()]
        for k in range(max(map(len, columns))):
            at = next(column[k].at for column in columns if k < len(column))
            values = [number(column[k].value.mean, SIGNIFICANT) if k < len(column) else "" for column in columns]
            cost = number(at.get("evaluations", math.nan), ".0f"), number(at.get("seconds", math.nan), ".1f")
            rows.append([line, *cost, *values])
    return Numbers(caption, headings, rows)


def outcome(study: StudySummary, curves: Mapping[str, Curves], words: Mapping[str, str]) -> Numbers:
    """Where each quantity ended, beside what came of it on unseen levels."""
    reached = study.estimates("psnr", "unseen" if "unseen" in study.splits else study.splits[-1])
    ends = [{line: of[-1].value.mean for line, of in one.items()} for one in curves.values()]
    rows = [
        [name, with_spread(reached[name]), *(number(end.get(name, math.nan), SIGNIFICANT) for end in ends)]
        for name in study.methods
        if any(name in end for end in ends)
    ]
    headings = ["method", "PSNR (dB), unseen", *(words[quantity] for quantity in curves)]
    return Numbers("At the end of training, beside the outcome", headings, rows)


def excerpts(gallery: Gallery) -> Numbers:
    """PSNR of every picture of the gallery."""
    headings = [f"{level['distortion']} {level['degree']}" for level in gallery.levels]
    rows = []
    for image, at_levels in zip(gallery.images, gallery.pictures, strict=True):
        for label in gallery.labels:
            shown = [at_level.get(label) for at_level in at_levels]
            if any(one and one.psnr for one in shown):
                rows.append([image["name"], label, *(one.psnr.removesuffix(" dB") if one else "" for one in shown)])
    return Numbers("PSNR of these excerpts, dB", ["image", "shown", *headings], rows)


def _least(value: float) -> float:
    return -math.inf if math.isnan(value) else value
