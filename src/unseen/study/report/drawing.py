"""How charts are drawn: their style, the style of each entry's line, and matplotlib's figures as SVG inside HTML.

Importing this loads matplotlib.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ...core.atomic import write_text
from ..entry_names import INPUT, SEPARATOR, is_ceiling

Captioned: TypeAlias = tuple[str, Markup]

# matplotlib wants colours, the page wants CSS variables (light and dark): these stand in for them until the
# SVG is written. Blue and vermilion first: the pair that every kind of colour blindness tells apart.
COLOURS = {
    **{name: f"#010a0{i}" for i, name in enumerate(("ink", "muted", "grid", "seen", "unseen"))},
    **{f"series-{i}": f"#010b0{i}" for i in range(1, 7)},
}
INK, MUTED = COLOURS["ink"], COLOURS["muted"]
PAPER = {
    **{"ink": "#1b2026", "muted": "#626c77", "grid": "#e6e9ec", "seen": "#e9eff6", "unseen": "#fdf1e4"},
    **{"series-1": "#0072b2", "series-2": "#d55e00", "series-3": "#00835f"},
    **{"series-4": "#b0568f", "series-5": "#c28100", "series-6": "#3d9fd6"},
}
"""The colours of the page in the light (page.css), for a figure in a file of its own."""
MARKERS = "os^DvP"
DASHES = ("solid", (0, (6, 2)), (0, (1, 1.4)))
INCHES = (5.6, 3.6)  # 403 points wide: 10-point text stays legible when a phone shrinks it to 340
SMALL = (4.2, 2.6)
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
styled = rc_context(STYLE)
"""Decorator of every function that draws: it applies the style of the page."""


@dataclass(frozen=True)
class LineStyle:
    """The style of an entry's line; a colour is never the only difference.

    Attributes:
        colour: a stand-in of `COLOURS`.
        marker: marker of matplotlib; empty for none.
        dash: a line style of matplotlib.
        group: class of all that belongs to the entry in every chart, so that the page can hide all of it.
        width: width in points.
    """

    colour: str
    marker: str
    dash: Any
    group: str
    width: float = 1.8

    @property
    def without_markers(self) -> LineStyle:
        """The style of lines with a point at every validation, where markers would hide the line."""
        return replace(self, marker="", width=1.4)


LineStyles: TypeAlias = Mapping[str, LineStyle]


def line_styles(names: Sequence[str]) -> dict[str, LineStyle]:
    """Give each entry a style: input and ceiling have their own, methods take turns, a backbone has its dashes."""
    styles: dict[str, LineStyle] = {}
    methods = list(dict.fromkeys(_method(name) for name in names if name != INPUT and not is_ceiling(name)))
    backbones = list(dict.fromkeys(_backbone(name) for name in names))
    for i, name in enumerate(dict.fromkeys(names)):
        group, other = f"line-{i}", backbones.index(_backbone(name))
        if name == INPUT:
            styles[name] = LineStyle(MUTED, "", (0, (4, 2.5)), group, 1.5)
        elif is_ceiling(name):
            styles[name] = LineStyle(INK, "", (0, (6, *(2.5, 1.5) * other, 2.5)), group, 1.5)
        else:
            lap, turn = divmod(methods.index(_method(name)), 6)
            dash = DASHES[(lap + other) % 3]
            styles[name] = LineStyle(COLOURS[f"series-{turn + 1}"], MARKERS[(turn + lap) % 6], dash, group)
    return styles


def _method(entry: str) -> str:
    return entry.partition(SEPARATOR)[0]


def _backbone(entry: str) -> str:
    return entry.partition(SEPARATOR)[2]


def shortened(text: str, most: int = 30) -> str:
    """Shorten a text of more than `most` characters to its start and its end."""
    return printable(text if len(text) <= most else f"{text[: most - 12]}…{text[-11:]}")


@styled
def legend(styles: LineStyles) -> dict[str, Markup]:
    """Draw the key of each entry: a short piece of its line."""
    keys = {}
    for name, style in styles.items():
        figure = Figure(figsize=(0.5, 0.2))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, 1), ylim=(-1, 1))
        plot(axes, [0.05, 0.95], [0, 0], replace(style, marker=""))
        plot(axes, [0.5], [0], style)
        keys[name] = svg(figure, f"k-{style.group}").replace(f'class="{style.group}"', "")  # never hidden itself
    return keys


def new_figure(inches: tuple[float, float] = INCHES) -> tuple[Figure, Axes]:
    """Make a figure of one plot, with room for what stands around it."""
    figure = Figure(figsize=inches, layout="constrained")
    return figure, figure.add_subplot()


def plot(axes: Axes, x: ArrayLike, y: ArrayLike, style: LineStyle, label: str = "") -> None:
    """Draw a line in its style, and put it into its group; `label` is its name in a legend."""
    (line,) = axes.plot(
        x, y, color=style.colour, linewidth=style.width, linestyle=style.dash, marker=style.marker or None, label=label
    )
    line.set_gid(style.group)


def band(axes: Axes, x: ArrayLike, y: NDArray[np.float64], half_width: NDArray[np.float64], style: LineStyle) -> None:
    """Shade an interval around a line; nothing where no half-width is known."""
    if np.isfinite(half_width).any():
        area = axes.fill_between(x, y - half_width, y + half_width, color=style.colour, alpha=0.16, linewidth=0)
        area.set_gid(style.group)


def not_beyond(axes: Axes, means: Sequence[float]) -> None:
    """Cut off intervals that would squeeze the lines themselves: over two seeds they can be ten times as wide."""
    low, high = axes.get_ylim()
    room = 0.4 * (max(means) - min(means)) or 0.05 * abs(max(means)) or 1.0
    axes.set_ylim(max(low, min(means) - room), min(high, max(means) + room))


def grouped_as(artists: Sequence[Artist], style: LineStyle) -> None:
    """Put what was drawn into the group of its entry."""
    for artist in artists:
        artist.set_gid(style.group)


def finite(values: Sequence[float]) -> NDArray[np.float64]:
    """Replace infinity, which has no place on an axis, by nan, which leaves a gap."""
    return np.where(np.isfinite(values), values, math.nan)


def printable(text: str) -> str:
    """Replace control characters, which SVG does not allow, not even escaped."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


