"""Every method on one small network: numbers and figures of docs/results/denoise-small.md, from the kept rows.

`make denoise-small` runs the studies and then this. The sentences are in pages/denoise-small.md.jinja, by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import RESULTS as DOCS
from pages import render
from ruamel.yaml import YAML

from unseen.core.atomic import replacing, write_text
from unseen.evaluation.results import RESULTS, read_results
from unseen.study.entry_names import BASELINE, CEILING, INPUT, SEPARATOR, is_ceiling
from unseen.study.report.columns import (
    COUNT,
    difference_columns,
    float_format,
    gap_columns,
    harm_column,
    invariance_column,
    level_columns,
    seen_cost_column,
    split_columns,
)
from unseen.study.report.notes import study_notes
from unseen.study.report.table import Column, markdown
from unseen.study.runs import RUNS, read_runs
from unseen.study.summary import Difference, StudySummary

HERE = Path(__file__).parent
PAGE = DOCS / "denoise-small.md"
PLAIN, RRDB = "denoise-small", "denoise-small-rrdb"
FREE, EQUIVARIANT = f"{SEPARATOR}bias=false", f"{SEPARATOR}plain_ne"
DIL = ("dil_sf", "dil_pf", "dil_ss", "dil_ps")


def configuration(name: str) -> dict[str, Any]:
    """The configuration of a study."""
    values: dict[str, Any] = YAML(typ="safe").load((HERE / f"{name}.yaml").read_text())
    return values


def read_study(name: str) -> StudySummary:
    """The study as far as it is finished for every entry: the seeds alone that all entries have."""
    rows = read_results(HERE / name / RESULTS)
    entries = {(row.method, row.backbone) for row in rows}
    seeds = [{row.seed for row in rows if (row.method, row.backbone) == entry} for entry in entries]
    common = set.intersection(*seeds)
    records = [record for record in read_runs(HERE / name / RUNS) if record.seed in common]
    return StudySummary([row for row in rows if row.seed in common], records, configuration(name)["backbone"])


@dataclass(frozen=True)
class Result:
    """What the page prints of one study; dictionaries go by the names of its entries.

    Attributes:
        name: the name of its configuration and folder.
        config: the configuration.
        budget: what a training might cost, in words.
        unseen: mean PSNR on the unseen levels, dB.
        given: the same of the noisy images.
        differences: differences from ERM on the study's own backbone, on the unseen levels.
        there: differences from ERM on the same backbone.
        gap: shares of the gap to the ceiling; empty where they are undefined.
        cost: PSNR given up on the seen levels, dB.
        rivals: how many methods on the study's own backbone are compared with ERM.
        comparisons: how many comparisons p is corrected for.
        main, costs, by_level: the tables, in Markdown.
        notes: what a reader of the tables must know.
        seeds, machines: with which seeds the trainings were made, and where.
        trainings: how many trainings there are.
        hours: what they took together.
    """

    name: str
    config: dict[str, Any]
    budget: str
    unseen: dict[str, float]
    given: float
    differences: dict[str, Difference]
    there: dict[str, Difference]
    gap: dict[str, float]
    cost: dict[str, float]
    rivals: int
    comparisons: int
    main: str
    costs: str
    by_level: str
    notes: str
    seeds: str
    machines: str
    trainings: int
    hours: float


def page() -> str:
    """The whole page."""
    return render("denoise-small", plain=result(PLAIN), rrdb=result(RRDB))


def result(name: str) -> Result:
    """What the page prints of one study, from its kept rows."""
    study = read_study(name)
    unseen = {entry: e.mean for entry, e in study.estimates("psnr", "unseen").items()}
    order = by_unseen(study)
    main = [*split_columns(study, "psnr"), *gap_columns(study), *difference_columns(study)]
    return Result(
        name=name,
        config=configuration(name),
        budget=study.budget,
        unseen=unseen,
        given=unseen[INPUT],
        differences=study.differences,
        there=study.differences_same_backbone,
        gap=study.gap,
        cost={entry: e.mean for entry, e in study.seen_cost.items()},
        rivals=len(on_own_backbone(study)),
        comparisons=study.comparisons,
        main=markdown(order, main),
        costs=markdown(order, behaviour(study)),
        by_level=markdown(order, level_columns(study, "psnr")),
        notes=" ".join(study_notes(study)),
        seeds=", ".join(map(str, sorted({row.seed for row in study.results}))),
        machines=" and ".join(study.machines),
        trainings=len(study.records),
        hours=sum(record.seconds for record in study.records) / 3600,
    )


def on_own_backbone(study: StudySummary) -> dict[str, Difference]:
    """The differences from ERM of the methods that train the study's own backbone, ceilings left out."""
    return {entry: d for entry, d in study.differences.items() if SEPARATOR not in entry and not is_ceiling(entry)}


def by_unseen(study: StudySummary) -> list[str]:
    """The entries, the highest mean PSNR on unseen levels first."""
    unseen = study.estimates("psnr", "unseen")
    return sorted(study.entries, key=lambda entry: -unseen[entry].mean)


def behaviour(study: StudySummary) -> list[Column]:
    """Seen cost, harm, invariance, steps, time and memory."""
    costs = study.costs
    seconds = Column("seconds", "seconds", "", {n: c.seconds for n, c in costs.items()}, COUNT)
    steps = Column("steps", "steps", "", {n: c.steps for n, c in costs.items()}, COUNT)
    evaluations = Column("evaluations", "evaluations", "", {n: c.evaluations for n, c in costs.items()}, COUNT)
    bias = Column("net bias", "net bias at σ 20", "", net_biases(study), float_format("{:.3f}".format))
    measured = (seen_cost_column(study), harm_column(study), invariance_column(study))
    named = [replace(column.bare, heading=f"{column.heading}, {column.under}", under="") for column in measured]
    return [*named, evaluations, steps, seconds, bias]


