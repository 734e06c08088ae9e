"""Charts of training: validation PSNR against its cost, and the diagnostics that may explain it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
"""Keys of a log that say when a value was taken."""
OUTCOMES = {
    f"{split}_psnr": f"PSNR (dB) on {split.replace('_', '-')} levels" for split in ("held_out", "seen", "unseen")
}
QUANTITIES = {
    "gradient_cosine": "Cosine between the confounders' gradients",
    "virtual_step": "Length of the virtual step, relative",
    "curvature": "Second-order term of the gradient, relative",
    "gradient_curvature": "Curvature of the loss along its gradient",
    "distance": "Distance from the start, relative",
    "path": "Length of the way from the start, relative",
    "losses": "Loss",
    "net_biases": "Net bias, relative",
    "loss": "Training loss, each method's own",
    "penalty": "Penalty, each method's own",
}
"""Quantities in words, in the order in which they are shown; others follow by their own names."""
WIDE = 30  # largest over smallest, above which an axis is logarithmic


@dataclass(frozen=True)
class CurvePoint:
    """One moment of an entry's trainings, in the mean over seeds.

    Attributes:
        at: the time as `step`, `evaluations` and `seconds`, as far as all logs have them.
        value: the measured value.
    """

    at: dict[str, float]
    value: Estimate


Curves: TypeAlias = dict[str, list[CurvePoint]]
"""By entry: one quantity through the trainings of all entries."""


def curves_of(records: Sequence[RunRecord], logs: Literal["curve", "diagnoses"]) -> dict[str, Curves]:
    """Collect every number that the logs of the records hold, by quantity and entry.

    A number within a dictionary is a quantity of its own, called `quantity: key`. The k-th point of an entry is the
    mean over its seeds of their k-th moments, as far as all of them have one; what is missing is nan.
    """
    curves: dict[str, Curves] = {}
    for entry, group in grouped(records, lambda record: record.method).items():
        moments = list(zip(*([_flat(moment) for moment in getattr(record, logs)] for record in group), strict=False))
        for quantity in dict.fromkeys(key for moment in moments for one in moment for key in one if key not in PLACES):
            points = [_point(moment, quantity) for moment in moments]
            if any(math.isfinite(point.value.mean) for point in points):
                curves.setdefault(quantity, {})[entry] = points
    return curves


def _flat(moment: Mapping[str, Any]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for key, value in moment.items():
        if isinstance(value, dict):
            numbers |= {f"{key}: {name}": number for name, number in _flat(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[key] = float(value)
    return numbers


def _point(moment: Sequence[Mapping[str, float]], quantity: str) -> CurvePoint:
    at = {key: fmean(one[key] for one in moment) for key in PLACES if all(key in one for one in moment)}
    return CurvePoint(at, estimate([one.get(quantity, math.nan) for one in moment]))


def diagnostics_of(records: Sequence[RunRecord]) -> dict[str, Curves]:
    """Collect all quantities but the outcome: those of the diagnoses, and what the log holds beside the PSNR."""
    logged = {name: of for name, of in curves_of(records, "curve").items() if name not in (*OUTCOMES, "waiting")}
    quantities = logged | curves_of(records, "diagnoses")
    order = list(QUANTITIES)
    return dict(sorted(quantities.items(), key=lambda item: _place(order, item[0].partition(": ")[0])))


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def quantity_in_words(quantity: str) -> str:
    """Name a quantity for a caption."""
    name, _, key = quantity.partition(": ")
    words = OUTCOMES.get(name) or QUANTITIES.get(name) or name.replace("_", " ").capitalize()
    return f"{words}: {key.replace('_', ' ')}" if key else words


@styled
def learning_charts(curves: Mapping[str, Curves], styles: LineStyles) -> list[Captioned]:
    """Draw validation PSNR, each split against gradient evaluations and against time, each chart with its caption."""
    wanted = [(quantity, cost) for quantity in OUTCOMES if quantity in curves for cost in COSTS]
    return [_chart(curves, quantity, cost, styles, INCHES) for quantity, cost in wanted]


@styled
def diagnostic_charts(curves: Mapping[str, Curves], styles: LineStyles) -> list[Captioned]:
    """Draw every quantity, small, against gradient evaluations, each chart with its caption."""
    return [_chart(curves, quantity, "evaluations", styles, SMALL) for quantity in curves]


def _chart(
    curves: Mapping[str, Curves], quantity: str, cost: str, styles: LineStyles, inches: tuple[float, float]
) -> Captioned:
    figure, axes = new_figure(inches)
    drawn = []
    for entry, points in curves[quantity].items():
        x = [point.at.get(cost, math.nan) for point in points]
        y = finite([point.value.mean for point in points])
        plot(axes, x, y, styles[entry].without_markers)
        band(axes, x, y, np.array([point.value.spread or math.nan for point in points]), styles[entry])
        drawn += y[np.isfinite(y)].tolist()
    not_beyond(axes, drawn)
    if quantity not in (*OUTCOMES, "gradient_cosine") and min(drawn) > 0 and max(drawn) > WIDE * min(drawn):
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel(COSTS[cost])
    words, key = quantity_in_words(quantity), f"l{list(curves).index(quantity)}-{cost}-{inches[0]:.0f}"
    return words, svg(figure, key, f"{words} against {COSTS[cost]}, a line a method; numbers in the tables")
