"""PSNR against strength for one photograph. Importing this loads matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ..study.entry_names import INPUT
from ..study.report.drawing import finite, legend, line_styles, new_figure, plot, printable, styled, svg
from .kinds import Candidate, SliderKind, Span
from .specimen import SeverityPoint

Values = NDArray[np.float64]
LEFT, RIGHT, BOTTOM, TOP = 0.115, 0.985, 0.14, 0.97
"""Where the axes stand in the chart, so that the page can point at a strength."""
ROOM = 0.02
"""Of the axis, on either side of the strengths."""
DOTTED = (0, (1.2, 1.6))


@styled
def chart(points: Sequence[SeverityPoint], kind: SliderKind, candidates: Sequence[Candidate]) -> Markup:
    """The curves of the input and of each candidate: whole where it was trained, dotted where it was not."""
    figure, axes = new_figure()
    figure.set_layout_engine("none")
    axes.set_position((LEFT, BOTTOM, RIGHT - LEFT, TOP - BOTTOM))
    names = names_of(candidates)
    looks = line_styles(names)
    strengths = np.array([point.strength for point in points])
    for place, name in enumerate(names):
        values = finite([point.psnr[place] for point in points])
        span = kind.span(candidates[place - 1].learnt or ()) if place else None
        look = replace(looks[name], dash=DOTTED if place else looks[name].dash)
        plot(axes, strengths, values, look)
        if span:
            plot(axes, *within(strengths, values, span), replace(look, dash="solid", marker="", width=2.6))
    room = ROOM * (kind.highest - kind.lowest)
    axes.set(xlim=(kind.lowest - room, kind.highest + room), xlabel=f"{kind.title}: {kind.unit}", ylabel="PSNR (dB)")
    return svg(figure, "curve", f"PSNR against the strength of {kind.title}, a line a network")


def keys(candidates: Sequence[Candidate]) -> Markup:
    """What each line of the chart is."""
    drawn = legend(line_styles(names_of(candidates)))
    item = Markup("<li>{}<span>{}</span></li>")
    return Markup("").join(item.format(drawn[name], printable(name)) for name in drawn)


def names_of(candidates: Sequence[Candidate]) -> list[str]:
    return [INPUT, *(one.name for one in candidates)]


def share(strength: float, kind: SliderKind) -> float:
    """How far from the left a strength is, of the chart's width."""
    along = (strength - kind.lowest) / (kind.highest - kind.lowest)
    return LEFT + (RIGHT - LEFT) * (along + ROOM) / (1 + 2 * ROOM)


def within(x: Values, y: Values, span: Span) -> tuple[Values, Values]:
    """The part of a line over a span, its ends between the points."""
    low, high = np.clip(span, x[0], x[-1])
    inside = np.concatenate(([low], x[(x > low) & (x < high)], [high]))
    return inside, np.interp(inside, x, y)
