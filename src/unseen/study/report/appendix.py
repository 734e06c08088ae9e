"""Tables of the numbers behind the charts and pictures, which are in no table of the study itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...core.number_text import number
from ...core.statistics import Estimate
from ..summary import StudySummary
from ..trajectory import BySeed, levels_of_trajectories, mean_over_seeds
from ..tuning import Trial
from .curves import Curves, quantity_in_words
from .gallery import Gallery

SIGNIFICANT = ".4g"
"""Four digits, for quantities of any size."""


@dataclass(frozen=True)
class PlainTable:
    """A table of texts; numbers are written such that a script can read them.

    Attributes:
        caption: subject of the table.
        headings: headings of the columns.
        rows: one text a column for each row; the first names the row.
        text_columns: number of columns after the first that hold words, and are aligned to the left.
    """

    caption: str
    headings: list[str]
    rows: list[list[str]]
    text_columns: int = 0


def trial_table(trials: Sequence[Trial]) -> PlainTable:
    """The settings that were tried for each entry, and the one that was taken."""
    best = {trial.entry: trial for trial in sorted(trials, key=lambda trial: _lowest_if_unknown(trial.held_out_psnr))}
    rows = [
        [
            trial.entry,
            trial.spec,
            number(trial.lr, SIGNIFICANT),
            number(trial.held_out_psnr),
            "taken" if best[trial.entry] == trial else "",
        ]
        for trial in trials
    ]
    headings = ["method", "settings", "learning rate", "held-out PSNR, dB", "taken"]
    return PlainTable("Settings tried, judged on held-out levels", headings, rows, text_columns=1)


def curve_table(curves: Mapping[str, Curves], caption: str) -> PlainTable:
    """Every point of the charts of training: a row for each moment of an entry, a column for each quantity."""
    headings = ["method", "gradient evaluations", "seconds", *map(quantity_in_words, curves)]
    rows = []
    for entry in dict.fromkeys(entry for by_entry in curves.values() for entry in by_entry):
        columns = [by_entry.get(entry, []) for by_entry in curves.values()]
        for k in range(max(map(len, columns))):
            at = next(column[k].at for column in columns if k < len(column))
            values = [number(column[k].value.mean, SIGNIFICANT) if k < len(column) else "" for column in columns]
            cost = number(at.get("evaluations", math.nan), ".0f"), number(at.get("seconds", math.nan), ".1f")
            rows.append([entry, *cost, *values])
    return PlainTable(caption, headings, rows)


def trajectory_table(trajectories: Mapping[str, BySeed]) -> PlainTable:
    """Every point at which trainings kept weights, in the mean over seeds: a row a point, a column a level."""
    levels = levels_of_trajectories(trajectories)
    rows = []
    for entry, own in trajectories.items():
        costs = (mean_over_seeds([getattr(one, name) for one in own.values()]) for name in ("evaluations", "steps"))
        psnr = [mean_over_seeds([one.psnr[level] for one in own.values()]) for level in levels]
        for evaluations, steps, *values in zip(*costs, *psnr, strict=True):
            rows.append([entry, number(evaluations, ".0f"), number(steps, ".0f"), *map(number, values)])
    headings = ["method", "gradient evaluations", "steps", *(f"{level.name}, {level.split}" for level in levels)]
    return PlainTable("PSNR (dB) of the weights that were kept, on excerpts of the test images", headings, rows)


def final_table(study: StudySummary, curves: Mapping[str, Curves]) -> PlainTable:
    """Where each quantity ended, beside the PSNR that was reached on unseen levels."""
    reached = study.estimates("psnr", "unseen" if "unseen" in study.splits else study.splits[-1])
    ends = [{entry: points[-1].value.mean for entry, points in by_entry.items()} for by_entry in curves.values()]
    rows = [
        [name, _with_spread(reached[name]), *(number(end.get(name, math.nan), SIGNIFICANT) for end in ends)]
        for name in study.methods
        if any(name in end for end in ends)
    ]
    headings = ["method", "PSNR (dB), unseen", *map(quantity_in_words, curves)]
    return PlainTable("At the end of training, beside the outcome", headings, rows)


def excerpt_table(gallery: Gallery) -> PlainTable:
    """PSNR of every picture of the gallery."""
    headings = [f"{level['distortion']} {level['degree']}" for level in gallery.levels]
    rows = []
    for image, at_levels in zip(gallery.images, gallery.pictures, strict=True):
        for label in gallery.labels:
            shown = [at_level.get(label) for at_level in at_levels]
            if any(one and one.psnr for one in shown):
                rows.append([image["name"], label, *(one.psnr.removesuffix(" dB") if one else "" for one in shown)])
    return PlainTable("PSNR of these excerpts, dB", ["image", "shown", *headings], rows, text_columns=1)


def _with_spread(estimate: Estimate) -> str:
    spread = "" if estimate.spread is None else f" ±{estimate.spread:.2f}"
    return number(estimate.mean) + spread


def _lowest_if_unknown(value: float) -> float:
    return -math.inf if math.isnan(value) else value
