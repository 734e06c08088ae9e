"""Rows to tables for terminal and Markdown, and to one HTML page with curves and before/after pictures.

The page is a single file that fetches nothing: styles, charts (SVG) and pictures (PNG) are inside it, and
it forbids the browser to load anything else. Equal arguments give an equal file, byte for byte.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from unseen.rows import (
    SPLITS,
    Estimate,
    Level,
    Row,
    Split,
    SplitMean,
    Summary,
    gap_closed,
    is_ceiling,
    levels_of,
    methods_of,
    split_means,
    summarise,
    write_atomically,
)

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Console
    from rich.table import Table

Measure: TypeAlias = Literal["psnr", "ssim"]

INPUT = "input (no restoration)"
CEILING_NOTE = "trained on the unseen levels too"
DECIMALS: dict[Measure, int] = {"psnr": 2, "ssim": 3}
UNITS: dict[Measure, str] = {"psnr": "PSNR (dB)", "ssim": "SSIM"}


@dataclass(frozen=True)
class Picture:
    """One picture of a before/after strip; strips gather by (image, distortion, degree).

    `label` is "clean", "input" or a method. `pixels` is uint8 RGB, (H, W, 3), cropped by the caller;
    `psnr` in dB is shown beneath. Raises ValueError for pixels of another shape or type.
    """

    image: str
    distortion: str
    degree: float | str
    split: str
    label: str
    psnr: float | None
    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels must be uint8 (H, W, 3), got {self.pixels.dtype} {self.pixels.shape}")


@dataclass(frozen=True)
class LearningCurve:
    """Validation during one training: gradient evaluations, seconds since the start, PSNR in dB.

    Entry k of every list belongs to the k-th validation; a list of PSNR may be empty where that split was
    not validated. Raises ValueError for lists of other lengths.
    """

    method: str
    seed: int
    evaluations: list[float]
    seconds: list[float]
    seen_psnr: list[float]
    held_out_psnr: list[float]

    def __post_init__(self) -> None:
        n = len(self.evaluations)
        if len(self.seconds) != n or {len(self.seen_psnr), len(self.held_out_psnr)} - {0, n}:
            raise ValueError(f"learning curve of {self.method}, seed {self.seed}: lists of unequal length")


@dataclass(frozen=True)
class Reported:
    """Numbers published by others, shown in a table of their own; every row is as long as `columns`.

    Raises ValueError for rows of another length.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"reported row {row} needs {len(self.columns)} entries")


# ---------------------------------------------------------------------------------------------------------
# Numbers: rows -> columns of text, the same for terminal, Markdown and HTML


@dataclass(frozen=True)
class _Study:
    """All that the tables and curves draw on, computed once from the rows."""

    methods: list[str]
    levels: list[Level]
    splits: list[Split]
    cells: dict[tuple[str, Level], Summary]
    means: dict[tuple[str, Split], SplitMean]
    gap: dict[str, float]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Study:
        means = split_means(rows)
        return cls(
            methods=methods_of(rows),
            levels=levels_of(rows),
            splits=[split for split in SPLITS if any(mean.split == split for mean in means)],
            cells={(cell.method, cell.level): cell for cell in summarise(rows)},
            means={(mean.method, mean.split): mean for mean in means},
            gap=gap_closed(means),
        )

    @property
    def lines(self) -> list[str]:
        """The lines of every table: the input first, then the methods."""
        return [INPUT, *self.methods]


@dataclass(frozen=True)
class _Cell:
    """A number as printed: its mean, and "±..." where a spread is known."""

    mean: str
    spread: str = ""
    best: bool = False

    @property
    def text(self) -> str:
        return f"{self.mean} {self.spread}".rstrip()


@dataclass(frozen=True)
class _Column:
    """One column: `cells` has one entry a line of the table (the input, then the methods).

    `heading` may be two lines, parted by a newline.
    """

    measure: str
    split: Split
    heading: str
    cells: list[_Cell]


def _cell(estimate: Estimate, decimals: int, best: bool = False) -> _Cell:
    if math.isnan(estimate.mean):
        return _Cell("n/a")
    if math.isinf(estimate.mean):
        return _Cell("∞" if estimate.mean > 0 else "−∞", best=best)
    spread = "" if estimate.spread is None else f"±{estimate.spread:.{decimals}f}"
    return _Cell(f"{estimate.mean:.{decimals}f}", spread, best)


def _estimate(mean: Summary | SplitMean, measure: Measure) -> Estimate:
    return mean.psnr if measure == "psnr" else mean.ssim


