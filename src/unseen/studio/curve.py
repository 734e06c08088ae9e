"""The chart of PSNR against strength for one photograph. Importing this loads matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ..study.entry_names import INPUT
from ..study.report.drawing import finite, legend, line_styles, new_figure, plot, printable, styled, svg
from .kinds import Candidate, SliderKind, StrengthRange
from .specimen import SeverityPoint

Values = NDArray[np.float64]
LEFT, RIGHT, BOTTOM, TOP = 0.115, 0.985, 0.14, 0.97
"""The place of the axes in the chart, in shares of its size, so that the page can point at a strength."""
AXIS_MARGIN = 0.02
"""Empty share of the axis on either side of the strengths."""
DOTTED = (0, (1.2, 1.6))


@styled
def severity_chart(points: Sequence[SeverityPoint], kind: SliderKind, candidates: Sequence[Candidate]) -> Markup:
    """Draw PSNR against strength for the input and each candidate: solid where seen in training, dotted elsewhere."""
    figure, axes = new_figure()
    figure.set_layout_engine("none")
    axes.set_position((LEFT, BOTTOM, RIGHT - LEFT, TOP - BOTTOM))
    names = curve_names(candidates)
    styles = line_styles(names)
    strengths = np.array([point.strength for point in points])
    for place, name in enumerate(names):
        values = finite([point.psnr[place] for point in points])
        trained = kind.trained_range(candidates[place - 1].trained_on or ()) if place else None
        style = replace(styles[name], dash=DOTTED if place else styles[name].dash)
        plot(axes, strengths, values, style)
        if trained:
            plot(axes, *clip_curve(strengths, values, trained), replace(style, dash="solid", marker="", width=2.6))
    margin = AXIS_MARGIN * (kind.highest - kind.lowest)
    axes.set(
        xlim=(kind.lowest - margin, kind.highest + margin), xlabel=f"{kind.title}: {kind.unit}", ylabel="PSNR (dB)"
    )
    return svg(figure, "curve", f"PSNR against the strength of {kind.title}, a line a network")


def chart_legend(candidates: Sequence[Candidate]) -> Markup:
    """The legend of the chart: the items of an HTML list."""
    keys = legend(line_styles(curve_names(candidates)))
    item = Markup("<li>{}<span>{}</span></li>")
    return Markup("").join(item.format(keys[name], printable(name)) for name in keys)


def curve_names(candidates: Sequence[Candidate]) -> list[str]:
    """The names of the curves, in the order of a point's PSNRs: the input first."""
    return [INPUT, *(one.name for one in candidates)]


def chart_position(strength: float, kind: SliderKind) -> float:
    """The horizontal position of a strength in the chart, as a share of the chart's width from the left."""
    along = (strength - kind.lowest) / (kind.highest - kind.lowest)
    return LEFT + (RIGHT - LEFT) * (along + AXIS_MARGIN) / (1 + 2 * AXIS_MARGIN)


def clip_curve(x: Values, y: Values, limits: StrengthRange) -> tuple[Values, Values]:
    """Cut a curve to a range of x; the ends are interpolated between the points."""
    low, high = np.clip(limits, x[0], x[-1])
    inside = np.concatenate(([low], x[(x > low) & (x < high)], [high]))
    return inside, np.interp(inside, x, y)
