"""All protocols at a glance, with one small network: the last table and figure of docs/results/regime.md.

`make regime` runs the studies of nine-protocols as well. Every protocol has the same entries at the same budget.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import read_study, table, write_figure

from unseen.core.number_text import signed
from unseen.study.entry_names import BASELINE, CEILING
from unseen.study.summary import Difference, StudySummary

STUDIES = Path(__file__).with_name("nine-protocols")
PROTOCOLS = (
    "denoise",
    "deblur",
    "hybrid",
    "derain-streaks",
    "real-denoise",
    "real-sr-d1",
    "real-sr-d2",
    "noise-types",
    "all-in-one",
)

RECIPE = "widened_erm @ bias=false"
CAPPED = "widened_erm @ capped_noise"
CENTRED = "widened_erm @ unit_noise:bias=false"
ENTRIES = {
    RECIPE: "widened ERM, bias-free",
    CAPPED: "widened ERM, capped noise",
    CENTRED: "widened ERM, unit noise, bias-free",
    "widened_erm @ unit_noise": "widened ERM, unit noise",
    "widened_erm": "widened ERM",
    f"{BASELINE} @ capped_noise": "ERM, capped noise",
    f"{BASELINE} @ unit_noise": "ERM, unit noise",
    f"{BASELINE} @ wne": "ERM, WNE",
    f"{BASELINE} @ bias=false": "ERM, bias-free",
    "dil_sf": "DIL_sf",
    "dil_ps": "DIL_ps",
    "dil_control": "DIL's control",
}
"""Entries that compete, by their titles."""

COLOURS = (
    "#00835f",
    "#a8b400",
    "#e377c2",
    "#8c564b",
    "#7b5ea7",
    "#5fa8d3",
    "#1b2026",
    "#0072b2",
    "#626c77",
    "#c28100",
    "#b0568f",
    "#d55e00",
)


def read_studies() -> dict[str, StudySummary]:
    """The studies as far as they have rows of ERM and one rival, by protocol."""
    studies = {name: read_study(STUDIES / name) for name in PROTOCOLS if (STUDIES / name / "runs.jsonl").exists()}
    return {name: study for name, study in studies.items() if study.differences}


def entries_of(studies: dict[str, StudySummary]) -> list[str]:
    """The entries that have been run in any of the studies."""
    return [entry for entry in ENTRIES if any(entry in study.differences for study in studies.values())]


def is_clear(difference: Difference, sign: int) -> bool:
    """Whether an interval lies above zero (`sign` 1) or below it (−1)."""
    return min(sign * difference.low, sign * difference.high) > 0


def glance(studies: dict[str, StudySummary]) -> str:
    """The table: unseen PSNR of ERM, and what each entry has more, with its interval; seen PSNR of the recipe."""
    entries = entries_of(studies)
    titles = [ENTRIES[entry] for entry in entries]
    headings = ["protocol", "seeds", "ERM (dB)", *titles, "ceiling", f"seen, {ENTRIES[RECIPE]}"]
    rows = []
    for name, study in studies.items():
        unseen, seen = (study.estimates("psnr", where) for where in ("unseen", "seen"))
        cells = [f"`{name}`", str(study.seeds[BASELINE]), f"{unseen[BASELINE].mean:.2f}"]
        cells += [in_words(study, entry) if entry in study.differences else "" for entry in entries]
        cells += [signed(study.differences[CEILING].mean) if CEILING in study.differences else ""]
        cells += [signed(seen[RECIPE].mean - seen[BASELINE].mean) if RECIPE in seen else ""]
        rows.append(cells)
    return table(headings, rows)


def in_words(study: StudySummary, entry: str) -> str:
    """`+1.20 [+0.90, +1.50] (1)`: bold where the interval leaves out zero, with its seeds where ERM has more."""
    difference, seeds = study.differences[entry], study.seeds[entry]
    text = f"{signed(difference.mean)} \\[{signed(difference.low)}, {signed(difference.high)}\\]"
    text = f"**{text}**" if is_clear(difference, 1) or is_clear(difference, -1) else text
    return f"{text} ({seeds})" if seeds < study.seeds[BASELINE] else text


def counts(studies: dict[str, StudySummary]) -> dict[str, tuple[int, int, int]]:
    """By title, the protocols in which an entry is clearly above ERM, clearly below, and in which it was run."""
    return {
        ENTRIES[entry]: (sum(is_clear(d, 1) for d in own), sum(is_clear(d, -1) for d in own), len(own))
        for entry in entries_of(studies)
        if (own := [study.differences[entry] for study in studies.values() if entry in study.differences])
    }


def draw(studies: dict[str, StudySummary], path: Path) -> None:
    """Write the figure: differences from ERM on unseen levels, a row of marks a protocol, with their intervals."""
    figure = Figure(figsize=(8.8, 0.5 + 0.8 * len(studies)), layout="constrained")
    axes: Axes = figure.subplots()
    entries = entries_of(studies)
    colours = dict(zip(ENTRIES, COLOURS, strict=True))
    for place, entry in enumerate(entries):
        rows = [
            (row, study.differences[entry]) for row, study in enumerate(studies.values()) if entry in study.differences
        ]
        heights = [row + 0.08 * (place - (len(entries) - 1) / 2) for row, _ in rows]
        means = np.array([difference.mean for _, difference in rows])
        ends = np.array([[difference.low, difference.high] for _, difference in rows]).T
        axes.errorbar(
            means, heights, xerr=np.abs(ends - means), fmt="o", ms=4, color=colours[entry], label=ENTRIES[entry]
        )
    axes.axvline(0, color="#1b2026", linewidth=0.8)
    axes.set_yticks(range(len(studies)), list(studies))
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=0.5)
    axes.set_xticks([-2, -1, -0.5, 0, 0.5, 1, 2, 4], ["−2", "−1", "−0.5", "0", "+0.5", "+1", "+2", "+4"])
    axes.set_xlabel("unseen PSNR above that of ERM (dB), 95 % intervals")
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))
    write_figure(path, figure)
