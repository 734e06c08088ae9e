"""Charts of trajectories: unseen against seen PSNR, and PSNR of each level against gradient evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

from ...protocols.levels import Level, Split
from ..trajectory import BySeed, levels_of_trajectories, mean_over_seeds
from .drawing import (
    SMALL,
    Captioned,
    LineStyles,
    line_styles,
    new_figure,
    plot,
    printable,
    save_svg,
    styled,
    svg,
)

Trajectories = Mapping[str, BySeed]

PLANE = "Unseen against seen PSNR along the training"

PLANE_INCHES = (5.6, 4.2)

AXES: tuple[Split, Split] = ("seen", "unseen")
"""The splits on the two axes."""

SEED_WIDTH = 0.25
"""Width of the line of a single seed, in points: much thinner than the mean's, which three seeds would hide."""

BEFORE_THE_END = 2.5
"""dB of seen PSNR that are shown below the lowest end of a training."""

WIDE = 20
"""Largest over smallest number of evaluations above which their axis is logarithmic."""


@styled
def trajectory_charts(trajectories: Trajectories, styles: LineStyles) -> list[Captioned]:
    """Draw both splits against each other, then each level against evaluations, each chart with its caption."""
    figure, axes = new_figure(PLANE_INCHES)
    _draw_plane(axes, trajectories, styles)
    charts = [(PLANE, svg(figure, "trajectory-plane", f"{PLANE}, a line a method; the mean over seeds and each seed"))]
    for i, level in enumerate(levels_of_trajectories(trajectories)):
        figure, axes = new_figure(SMALL)
        _draw_level(axes, trajectories, level, styles)
        title = f"{level.name} ({level.split})"
        charts.append((title, svg(figure, f"trajectory-{i}", f"PSNR under {title} against gradient evaluations")))
    return charts


@styled
def write_trajectory_figure(path: Path, trajectories: Trajectories, names: Mapping[str, str] | None = None) -> None:
    """Write the chart of unseen against seen PSNR as a file of its own, on white and with a legend, atomically.

    Args:
        path: the file, SVG.
        trajectories: the trajectories by entry and seed, as `trajectory.trajectories` returns them.
        names: names for the legend where they are others than those of the entries.

    Raises:
        UserError: if the file cannot be written.
    """
    figure, axes = new_figure(PLANE_INCHES)
    styles = line_styles(list(trajectories))
    _draw_plane(axes, trajectories, styles)
    for name in trajectories:
        plot(axes, [], [], styles[name], label=printable((names or {}).get(name, name)))
    axes.legend(frameon=False, loc="best", handlelength=2.6)
    save_svg(figure, path)


def _draw_plane(axes: Axes, trajectories: Trajectories, styles: LineStyles) -> None:
    """Draw each seed thin and the mean over seeds, a marker at the end of the training."""
    means = {
        name: tuple(mean_over_seeds([one.mean(split) for one in own.values()]) for split in AXES)
        for name, own in trajectories.items()
    }
    for name, own in trajectories.items():
        style = styles[name].without_markers
        for one in own.values() if len(own) > 1 else ():
            plot(axes, one.mean("seen"), one.mean("unseen"), replace(style, width=SEED_WIDTH))
        seen, unseen = means[name]
        plot(axes, seen, unseen, style)
        plot(axes, seen[-1:], unseen[-1:], replace(styles[name], marker=styles[name].marker or "o"))
    _show_the_end(axes, list(means.values()))
    axes.grid(axis="x", visible=True)
    axes.set_xlabel("PSNR (dB) on seen levels")
    axes.set_ylabel("PSNR (dB) on unseen levels")


def _show_the_end(axes: Axes, means: Sequence[tuple[NDArray[np.float64], ...]]) -> None:
    """Leave out what lies far below the ends, where every training passes in its first steps."""
    ends = [seen[-1] for seen, _ in means if np.isfinite(seen[-1])]
    if not ends:
        return
    low = min(ends) - BEFORE_THE_END
    shown = [unseen[(seen >= low) & np.isfinite(unseen)] for seen, unseen in means]
    heights = np.concatenate(shown)
    if heights.size and low > axes.get_xlim()[0]:
        room = 0.06 * (heights.max() - heights.min()) or 0.5
        axes.set_xlim(left=low)
        axes.set_ylim(bottom=heights.min() - room)


def _draw_level(axes: Axes, trajectories: Trajectories, level: Level, styles: LineStyles) -> None:
    first, last = np.inf, 0.0
    for name, own in trajectories.items():
        style = styles[name].without_markers
        for one in own.values() if len(own) > 1 else ():
            plot(axes, one.evaluations, one.psnr[level], replace(style, width=SEED_WIDTH))
        evaluations = mean_over_seeds([one.evaluations for one in own.values()])
        plot(axes, evaluations, mean_over_seeds([one.psnr[level] for one in own.values()]), style)
        first, last = min(first, evaluations[0]), max(last, evaluations[-1])
    if last > WIDE * first:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("gradient evaluations")
    axes.set_ylabel("PSNR (dB)")
