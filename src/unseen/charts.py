"""The charts of the page, as SVG to stand inside HTML. Importing this loads matplotlib."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from .rows import Level, Split
from .summary import INPUT, Measure, Study, grouped, is_ceiling
from .tables import UNITS, degree_of, level_name

Training: TypeAlias = tuple[str, Sequence[float], Sequence[float]]
"""(method, gradient evaluations, PSNR) at the validations of one training."""
Captioned: TypeAlias = tuple[str, Markup]

# matplotlib wants colours, the page wants CSS variables (light and dark): these stand in for them until the
# SVG is written. Blue and vermilion first: the pair that every kind of colour blindness tells apart.
COLOURS = {
    **{name: f"#010a0{i}" for i, name in enumerate(("ink", "muted", "grid", "seen", "unseen"))},
    **{f"series-{i}": f"#010b0{i}" for i in range(1, 7)},
}
INK, MUTED = COLOURS["ink"], COLOURS["muted"]
MARKERS = "os^DvP"
DASHES = ("solid", (0, (6, 2)), (0, (1, 1.4)))
INCHES = (5.6, 3.6)  # 403 points wide: 10-point text stays legible when a phone shrinks it to 340
LEFT, WIDTH = 0.135, 0.845  # of the plot within the figure
FONT = 10.5
# Any: the keys are plain text to older matplotlib stubs, a list of literals to newer ones.
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # real text: searchable, and in the page's font
    "svg.hashsalt": "unseen",  # ids from content, not from a random number
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so that layout is the same everywhere
    "font.size": FONT,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.xmargin": 0.03,
    "axes.formatter.useoffset": False,  # "28.41", never "+2.84e1" in a corner
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": COLOURS["grid"],
    "lines.markersize": 5,
    "lines.markeredgewidth": 0,
    **{f"{axis}tick.{key}": of for axis in "xy" for key, of in (("color", MUTED), ("labelcolor", INK))},
    **{f"{axis}tick.major.size": 3 for axis in "xy"},
}


@dataclass(frozen=True)
class Look:
    """How a method is drawn; a colour is never the only difference. `dash` is a line style of matplotlib."""

    colour: str
    marker: str
    dash: Any
    width: float = 1.8

    @property
    def bare(self) -> Look:
        """For lines with a point at every validation, where markers would hide the line."""
        return replace(self, marker="", width=1.4)


Looks: TypeAlias = Mapping[str, Look]


def looks_of(names: Sequence[str]) -> dict[str, Look]:
    """A look for each name: the input and the ceiling have their own, methods take turns."""
    looks = {INPUT: Look(MUTED, "", (0, (4, 2.5)), 1.5)}
    for name in filter(is_ceiling, names):
        looks[name] = Look(INK, "", (0, (6, 2.5)), 1.5)
    for i, name in enumerate(name for name in dict.fromkeys(names) if name not in looks):
        turn, lap = i % 6, i // 6
        looks[name] = Look(COLOURS[f"series-{turn + 1}"], MARKERS[(turn + lap) % 6], DASHES[lap % 3])
    return looks


@rc_context(STYLE)
def legend(looks: Looks, key: str) -> list[Captioned]:
    """(name, a short piece of its line) of each look, drawn by what draws the charts."""
    entries = []
    for i, (name, look) in enumerate(looks.items()):
        figure = Figure(figsize=(0.5, 0.2))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, 1), ylim=(-1, 1))
        _plot(axes, [0.05, 0.95], [0, 0], replace(look, marker=""))
        _plot(axes, [0.5], [0], look)
        entries.append((name, _svg(figure, f"{key}{i}")))
    return entries


@rc_context(STYLE)
def learning_charts(trainings: Mapping[Split, Sequence[Training]], looks: Looks) -> list[Captioned]:
    """(caption, chart) of validation PSNR against gradient evaluations, one line a training that has any."""
    charts = []
    for split, lines in trainings.items():
        figure, axes = _figure(0.82)
        drawn = [line for line in lines if line[2]]
        for method, evaluations, psnr in drawn:
            _plot(axes, evaluations, _finite(psnr), looks[method].bare)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel("gradient evaluations")
        axes.set_ylabel(f"validation PSNR (dB), {split}")
        methods = ", ".join(dict.fromkeys(line[0] for line in drawn))
        what = f"Validation PSNR on {split} levels against gradient evaluations for {methods}"
        if drawn:
            charts.append((f"Validation on {split} levels", _svg(figure, f"l-{split}", what)))
    return charts


@rc_context(STYLE)
def degree_charts(study: Study, looks: Looks) -> list[Captioned]:
    """(caption, chart) of quality against degree, one line a method."""
    return [
        (f"{UNITS[measure]}: {panel.title}", _degree_chart(study, panel, measure, looks, f"c{i}-{measure}"))
        for i, panel in enumerate(_panels(study))
        for measure in UNITS
    ]


@dataclass(frozen=True)
class _Panel:
    """One x axis: on a scale the levels of one distortion at their degrees, else levels side by side."""

    title: str
    axis: str
    levels: list[Level]
    places: Sequence[float]
    scaled: bool = False


def _panels(study: Study) -> list[_Panel]:
    """One panel a distortion of two levels or more; those of a single one share the last."""
    groups = grouped(study.levels, lambda level: level[1]).values()
    panels = [_panel(levels) for levels in groups if len(levels) > 1]
    alone = [level for levels in groups for level in levels if len(levels) == 1]
    return panels + [_Panel("distortions of a single level", "", alone, range(len(alone)))] * bool(alone)


def _panel(levels: list[Level]) -> _Panel:
    title = levels[0][1].replace("_", " ")
    degrees = {level: level[2] for level in levels if not isinstance(level[2], str)}
    if len(degrees) < len(levels) or len(set(degrees.values())) == 1:
        return _Panel(title, title, levels, range(len(levels)))
    ordered = sorted(levels, key=degrees.__getitem__)
    places = [degrees[level] for level in ordered]
    return _Panel(title, f"degree of {title}", ordered, places, scaled=True)


def _degree_chart(study: Study, panel: _Panel, measure: Measure, looks: Looks, key: str) -> Markup:
    """Means over seeds, ±1 standard deviation as a band or as bars."""
    figure, axes = _figure(0.75)  # the names of the splits stand above
    by_level = [study.estimates(measure, level) for level in panel.levels]
    for i, name in enumerate(study.lines):
        look = looks[name]
        means = _finite([found[name].mean for found in by_level])
        spreads = np.array([found[name].spread or 0 for found in by_level])
        if panel.scaled:
            _plot(axes, panel.places, means, look)
            band = means - spreads, means + spreads
            axes.fill_between(panel.places, *band, color=look.colour, alpha=0.16, linewidth=0)
        else:
            # No line, since nothing lies between two kinds; side by side, or equals would hide one another.
            x = np.array(panel.places) + (i / len(study.methods) - 0.5) / 2
            marker, points = (look.marker, 6) if look.marker else ("_", 9)
            axes.errorbar(x, means, spreads, color=look.colour, fmt=marker, markersize=points, mew=1.5)
    _mark_splits(axes, panel)
    _label_levels(axes, panel)
    axes.set_ylabel(UNITS[measure])
    what = f"{UNITS[measure]} by level of {panel.title}"
    return _svg(figure, key, f"{what} for the input, {', '.join(study.methods)}; numbers in the tables")


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=INCHES)
    return figure, figure.add_axes((LEFT, 0.15, WIDTH, height))


def _plot(axes: Axes, x: Sequence[float], y: ArrayLike, look: Look) -> None:
    line = {"color": look.colour, "linewidth": look.width, "linestyle": look.dash}
    axes.plot(x, y, **line, marker=look.marker or None)


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    """Infinity has no place on an axis: leave a gap, as for nan."""
    return np.where(np.isfinite(values), values, math.nan)


def _regions(panel: _Panel) -> list[tuple[Split, float, float]]:
    """Stretches of the x axis by split; on a scaled axis the seen range is one, whatever lies inside it."""
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
        if level[0] == "held-out" and panel.scaled:
            axes.axvline(place, color=MUTED, linewidth=1, linestyle=":", zorder=0.6)
    for split, low, high in regions:
        height = 1.08 if split == "held-out" and panel.scaled else 1.02  # its names would touch the others
        name = axes.text((low + high) / 2, height, split, ha="center", fontsize=FONT - 1)
        name.set_transform(axes.get_xaxis_transform())


def _label_levels(axes: Axes, panel: _Panel) -> None:
    """Name the levels on the axis: all positions get a tick, and a name where there is room for it."""
    left, right = axes.get_xlim()
    points = WIDTH * INCHES[0] * 72 / (right - left)  # of one step on the axis
    names = [degree_of(level) if panel.axis else level_name(level, " ") for level in panel.levels]
    steep = not panel.scaled and max(map(len, names)) * 0.6 * FONT > points
    shown, free = [], -math.inf
    for place, name in zip(panel.places, names, strict=True):
        half = 0.3 * FONT * len(name) / points
        fits = steep or place - half > free
        short = name if len(name) <= 20 else name[:19] + "…"  # the tables have it in full
        shown.append(_printable(short) if fits else "")
        free = place + half + 3 / points if fits else free
    axes.set_xticks(panel.places, shown, parse_math=False)
    if steep:
        axes.set_position((LEFT, 0.36, WIDTH, 0.54))
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor", fontsize=FONT - 1.5)
    axes.set_xlabel(_printable(panel.axis), parse_math=False)


def _printable(text: str) -> str:
    """Control characters are not allowed in SVG, not even escaped."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