def _input_estimate(means: Sequence[Summary | SplitMean], measure: Measure) -> Estimate:
    """The input's own figure: no network, so no spread; every method was given the same."""
    inputs = [mean.input_psnr if measure == "psnr" else mean.input_ssim for mean in means]
    return Estimate(fmean(estimate.mean for estimate in inputs), None)


def _column(
    study: _Study, means: Sequence[Summary | SplitMean], measure: Measure, split: Split, heading: str
) -> _Column:
    """`means` has one entry a method. The best is marked, by the printed digits and ceiling apart."""
    decimals = DECIMALS[measure]
    estimates = [_input_estimate(means, measure), *(_estimate(mean, measure) for mean in means)]
    rivals = [
        round(estimate.mean, decimals)
        for name, estimate in zip(study.methods, estimates[1:], strict=True)
        if not is_ceiling(name) and not math.isnan(estimate.mean)
    ]
    best = max(rivals) if len(rivals) > 1 else None
    cells = [
        _cell(
            estimate,
            decimals,
            best=name != INPUT and not is_ceiling(name) and round(estimate.mean, decimals) == best,
        )
        for name, estimate in zip(study.lines, estimates, strict=True)
    ]
    return _Column(UNITS[measure], split, heading, cells)


def _split_columns(study: _Study, measure: Measure) -> list[_Column]:
    return [
        _column(study, [study.means[method, split] for method in study.methods], measure, split, split)
        for split in study.splits
    ]


def _level_columns(study: _Study, measure: Measure) -> list[_Column]:
    alone = len({distortion for _, distortion, _ in study.levels}) == 1
    return [
        _column(
            study,
            [study.cells[method, level] for method in study.methods],
            measure,
            level[0],
            _degree(level[2]) if alone else f"{_spaced(level[1])}\n{_degree(level[2])}",
        )
        for level in study.levels
    ]


def _gap_column(study: _Study) -> list[_Column]:
    """The share of the gap to the ceiling, where there is one: a list of one column or none."""
    if not study.gap:
        return []
    best = max(study.gap.values())
    cells = [
        _Cell(f"{100 * share:.0f} %", best=len(study.gap) > 1 and round(share, 2) == round(best, 2))
        if (share := study.gap.get(name)) is not None
        else _Cell("")
        for name in study.lines
    ]
    return [_Column("gap closed", "unseen", "gap closed", cells)]


def _degree(degree: float | str) -> str:
    return degree if isinstance(degree, str) else f"{degree:g}"


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _level_name(level: Level) -> str:
    return f"{_spaced(level[1])} {_degree(level[2])}".strip()


def _levels_title(study: _Study) -> str:
    """What the level columns are levels of, when their headings show the degree alone."""
    names = {_spaced(distortion) for _, distortion, _ in study.levels}
    return f"degree of {names.pop()}" if len(names) == 1 else "level"


def _remarks(rows: Sequence[Row], study: _Study) -> list[str]:
    """What a reader must know to read the tables, in whole sentences."""
    counts = {method: study.means[method, study.splits[0]].seeds for method in study.methods}
    remarks = [_seed_remark(counts)]
    if any(map(is_ceiling, study.methods)):
        remarks.append(f"ceiling: {CEILING_NOTE}; it bounds the others and does not compete.")
    if study.gap:
        remarks.append("Gap closed: (method − ERM) / (ceiling − ERM), of the mean PSNR on unseen levels.")
    infinite = sum(math.isinf(row.psnr) or math.isinf(row.input_psnr) for row in rows)
    if infinite:
        remarks.append(
            f"∞: {infinite} of {len(rows)} results are exact to the last digit, their PSNR is infinite, "
            "and so is every mean that they enter."
        )
    unknown = sum(math.isnan(row.psnr) or math.isnan(row.ssim) for row in rows)
    if unknown:
        remarks.append(f"n/a: {unknown} of {len(rows)} results are not numbers, nor are means they enter.")
    return remarks


def _seed_remark(counts: dict[str, int]) -> str:
    fewest, most = min(counts.values()), max(counts.values())
    if most == 1:
        return "One seed: no spread is known, and small differences may be chance."
    if fewest == most:
        return f"Mean ± standard deviation over {most} seeds."
    listed = ", ".join(f"{method} {count}" for method, count in counts.items())
    return f"Mean ± standard deviation over seeds, of which there are: {listed}."


# ---------------------------------------------------------------------------------------------------------
# Terminal and Markdown


