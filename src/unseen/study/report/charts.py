"""Charts of the results: quality against severity, and how much of the gap to the ceiling is closed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from ...core.grouping import grouped
from ...distortions.spec import degree_unit
from ...protocols.levels import Level, Split, plain_words
from ..entry_names import is_ceiling
from ..entry_results import Measure
from ..summary import StudySummary
from .columns import UNITS
from .drawing import (
    COLOURS,
    FONT,
    INCHES,
    INK,
    MUTED,
    Captioned,
    LineStyles,
    band,
    finite,
    grouped_as,
    new_figure,
    not_beyond,
    plot,
    printable,
    shortened,
    styled,
    svg,
)


@styled
def degree_charts(study: StudySummary, styles: LineStyles) -> list[Captioned]:
    """Draw quality against degree, one line an entry, each chart with its caption."""
    return [
        (f"{UNITS[measure]}: {panel.title}", _degree_chart(study, panel, measure, styles, f"c{i}-{measure}"))
        for i, panel in enumerate(_panels(study))
        for measure in UNITS
    ]


@dataclass(frozen=True)
class _Panel:
    """One x axis: on a scale the levels of one distortion at their degrees, else levels side by side.

    Attributes:
        title: title of the chart.
        axis: quantity and unit of the degree; empty where the levels are of several distortions.
        levels: the levels, in the order of the axis.
        places: position of each level on the axis.
        scaled: whether places are degrees.
    """

    title: str
    axis: str
    levels: list[Level]
    places: Sequence[float]
    scaled: bool = False


def _panels(study: StudySummary) -> list[_Panel]:
    """Make a panel of each distortion with two levels or more; the others share the last panel."""
    groups = grouped(study.levels, lambda level: level.distortion).values()
    panels = [_panel(levels) for levels in groups if len(levels) > 1]
    alone = [level for levels in groups for level in levels if len(levels) == 1]
    title = alone[0].name if len(alone) == 1 else "distortions of a single level"
    return panels + [_Panel(title, "", alone, range(len(alone)))] * bool(alone)


def _panel(levels: list[Level]) -> _Panel:
    kind, title = levels[0].distortion, plain_words(levels[0].distortion)
    axis = degree_unit(kind) or f"degree of {title}"
    degrees = {level: level.degree for level in levels if not isinstance(level.degree, str)}
    if len(degrees) < len(levels) or len(set(degrees.values())) == 1:
        return _Panel(title, axis, levels, range(len(levels)))
    ordered = sorted(levels, key=degrees.__getitem__)
    return _Panel(title, axis, ordered, [degrees[level] for level in ordered], scaled=True)


def _degree_chart(study: StudySummary, panel: _Panel, measure: Measure, styles: LineStyles, key: str) -> Markup:
    """Draw means over seeds, their 95 % intervals as a band or as bars."""
    figure, axes = new_figure()
    by_level = [study.estimates(measure, level) for level in panel.levels]
    centres: list[float] = []
    for i, name in enumerate(study.entries):
        style = styles[name]
        means = finite([estimates[name].mean for estimates in by_level])
        spreads = np.array([estimates[name].spread or math.nan for estimates in by_level])
        centres += means[np.isfinite(means)].tolist()
        if panel.scaled:
            plot(axes, panel.places, means, style)
            band(axes, panel.places, means, np.nan_to_num(spreads), style)
        else:
            # No line, since nothing lies between two kinds; side by side, or equals would hide one another.
            x = np.array(panel.places) + (i / len(study.methods) - 0.5) / 2
            marker, points = (style.marker, 6) if style.marker else ("_", 9)
            drawn = axes.errorbar(x, means, spreads, color=style.colour, fmt=marker, markersize=points, mew=1.5)
            grouped_as(drawn.get_children(), style)
    if centres:
        not_beyond(axes, centres)
    _mark_splits(axes, panel)
    axes.set_ylabel(UNITS[measure])
    _label_levels(axes, panel)
    return svg(figure, key, f"{UNITS[measure]} by level of {panel.title}, a line a method; numbers in the tables")


def _regions(panel: _Panel) -> list[tuple[Split, float, float]]:
    """Find the stretches of the x axis by split; on a scaled axis the seen range is one, whatever lies inside it."""
    runs: list[tuple[Split, float, float]] = []
    for split, run in groupby(zip(panel.levels, panel.places, strict=True), lambda pair: pair[0][0]):
        places = [place for _, place in run]
        runs.append((split, places[0], places[-1]))
    seen = [run for run in runs if run[0] == "seen"]
    if panel.scaled and seen:
        runs = [("seen", seen[0][1], seen[-1][2]), *(run for run in runs if run[0] != "seen")]
    return sorted(runs, key=lambda run: run[1] + run[2])


def _mark_splits(axes: Axes, panel: _Panel) -> None:
    """Shade seen and unseen, dot the held-out degrees, and name each above the plot."""
    regions = _regions(panel)
    # A single level has no width: give it a little, or its shade would not be seen.
    pad = 0.012 * (panel.places[-1] - panel.places[0]) if panel.scaled else 0.4
    for split, low, high in regions:
        if split != "held-out":
            axes.axvspan(low - pad, high + pad, facecolor=COLOURS[split], edgecolor="none", zorder=0.5)
    for level, place in zip(panel.levels, panel.places, strict=True):
        if level.split == "held-out" and panel.scaled:
            axes.axvline(place, color=MUTED, linewidth=1, linestyle=":", zorder=0.6)
    for split, low, high in regions:
        height = 1.08 if split == "held-out" and panel.scaled else 1.02  # its names would touch the others
        name = axes.text((low + high) / 2, height, split, ha="center", fontsize=FONT - 1)
        name.set_transform(axes.get_xaxis_transform())


def _label_levels(axes: Axes, panel: _Panel) -> None:
    """Name the levels on the axis: all positions get a tick, and a name where there is room for it."""
    left, right = axes.get_xlim()
    points = 0.85 * INCHES[0] * 72 / (right - left)  # of one step on the axis
    names = [level.degree_text if panel.axis else level.name for level in panel.levels]
    steep = not panel.scaled and max(map(len, names)) * 0.6 * FONT > points
    shown, free = [], -math.inf
    for place, name in zip(panel.places, names, strict=True):
        half = 0.3 * FONT * len(name) / points
        fits = steep or place - half > free
        shown.append(shortened(name) if fits else "")  # the tables have it in full
        free = place + half + 3 / points if fits else free
    axes.set_xticks(panel.places, shown, parse_math=False)
    if steep:
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor", fontsize=FONT - 1.5)
    axes.set_xlabel(printable(panel.axis), parse_math=False)


@styled
def bar_charts(study: StudySummary, styles: LineStyles) -> list[Captioned]:
    """Draw gap closed, where it is defined, and the difference from ERM in dB, each chart with its caption."""
    differences = {name: d for name, d in study.differences.items() if math.isfinite(d.mean)}
    charts = []
    if study.gap:
        # The interval of the difference from ERM, in units of the gap as it was measured.
        whole = study.gap_width
        intervals = {
            name: (d.low / whole[name], d.high / whole[name]) for name, d in differences.items() if name in whole
        }
        charts.append(("Gap closed", _bars(study.gap, intervals, styles, "share of the way from ERM to the ceiling")))
    if differences:
        means = {name: d.mean for name, d in differences.items()}
        intervals = {name: (d.low, d.high) for name, d in differences.items()}
        charts.append(("Difference from ERM", _bars(means, intervals, styles, "dB on unseen levels, 95 % interval")))
    return charts


def _bars(
    values: Mapping[str, float], intervals: Mapping[str, tuple[float, float]], styles: LineStyles, axis: str
) -> Markup:
    """Draw horizontal bars, the longest on top, with their intervals where known."""
    names = sorted(values, key=values.__getitem__)
    figure, axes = new_figure((INCHES[0], 0.9 + 0.27 * len(names)))
    for i, name in enumerate(names):
        axes.barh(i, values[name], height=0.66, color=styles[name].colour, alpha=0.45 if is_ceiling(name) else 0.85)
        low, high = intervals.get(name, (math.nan, math.nan))
        axes.plot([low, high], [i, i], color=INK, linewidth=1.3, marker="|", markersize=7, markeredgewidth=1.3)
    axes.axvline(0, color=MUTED, linewidth=1)
    if "share" in axis:
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_yticks(range(len(names)), [shortened(name) for name in names], parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(axis)
    return svg(figure, f"b-{axis.split()[0]}", f"{axis}, a bar a method; numbers in the table")