# The page is styled by its own sheet, and many charts share it: (pattern, what stands in its place).
FOR_HTML = (
    (r"(?s)<metadata>.*?</metadata>|<style.*?</style>", ""),
    (r'\b(id="|url\(#)', r"\1{key}-"),
    (r'\bxlink:href="#', r'href="#{key}-'),
    # Older matplotlib writes the shorthand `font: 10px ...;`, newer `font-size: 10px; font-family: ...;`.
    (r'\bfont: (?:\S+ )*?([\d.]+px) [^;"]*', r"font-size: \1"),
    (r'\bfont-family: [^;"]*;?\s*', ""),
)


def _svg(figure: Figure, key: str, description: str = "") -> Markup:
    """The figure as an SVG element to stand inside HTML; `key` keeps its ids apart from its neighbours'.

    Without a description it is decoration, hidden from screen readers.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True)
    body = file.getvalue().partition("<svg ")[2].partition(">")[2]
    for pattern, replacement in FOR_HTML:
        body = re.sub(pattern, replacement.replace("{key}", key), body)
    for name, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{name})")
    width, height = 72 * figure.get_size_inches()
    label = escape(_printable(description))
    role = f'role="img" aria-label="{label}"' if label else 'aria-hidden="true"'
    style = "stroke-linejoin: round; stroke-linecap: butt"
    # Safe: matplotlib has escaped every text.
    return Markup(f'<svg viewBox="0 0 {width:g} {height:g}" {role} style="{style}">{body}')