# The page is styled by its own sheet, and many charts share it: (pattern, what stands in its place).
FOR_HTML = (
    (r"(?s)<metadata>.*?</metadata>|<style.*?</style>", ""),
    (r'\bid="(line-\d+)"', r'class="\1"'),
    (r'\b(id="|url\(#)', r"\1{key}-"),
    (r'\bxlink:href="#', r'href="#{key}-'),
    # Older matplotlib writes the shorthand `font: 10px ...;`, newer `font-size: 10px; font-family: ...;`.
    (r'\bfont: (?:\S+ )*?([\d.]+px) [^;"]*', r"font-size: \1"),
    (r'\bfont-family: [^;"]*;?\s*', ""),
)


def svg(figure: Figure, key: str, description: str = "") -> Markup:
    """Write a figure as an SVG element inside HTML.

    Args:
        figure: the figure.
        key: keeps the ids of the element apart from those of its neighbours.
        description: for screen readers; without one the figure is decoration, hidden from them.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True)
    body = file.getvalue().partition("<svg ")[2].partition(">")[2]
    for pattern, replacement in FOR_HTML:
        body = re.sub(pattern, replacement.replace("{key}", key), body)
    for name, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{name})")
    width, height = 72 * figure.get_size_inches()
    label = escape(printable(description))
    role = f'role="img" aria-label="{label}"' if label else 'aria-hidden="true"'
    style = "stroke-linejoin: round; stroke-linecap: butt"
    # Safe: matplotlib has escaped every text.
    return Markup(f'<svg viewBox="0 0 {width:g} {height:g}" {role} style="{style}">{body}')


def save_svg(figure: Figure, path: Path) -> None:
    """Write a figure as a file of its own on white, atomically. Raise UserError where the file cannot be written."""
    file = io.StringIO()
    figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None})
    text = file.getvalue()
    for name, colour in COLOURS.items():
        text = text.replace(colour, PAPER[name])
    write_text(path, text)