def text_tables(rows: Sequence[Row], width: int = 100) -> list[Table]:
    """Tables for a terminal `width` characters wide: by split (PSNR, SSIM), then PSNR by level.

    Columns that do not fit go to a further table. Raises UserError where `check_comparable` does.
    """
    study = _Study.of(rows)
    by_split = [[*_split_columns(study, "psnr"), *_gap_column(study)], _split_columns(study, "ssim")]
    by_level = [[column] for column in _level_columns(study, "psnr")]
    return [
        _text_table(study, title if i == 0 else f"{title}, continued", columns, width)
        for title, groups in (
            ("Mean by split", by_split),
            (f"PSNR (dB) by {_levels_title(study)}", by_level),
        )
        for i, columns in enumerate(_pack(study, groups, width))
    ]


def print_table(rows: Sequence[Row], console: Console) -> None:
    """Print `text_tables` at the console's width, and beneath them how to read them."""
    from rich.text import Text

    for table in text_tables(rows, console.width):
        console.print(table)
    for remark in _remarks(rows, _Study.of(rows)):
        console.print(Text(remark, style="dim"))


def _label_width(study: _Study, width: int) -> int:
    from rich.cells import cell_len

    return min(max(map(cell_len, study.lines)), max(width // 3, 12))


def _pack(study: _Study, groups: Iterable[list[_Column]], width: int) -> list[list[_Column]]:
    """Put groups of columns into as few tables as `width` characters allow, in order."""
    from rich.cells import cell_len

    room = width - _label_width(study, width) - 4
    tables: list[list[_Column]] = []
    free = 0
    for group in groups:
        widths = [
            max(map(cell_len, [*(cell.text for cell in column.cells), *_text_heading(column).split("\n")]))
            for column in group
        ]
        need = sum(widths) + 3 * len(group)
        if not tables or need > free:
            tables.append([])
            free = room
        tables[-1].extend(group)
        free -= need
    return tables


def _text_heading(column: _Column) -> str:
    if column.heading == column.measure:
        return column.heading.replace(" ", "\n")
    if column.heading == column.split:
        return f"{column.heading}\n{column.measure}"
    return f"{column.heading}\n{column.split}"


def _text_table(study: _Study, title: str, columns: list[_Column], width: int) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    # Text and not str everywhere: rich would read markup into a method named "[b]".
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("method", overflow="fold", max_width=_label_width(study, width))
    for column in columns:
        table.add_column(Text(_text_heading(column)), justify="right", no_wrap=True)
    for i, name in enumerate(study.lines):
        cells = [column.cells[i] for column in columns]
        style = "dim" if name == INPUT else "italic" if is_ceiling(name) else ""
        table.add_row(
            Text(name, style=style),
            *(Text(cell.text, style="bold green" if cell.best else style) for cell in cells),
        )
    return table


def markdown_table(rows: Sequence[Row]) -> str:
    """The same tables as Markdown, each after its caption, remarks at the end; ends in a newline.

    Raises UserError where `check_comparable` does.
    """
    study = _Study.of(rows)
    by_split = [*_split_columns(study, "psnr"), *_split_columns(study, "ssim"), *_gap_column(study)]
    parts = [
        "**Mean by split**",
        _markdown(study, by_split),
        f"**PSNR (dB) by {_markdown_text(_levels_title(study))}**",
        _markdown(study, _level_columns(study, "psnr")),
        " ".join(map(_markdown_text, _remarks(rows, study))),
    ]
    return "\n\n".join(parts) + "\n"


def _markdown(study: _Study, columns: list[_Column]) -> str:
    headings = [_markdown_text(_text_heading(column).replace("\n", " ")) for column in columns]
    lines = [["method", *headings], [":---", *["---:"] * len(columns)]]
    for i, name in enumerate(study.lines):
        cells = [column.cells[i] for column in columns]
        lines.append([_markdown_text(name), *(f"**{c.text}**" if c.best else c.text for c in cells)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _markdown_text(text: str) -> str:
    """Names are the user's: a bar would end the cell, a tag would be HTML, an underscore emphasis."""
    for mark in "\\|`*_[]":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())


# ---------------------------------------------------------------------------------------------------------
# Charts

# matplotlib wants colours, the page wants CSS variables (light and dark): these stand in for them until the
# SVG is written. Blue and vermilion first: the pair that every kind of colour blindness tells apart.
_VARIABLES = {
    "--ink": "#010a01",
    "--muted": "#010a02",
    "--grid": "#010a03",
    "--seen": "#010a04",
    "--unseen": "#010a05",
    **{f"--series-{i}": f"#010b0{i}" for i in range(1, 7)},
}
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES: tuple[str | tuple[float, tuple[float, ...]], ...] = ("solid", (0, (6, 2)), (0, (1, 1.4)))
_CHART_INCHES = (5.6, 3.6)  # 403 points wide: 10-point text stays legible when a phone shrinks it to 340
_FONT_POINTS = 10.5
# Any: the keys are plain text to older matplotlib stubs, a list of literals to newer ones.
_MATPLOTLIB: dict[Any, Any] = {
    "svg.fonttype": "none",  # real text: searchable, and in the page's font
    "svg.hashsalt": "unseen",  # ids from content, not from a random number
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so that layout is the same everywhere
    "font.size": _FONT_POINTS,
    "axes.formatter.useoffset": False,  # "28.41", never "+2.84e1" in a corner
}


@dataclass(frozen=True)
class _Look:
    """How a method is drawn; a colour is never the only difference."""

    variable: str
    marker: str
    dash: str | tuple[float, tuple[float, ...]]
    width: float = 1.8

    @property
    def colour(self) -> str:
        return _VARIABLES[self.variable]


_INPUT_LOOK = _Look("--muted", "", (0, (4, 2.5)), 1.5)
_CEILING_LOOK = _Look("--ink", "", (0, (6, 2.5)), 1.5)


def _without_marker(look: _Look) -> _Look:
    """For lines with a point at every validation, where markers would hide the line."""
    return replace(look, marker="", width=1.4)


def _looks(methods: Iterable[str]) -> dict[str, _Look]:
    looks: dict[str, _Look] = {}
    i = 0
    for method in dict.fromkeys(methods):
        if is_ceiling(method):
            looks[method] = _CEILING_LOOK
            continue
        colour, lap = i % 6, i // 6
        looks[method] = _Look(f"--series-{colour + 1}", _MARKERS[(colour + lap) % 6], _DASHES[lap % 3])
        i += 1
    return looks


@dataclass(frozen=True)
class _Panel:
    """One x axis: the levels of one distortion at their degrees, or levels without a common scale."""

    title: str
    axis: str
    levels: list[Level]
    positions: list[float]
    ticks: list[str]
    scaled: bool


def _panels(study: _Study) -> list[_Panel]:
    """One panel a distortion with two degrees or more; what is left over shares one."""
    panels, left = [], []
    for name in dict.fromkeys(distortion for _, distortion, _ in study.levels):
        levels = [level for level in study.levels if level[1] == name]
        degrees = [level[2] for level in levels if not isinstance(level[2], str)]
        title = _spaced(name)
        if len(degrees) == len(levels) and len(set(degrees)) > 1:
            ordered = sorted(zip(degrees, levels, strict=True), key=lambda pair: pair[0])
            levels, places = [level for _, level in ordered], [float(degree) for degree, _ in ordered]
            ticks = [_degree(level[2]) for level in levels]
            panels.append(_Panel(title, f"degree of {title}", levels, places, ticks, True))
        elif len(levels) > 1:
            ticks = [_degree(level[2]) for level in levels]
            panels.append(_Panel(title, title, levels, _places(levels), ticks, False))
        else:
            left += levels
    if left:
        ticks = [_level_name(level) for level in left]
        panels.append(_Panel("distortions of a single level", "", left, _places(left), ticks, False))
    return panels


def _places(levels: Sequence[Level]) -> list[float]:
    return [float(i) for i in range(len(levels))]


def _axes(figure: Figure, height: float) -> Axes:
    axes = figure.add_axes((0.125, 0.15, 0.855, height))
    axes.patch.set_visible(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_VARIABLES["--muted"])
    axes.tick_params(colors=_VARIABLES["--muted"], labelcolor=_VARIABLES["--ink"], length=3)
    axes.grid(axis="y", color=_VARIABLES["--grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.03)
    return axes


def _finite(values: Iterable[float]) -> list[float]:
    """Infinity has no place on an axis: leave a gap, as for nan."""
    return [value if math.isfinite(value) else math.nan for value in values]


def _degree_chart(
    study: _Study, panel: _Panel, measure: Measure, looks: dict[str, _Look], key: str
) -> Markup:
    """Quality against degree, one line a method, ±1 standard deviation over seeds as a band."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_CHART_INCHES)
    axes = _axes(figure, 0.75)  # the names of the splits stand above
    series = [
        (
            _INPUT_LOOK,
            [
                _input_estimate([study.cells[method, level] for method in study.methods], measure)
                for level in panel.levels
            ],
        )
    ]
    for method in study.methods:
        cells = [study.cells[method, level] for level in panel.levels]
        series.append((looks[method], [_estimate(cell, measure) for cell in cells]))
    for i, (look, estimates) in enumerate(series):
        if panel.scaled:
            _plot_curve(axes, panel.positions, estimates, look)
        else:
            # Side by side, or equal results would hide one another.
            shift = (i / (len(series) - 1) - 0.5) * 0.5
            _plot_points(axes, [place + shift for place in panel.positions], estimates, look)
    _mark_splits(axes, panel)
    _label_levels(axes, panel)
    axes.set_ylabel(UNITS[measure], color=_VARIABLES["--ink"])
    what = f"{UNITS[measure]} by level of {panel.title}"
    return _svg(figure, key, f"{what} for the input, {', '.join(study.methods)}; numbers in the tables")


def _plot(axes: Axes, x: Sequence[float], y: Iterable[float], look: _Look) -> None:
    axes.plot(
        x,
        _finite(y),
        color=look.colour,
        linewidth=look.width,
        linestyle=look.dash,
        marker=look.marker or None,
        markersize=5,
        markeredgewidth=0,
    )


def _plot_curve(axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], look: _Look) -> None:
    """A line through the means, and ±1 standard deviation over seeds as a band."""
    means = _finite(estimate.mean for estimate in estimates)
    _plot(axes, x, means, look)
    if any(estimate.spread is not None for estimate in estimates):
        spreads = np.array([estimate.spread or 0.0 for estimate in estimates])
        low, high = np.array(means) - spreads, np.array(means) + spreads
        axes.fill_between(x, low, high, color=look.colour, alpha=0.16, linewidth=0)


def _plot_points(axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], look: _Look) -> None:
    """Means that no line may join, since nothing lies between two kinds of distortion, and ±1 deviation."""
    axes.errorbar(
        x,
        _finite(estimate.mean for estimate in estimates),
        yerr=[estimate.spread or 0.0 for estimate in estimates],
        color=look.colour,
        linestyle="none",
        elinewidth=1.2,
        marker=look.marker or "_",
        markersize=6 if look.marker else 9,
        markeredgewidth=0 if look.marker else 2,
    )


def _regions(panel: _Panel) -> list[tuple[Split, float, float]]:
    """Stretches of the x axis by split; on a scaled axis the seen range is one, whatever lies inside it."""
    runs: list[tuple[Split, float, float]] = []
    for (split, _, _), place in zip(panel.levels, panel.positions, strict=True):
        if runs and runs[-1][0] == split:
            runs[-1] = (split, runs[-1][1], place)
        else:
            runs.append((split, place, place))
    if not panel.scaled:
        return [(split, low - 0.4, high + 0.4) for split, low, high in runs]
    seen = [run for run in runs if run[0] == "seen"]
    if not seen:
        return runs
    whole: tuple[Split, float, float] = ("seen", seen[0][1], seen[-1][2])
    return sorted([whole, *(run for run in runs if run[0] != "seen")], key=lambda run: run[1] + run[2])


def _mark_splits(axes: Axes, panel: _Panel) -> None:
    """Shade seen and unseen, dot the held-out levels, and name each above the plot."""
    extent = max(panel.positions) - min(panel.positions) or 1.0
    for split, low, high in _regions(panel):
        # A single level has no width: give it a little, or its shade would not be seen.
        pad = 0.012 * extent if panel.scaled else 0.0
        if split == "held-out" and panel.scaled:
            for level, place in zip(panel.levels, panel.positions, strict=True):
                if level[0] == split and low <= place <= high:
                    axes.axvline(place, color=_VARIABLES["--muted"], linewidth=1, linestyle=":", zorder=0.6)
        elif split != "held-out":
            shade = _VARIABLES[f"--{split}"]
            axes.axvspan(low - pad, high + pad, facecolor=shade, edgecolor="none", zorder=0.5)
    _name_regions(axes, panel)


def _name_regions(axes: Axes, panel: _Panel) -> None:
    left, right = axes.get_xlim()
    points = axes.get_position().width * _CHART_INCHES[0] * 72 / (right - left)
    taken = {0: -math.inf, 1: -math.inf}
    for split, low, high in _regions(panel):
        centre, half = (low + high) / 2, 0.29 * _FONT_POINTS * len(split) / points
        row = 0 if centre - half > taken[0] else 1  # neighbours that would touch: one goes above
        taken[row] = centre + half + 4 / points
        axes.text(
            centre,
            1.02 + 0.06 * row,
            split,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=_FONT_POINTS - 1,
            color=_VARIABLES["--ink"],
        )


def _label_levels(axes: Axes, panel: _Panel) -> None:
    """Name the levels on the axis: all positions get a tick, and a name where there is room for it."""
    left, right = axes.get_xlim()
    points = axes.get_position().width * _CHART_INCHES[0] * 72 / (right - left)
    steep = not panel.scaled and max(map(len, panel.ticks)) * 0.6 * _FONT_POINTS > points
    shown, free = [], -math.inf
    for place, name in zip(panel.positions, panel.ticks, strict=True):
        half = 0.3 * _FONT_POINTS * len(name) / points
        fits = steep or place - half > free
        short = name if len(name) <= 20 else name[:19] + "…"  # the tables have it in full
        shown.append(_printable(short) if fits else "")
        free = place + half + 3 / points if fits else free
    axes.set_xticks(panel.positions, shown, parse_math=False)
    if steep:
        axes.set_position((0.125, 0.36, 0.855, 0.54))
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor", fontsize=_FONT_POINTS - 1.5)
    axes.set_xlabel(_printable(panel.axis), color=_VARIABLES["--ink"], parse_math=False)


def _printable(text: str) -> str:
    """Control characters are not allowed in SVG, not even escaped."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _learning_chart(
    curves: Sequence[LearningCurve], split: Literal["seen", "held-out"], looks: dict[str, _Look], key: str
) -> Markup | None:
    """Validation PSNR against gradient evaluations, one line a training; None without any point."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator

    figure = Figure(figsize=_CHART_INCHES)
    axes = _axes(figure, 0.82)
    drawn = False
    for curve in curves:
        psnr = curve.seen_psnr if split == "seen" else curve.held_out_psnr
        if psnr:
            _plot(axes, curve.evaluations, psnr, _without_marker(looks[curve.method]))
            drawn = True
    if not drawn:
        return None
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("gradient evaluations", color=_VARIABLES["--ink"])
    axes.set_ylabel(f"validation PSNR (dB), {split}", color=_VARIABLES["--ink"])
    names = ", ".join(dict.fromkeys(curve.method for curve in curves))
    return _svg(figure, key, f"Validation PSNR on {split} levels against gradient evaluations for {names}")


def _legend_key(look: _Look, key: str) -> Markup:
    """A short piece of a method's line for the legend, drawn by what draws the chart."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.5, 0.2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(-1, 1))
    _plot(axes, [0.05, 0.95], [0, 0], replace(look, marker=""))
    _plot(axes, [0.5], [0], look)
    return _svg(figure, key, None)


def _svg(figure: Figure, key: str, description: str | None) -> Markup:
    """The figure as an SVG element to stand inside HTML; `key` keeps its ids apart from its neighbours'.

    Without a description it is decoration, hidden from screen readers.
    """
    from markupsafe import Markup

    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(_SVG_METADATA))
    root = ElementTree.fromstring(file.getvalue())
    _fit_for_html(root, key)
    if description is None:
        root.set("aria-hidden", "true")
    else:
        root.set("role", "img")
        root.set("aria-label", _printable(description))
    text = ElementTree.tostring(root, encoding="unicode")
    for variable, colour in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return Markup(text)  # safe: ElementTree has escaped every text and attribute


_SVG_METADATA = ("Date", "Creator", "Format", "Type")
# Older matplotlib writes the shorthand `font: 10px ...;`, newer `font-size: 10px; font-family: ...;`.
_FONT_SHORTHAND = re.compile(r"\bfont: (?:\S+ )*?([\d.]+px) [^;]*")
_FONT_FAMILY = re.compile(r"\bfont-family: [^;]*;?\s*")


def _fit_for_html(root: ElementTree.Element, key: str) -> None:
    """Drop what HTML does not need or would apply to the whole page; prefix every id."""
    for parent in root.iter():
        for child in list(parent):
            # A style element inside SVG styles every element of the page around it.
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            value = value.replace("url(#", f"url(#{key}-")
            if _local(name) == "id":
                value = f"{key}-{value}"
            elif _local(name) == "href":
                value = f"#{key}-{value.removeprefix('#')}"
            elif name == "style":
                value = _FONT_FAMILY.sub("", _FONT_SHORTHAND.sub(r"font-size: \1", value))
            element.set(_local(name), value)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")


def _local(name: str) -> str:
    """A tag or attribute without its XML namespace, which HTML has no use for."""
    return name.rpartition("}")[2]


# ---------------------------------------------------------------------------------------------------------
# The page


@dataclass(frozen=True)
class _Chart:
    caption: str
    svg: Markup


@dataclass(frozen=True)
class _Key:
    """One entry of a legend; `svg` is a short piece of the line."""

    name: str
    note: str
    svg: Markup


@dataclass(frozen=True)
class _HeadlineCell:
    psnr: _Cell
    ssim: _Cell


@dataclass(frozen=True)
class _Line:
    """One line of a table: the method, what must be said of it, its cells."""

    name: str
    note: str
    cells: Sequence[_Cell | _HeadlineCell]


@dataclass(frozen=True)
class _LevelTable:
    """`groups` spans the columns of one split: (split, number of columns)."""

    caption: str
    groups: list[tuple[Split, int]]
    headings: list[str]
    lines: list[_Line]


@dataclass(frozen=True)
class _Shot:
    label: str
    note: str
    psnr: str
    best: bool
    alt: str
    source: str
    width: int
    height: int


@dataclass(frozen=True)
class _Strip:
    title: str
    split: str
    shots: list[_Shot]

    @property
    def columns(self) -> int:
        """Columns on a wide screen: at most six, and rows as even as they can be."""
        rows = math.ceil(len(self.shots) / 6)
        return math.ceil(len(self.shots) / rows)


@dataclass(frozen=True)
class _Training:
    """One line of the cost table."""

    method: str
    seeds: int
    evaluations: str
    time: str


def write_report(
    path: Path,
    rows: Sequence[Row],
    pictures: Sequence[Picture],
    *,
    title: str,
    command: str,
    machine: str,
    notes: Sequence[str],
    curves: Sequence[LearningCurve],
    reported: Reported | None,
) -> None:
    """Write one self-contained HTML page, atomically: tables, curves, pictures and how they were made.

    `notes` are paragraphs of plain words. `reported` goes to a table of its own, said to be the authors'.
    Raises UserError where `check_comparable` does, OSError where the file cannot be written.
    """
    import matplotlib
    from jinja2 import Environment, PackageLoader, StrictUndefined

    study = _Study.of(rows)
    looks = _looks([*study.methods, *(curve.method for curve in curves)])
    with matplotlib.rc_context(_MATPLOTLIB):
        charts, learning, legend, learning_legend = _all_charts(study, curves, looks)
    environment = Environment(
        loader=PackageLoader("unseen", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(
        title=title,
        finding=_finding(study),
        facts=_facts(rows, study),
        notes=notes,
        splits=study.splits,
        headline=_headline(study),
        gap=bool(study.gap),
        remarks=_remarks(rows, study),
        legend=legend,
        charts=charts,
        strips=_strips(pictures),
        learning=learning,
        learning_legend=learning_legend,
        trainings=_trainings(curves),
        level_tables=[_level_table(study, "psnr"), _level_table(study, "ssim")],
        reported=reported,
        command=command,
        provenance=_provenance(rows, machine),
    )
    write_atomically(path, page)


def _all_charts(
    study: _Study, curves: Sequence[LearningCurve], looks: dict[str, _Look]
) -> tuple[list[_Chart], list[_Chart], list[_Key], list[_Key]]:
    """Charts against degree, learning curves, and the legend of each."""
    measures: tuple[Measure, ...] = ("psnr", "ssim")
    charts = [
        _Chart(
            f"{UNITS[measure]}: {panel.title}", _degree_chart(study, panel, measure, looks, f"c{i}-{measure}")
        )
        for i, panel in enumerate(_panels(study))
        for measure in measures
    ]
    learning = []
    validations: tuple[Literal["held-out", "seen"], ...] = ("held-out", "seen")
    for split in validations:
        drawn = _learning_chart(curves, split, looks, f"l-{split}")
        if drawn is not None:
            learning.append(_Chart(f"Validation on {split} levels", drawn))
    legend = [_Key(INPUT, "", _legend_key(_INPUT_LOOK, "k-input"))]
    legend += [
        _Key(method, _note(method), _legend_key(looks[method], f"k{i}"))
        for i, method in enumerate(study.methods)
    ]
    learners = dict.fromkeys(curve.method for curve in curves)
    learning_legend = [
        _Key(method, _note(method), _legend_key(_without_marker(looks[method]), f"lk{i}"))
        for i, method in enumerate(learners)
    ]
    return charts, learning, legend, learning_legend


def _note(name: str) -> str:
    return CEILING_NOTE if is_ceiling(name) else ""


def _finding(study: _Study) -> str:
    """One sentence on the unseen levels, in numbers only: what it means is for the notes to say."""
    rivals = [method for method in study.methods if not is_ceiling(method)]
    if "unseen" not in study.splits or not rivals:
        return ""
    means = {method: study.means[method, "unseen"] for method in rivals}
    finite = {method: mean for method, mean in means.items() if math.isfinite(mean.psnr.mean)}
    if not finite:
        return ""
    best = max(finite, key=lambda method: finite[method].psnr.mean)
    before = _cell(_input_estimate(list(means.values()), "psnr"), 2).text
    told = f"On levels never seen in training, {best} restores to {_cell(finite[best].psnr, 2).text} dB"
    others = sorted((mean.psnr.mean for name, mean in finite.items() if name != best), reverse=True)
    rest = f"; the next method reaches {others[0]:.2f} dB" if others else ""
    return f"{told} on average{rest}, the distorted input stands at {before} dB."


def _facts(rows: Sequence[Row], study: _Study) -> list[tuple[str, str]]:
    images = {(row.dataset, row.image) for row in rows}
    datasets = ", ".join(dict.fromkeys(row.dataset for row in rows))
    return [
        ("protocol", rows[0].protocol),
        ("test images", f"{len(images)} ({datasets})"),
        ("methods", str(len(study.methods))),
        ("seeds", str(len({row.seed for row in rows}))),
        ("budget", f"{_grouped(rows[0].budget)} gradient evaluations each"),
    ]


def _headline(study: _Study) -> list[_Line]:
    psnr, ssim = _split_columns(study, "psnr"), _split_columns(study, "ssim")
    gap = _gap_column(study)
    lines = []
    for i, name in enumerate(study.lines):
        both = [_HeadlineCell(p.cells[i], s.cells[i]) for p, s in zip(psnr, ssim, strict=True)]
        lines.append(_line(name, [*both, *(column.cells[i] for column in gap)]))
    return lines


def _line(name: str, cells: Sequence[_Cell | _HeadlineCell]) -> _Line:
    # The input's long name would take half a phone's width: set what it says of itself as its note.
    return _Line("input", "no restoration", cells) if name == INPUT else _Line(name, _note(name), cells)


def _level_table(study: _Study, measure: Measure) -> _LevelTable:
    columns = _level_columns(study, measure)
    groups: list[tuple[Split, int]] = []
    for column in columns:
        if groups and groups[-1][0] == column.split:
            groups[-1] = (column.split, groups[-1][1] + 1)
        else:
            groups.append((column.split, 1))
    lines = [_line(name, [column.cells[i] for column in columns]) for i, name in enumerate(study.lines)]
    caption = f"{UNITS[measure]} by {_levels_title(study)}"
    return _LevelTable(caption, groups, [column.heading for column in columns], lines)


def _strips(pictures: Sequence[Picture]) -> list[_Strip]:
    gathered: dict[tuple[str, str, float | str, str], list[Picture]] = {}
    for picture in pictures:
        key = (picture.image, picture.distortion, picture.degree, picture.split)
        gathered.setdefault(key, []).append(picture)
    return [
        _Strip(
            f"{image}, {_spaced(distortion)} {_degree(degree)}", split, [_shot(one, group) for one in group]
        )
        for (image, distortion, degree, split), group in gathered.items()
    ]


def _shot(picture: Picture, group: Sequence[Picture]) -> _Shot:
    rivals = [
        round(other.psnr, 2)
        for other in group
        if other.psnr is not None and other.label not in ("clean", "input") and not is_ceiling(other.label)
    ]
    psnr = picture.psnr
    competes = picture.label not in ("clean", "input") and not is_ceiling(picture.label)
    height, width = picture.pixels.shape[:2]
    return _Shot(
        label=picture.label,
        note=_note(picture.label),
        psnr="" if psnr is None else f"{_cell(Estimate(psnr, None), 2).text} dB",
        best=competes and psnr is not None and len(rivals) > 1 and round(psnr, 2) == max(rivals),
        alt=f"{picture.label}: {picture.image}, {_spaced(picture.distortion)} {_degree(picture.degree)}",
        source="data:image/png;base64," + base64.b64encode(_png(picture.pixels)).decode("ascii"),
        width=width,
        height=height,
    )


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=True)
    return file.getvalue()


def _trainings(curves: Sequence[LearningCurve]) -> list[_Training]:
    gathered: dict[str, list[LearningCurve]] = {}
    for curve in curves:
        if curve.evaluations:
            gathered.setdefault(curve.method, []).append(curve)
    return [
        _Training(
            method,
            len(group),
            _range([_grouped(curve.evaluations[-1]) for curve in sorted(group, key=_length)]),
            _duration(fmean(curve.seconds[-1] for curve in group)),
        )
        for method, group in gathered.items()
    ]


def _length(curve: LearningCurve) -> float:
    return curve.evaluations[-1]


def _range(ordered: Sequence[str]) -> str:
    return ordered[0] if ordered[0] == ordered[-1] else f"{ordered[0]} to {ordered[-1]}"


def _grouped(count: float) -> str:
    return f"{count:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _provenance(rows: Sequence[Row], machine: str) -> list[tuple[str, str]]:
    return [
        ("machine", machine),
        ("seeds", ", ".join(str(seed) for seed in sorted({row.seed for row in rows}))),
        ("protocol", rows[0].protocol),
        ("metric convention", rows[0].convention),
        ("runs", ", ".join(dict.fromkeys(row.run for row in rows))),
        ("results", f"{len(rows)} rows, one an image, level, method and seed"),
    ]
