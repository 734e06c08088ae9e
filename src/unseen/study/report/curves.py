"""Charts of training: validation PSNR against what it cost, and beside it what may tell why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, TypeAlias

import numpy as np
from matplotlib.ticker import EngFormatter, MaxNLocator

from ...core.grouping import grouped
from ...core.statistics import Estimate, estimate
from ..runs import RunRecord
from .drawing import INCHES, SMALL, Captioned, LineStyles, band, finite, new_figure, not_beyond, plot, styled, svg

COSTS = {"evaluations": "gradient evaluations", "seconds": "seconds of training"}
PLACES = ("step", *COSTS)
"""Keys of a log that tell when, not what."""
OUTCOMES = {
    f"{split}_psnr": f"PSNR (dB) on {split.replace('_', '-')} levels" for split in ("held_out", "seen", "unseen")
}
QUANTITIES = {
    "gradient_cosine": "Cosine between the confounders' gradients",
    "virtual_step": "Length of the virtual step, relative",
    "curvature": "Second-order part of the gradient, relative",
    "distance": "Distance from the start, relative",
    "losses": "Loss",
    "net_biases": "Net bias, relative",
    "loss": "Training loss, each method's own",
    "penalty": "Penalty, each method's own",
}
"""In words, and in the order in which they are shown; others follow by their own names."""
WIDE = 30  # largest over smallest, above which an axis is logarithmic


@dataclass(frozen=True)
class CurvePoint:
    """One moment of a line's trainings: what they had cost, and a measured value, in the mean over seeds."""

    at: dict[str, float]
    value: Estimate


Curves: TypeAlias = dict[str, list[CurvePoint]]
"""By line. One quantity through the trainings of all lines."""


def curves_of(records: Sequence[RunRecord], logs: Literal["curve", "diagnoses"]) -> dict[str, Curves]:
    """By quantity: every number that these logs of the records hold, by line.

    A number within a dictionary is a quantity of its own, called `quantity: key`. The k-th entry of a line is the
    mean over its seeds of their k-th entries, as far as all of them have one; what is missing is nan.
    """
    found: dict[str, Curves] = {}
    for line, group in grouped(records, lambda record: record.method).items():
        entries = list(zip(*([_flat(entry) for entry in getattr(record, logs)] for record in group), strict=False))
        for quantity in dict.fromkeys(key for entry in entries for one in entry for key in one if key not in PLACES):
            points = [_point(entry, quantity) for entry in entries]
            if any(math.isfinite(point.value.mean) for point in points):
                found.setdefault(quantity, {})[line] = points
    return found


def _flat(entry: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in entry.items():
        if isinstance(value, dict):
            found |= {f"{key}: {name}": number for name, number in _flat(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[key] = float(value)
    return found


def _point(entries: Iterable[Mapping[str, float]], quantity: str) -> CurvePoint:
    entries = list(entries)
    at = {key: fmean(entry[key] for entry in entries) for key in PLACES if all(key in entry for entry in entries)}
    return CurvePoint(at, estimate([entry.get(quantity, math.nan) for entry in entries]))


def diagnostics_of(records: Sequence[RunRecord]) -> dict[str, Curves]:
    """By quantity, all but the outcome: what a look at the training saw, and what its log holds beside the PSNR."""
    logged = {name: of for name, of in curves_of(records, "curve").items() if name not in (*OUTCOMES, "waiting")}
    found = logged | curves_of(records, "diagnoses")
    order = list(QUANTITIES)
    return dict(sorted(found.items(), key=lambda item: _place(order, item[0].partition(": ")[0])))


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def quantity_in_words(quantity: str) -> str:
    """A quantity as a caption."""
    name, _, key = quantity.partition(": ")
    words = OUTCOMES.get(name) or QUANTITIES.get(name) or name.replace("_", " ").capitalize()
    return f"{words}: {key.replace('_', ' ')}" if key else words


@styled
def learning_charts(curves: Mapping[str, Curves], looks: LineStyles) -> list[Captioned]:
    """(caption, chart) of validation PSNR, each split against gradient evaluations and against time."""
    wanted = [(quantity, cost) for quantity in OUTCOMES if quantity in curves for cost in COSTS]
    return [_chart(curves, quantity, cost, looks, INCHES) for quantity, cost in wanted]


@styled
def diagnostic_charts(curves: Mapping[str, Curves], looks: LineStyles) -> list[Captioned]:
    """(caption, chart) of every quantity, small, against gradient evaluations."""
    return [_chart(curves, quantity, "evaluations", looks, SMALL) for quantity in curves]


def _chart(
    curves: Mapping[str, Curves], quantity: str, cost: str, looks: LineStyles, inches: tuple[float, float]
) -> Captioned:
    figure, axes = new_figure(inches)
    drawn = []
    for line, points in curves[quantity].items():
        x = [point.at.get(cost, math.nan) for point in points]
        y = finite([point.value.mean for point in points])
        plot(axes, x, y, looks[line].without_markers)
        band(axes, x, y, np.array([point.value.spread or math.nan for point in points]), looks[line])
        drawn += y[np.isfinite(y)].tolist()
    not_beyond(axes, drawn)
    if quantity not in (*OUTCOMES, "gradient_cosine") and min(drawn) > 0 and max(drawn) > WIDE * min(drawn):
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel(COSTS[cost])
    words, key = quantity_in_words(quantity), f"l{list(curves).index(quantity)}-{cost}-{inches[0]:.0f}"
    return words, svg(figure, key, f"{words} against {COSTS[cost]}, a line a method; numbers in the tables")