def excerpt(study: StudySummary) -> str:
    """The table of docs/training.md: the ends, the best rival, DIL, the architectures."""
    best = max((line for line in study.gap if SEPARATOR not in line and line not in DIL), key=study.gap.__getitem__)
    wanted = [INPUT, BASELINE, best, *DIL, BASELINE + FREE, BASELINE + EQUIVARIANT, "dil_sf" + EQUIVARIANT, CEILING]
    columns = [*split_columns(study, "psnr"), *gap_columns(study)]
    return markdown(present(study, wanted), [replace(column, best=frozenset()) for column in columns])


def net_biases(study: StudySummary) -> dict[str, float]:
    """By line, the last net bias that was seen in training, under the strongest seen noise, over seeds."""
    by_line: dict[str, list[float]] = {}
    for record in study.records:
        last = record.diagnoses[-1]["net_biases"] if record.diagnoses else None
        if last:
            by_line.setdefault(record.method, []).append(last["gaussian_noise:20"])
    return {line: fmean(values) for line, values in by_line.items()}


FIGURES = {
    "gains": "Difference from ERM on unseen noise with its 95 % interval, by method and backbone",
    "severity": "PSNR against σ for the input, ERM, DIL_sf, the ceiling, and the equivariant networks",
}


# Any: the keys are plain text to older matplotlib stubs, a list of literals to newer ones.
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "unseen",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(study: StudySummary) -> None:
    """The figures of the plain network, as SVG."""
    with matplotlib.rc_context(STYLE):
        for name, figure in (("gains", gains(study)), ("severity", severity(study))):
            (DOCS / PLAIN).mkdir(exist_ok=True)
            with replacing(DOCS / PLAIN / f"{name}.svg") as temporary:
                figure.savefig(temporary, format="svg", bbox_inches="tight", metadata={"Date": None})


def gains(study: StudySummary) -> Figure:
    """Dots with intervals: a row a method, a colour a backbone."""
    found = study.differences
    methods = sorted({line.partition(SEPARATOR)[0] for line in found}, key=lambda m: found[m].mean if m in found else 0)
    figure = Figure(figsize=(6.4, 0.26 * len(methods) + 1))
    axes = figure.subplots()
    for ending, colour, shift, name in (
        ("", "#0072b2", 0.18, "plain"),
        (FREE, "#d55e00", 0, "without additive constants"),
        (EQUIVARIANT, "#00835f", -0.18, "normalisation-equivariant"),
    ):
        shown = [(i + shift, found[m + ending]) for i, m in enumerate(methods) if m + ending in found]
        for height, d in shown:
            axes.plot([d.low, d.high], [height, height], color=colour, linewidth=1.2)
        axes.plot([d.mean for _, d in shown], [h for h, _ in shown], "o", color=colour, markersize=4, label=name)
    axes.axvline(0, color="#626c77", linewidth=0.8)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_xlabel("unseen PSNR less that of ERM on the plain network (dB)")
    axes.grid(axis="x", color="#e6e9ec")
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", frameon=False)
    return figure


def severity(study: StudySummary) -> Figure:
    """PSNR by σ, the seen range shaded."""
    figure = Figure(figsize=(6.4, 4))
    axes = figure.subplots()
    degrees = [float(level.degree) for level in study.levels]
    wanted = [INPUT, BASELINE, "dil_sf", BASELINE + FREE, BASELINE + EQUIVARIANT, "dil_sf" + EQUIVARIANT, CEILING]
    for line, colour in zip(present(study, wanted), COLOURS, strict=False):
        curve(axes, study, line, colour, degrees)
    seen = [float(level.degree) for level in study.levels_in("seen")]
    axes.axvspan(min(seen), max(seen), color="#e9eff6", zorder=0)
    axes.text(fmean((min(seen), max(seen))), axes.get_ylim()[0], "seen", ha="center", va="bottom")
    axes.set_xlabel("σ of the noise")
    axes.set_ylabel("PSNR (dB)")
    axes.legend(frameon=False)
    return figure


COLOURS = ("#626c77", "#0072b2", "#d55e00", "#c28100", "#00835f", "#b0568f", "#1b2026")


def present(study: StudySummary, lines: Iterable[str]) -> list[str]:
    """Those of the lines that the study has."""
    return [line for line in lines if line in study.entries]


def curve(axes: Axes, study: StudySummary, line: str, colour: str, degrees: Sequence[float]) -> None:
    """One line with its interval over seeds."""
    found = [study.estimates("psnr", level)[line] for level in study.levels]
    means = [e.mean for e in found]
    dash = "--" if line in (INPUT, CEILING) else "-"
    axes.plot(degrees, means, dash, color=colour, marker="o", markersize=3, linewidth=1.4, label=line)
    half = [e.spread or 0 for e in found]
    low, high = ([m + s * h for m, h in zip(means, half, strict=True)] for s in (-1, 1))
    axes.fill_between(degrees, low, high, color=colour, alpha=0.15, linewidth=0)


if __name__ == "__main__":
    draw(read_study(PLAIN))
    write_text(PAGE, page())
    print(PAGE)
