"""Past the point at which networks break: numbers and figures of docs/results/regime.md, from the kept rows.

`make regime` runs the study and then this. The sentences are in pages/regime.md.jinja, by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

import nine_protocols
import regime_diagnoses
import regime_networks
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import RESULTS as DOCS
from pages import read_study, render, table, write_figure
from regime_networks import fall

from unseen.core.atomic import write_text
from unseen.core.config import load_config
from unseen.core.grouping import grouped
from unseen.core.number_text import percent
from unseen.evaluation.results import RESULTS as RESULT_ROWS
from unseen.evaluation.results import read_results
from unseen.protocols.levels import Level, Split
from unseen.study.entry_names import BASELINE, CEILING, INPUT
from unseen.study.report.columns import (
    at_equal_columns,
    difference_columns,
    gap_columns,
    gap_level_columns,
    level_columns,
    seen_cost_column,
    split_columns,
)
from unseen.study.report.notes import study_notes
from unseen.study.report.table import markdown
from unseen.study.report.trajectory_charts import write_trajectory_figure
from unseen.study.summary import StudySummary

STUDY = Path(__file__).with_name("regime-gray")
OTHERS = {name: STUDY.with_name(f"regime-{name}") for name in ("long", "inner")}
"""Further studies of the same network: longer, with other inner steps."""

PAGE = DOCS / "regime.md"
FIGURES = DOCS / "regime"

FREE, EQUIVARIANT, UNIT = (f"{BASELINE} @ {network}" for network in ("bias=false", "wne", "unit_noise"))

TRAINED = {BASELINE: "ERM", "dil_sf": "DIL_sf", "dil_control": "DIL's control"}

COLLAPSE = TRAINED | {FREE: "ERM, bias-free", CEILING: "ceiling", UNIT: "ERM, unit noise"}
"""Entries of the figure of trajectories, by the names in its legend."""

WIDENED = {
    nine_protocols.RECIPE: "widened ERM, bias-free",
    nine_protocols.CAPPED: "widened ERM, capped noise",
    nine_protocols.CENTRED: "widened ERM, unit noise, bias-free",
    f"{BASELINE} @ capped_noise": "ERM, capped noise",
    "widened_erm": "widened ERM",
    "widened_erm @ unit_noise": "widened ERM, unit noise",
}

SEVERITY = COLLAPSE | {EQUIVARIANT: "ERM, WNE", "extrapolated_erm @ wne": "extrapolated ERM, WNE"} | WIDENED
"""Entries of the figure of levels."""

NAMED = SEVERITY | {
    "extrapolated_erm @ capped_noise": "extrapolated ERM, capped noise",
    "extrapolated_erm": "extrapolated ERM",
    "extrapolated_erm @ bias=false": "extrapolated ERM, bias-free",
    "stopped_erm": "ERM, stopped by its held-out level",
    f"{BASELINE}:batches=4": "ERM, four batches a step",
    f"{BASELINE}:lr_share=0.25": "ERM, a quarter of the rate",
}
"""Entries that the text names."""

EXPLAINED = TRAINED | {UNIT: "ERM, unit noise", EQUIVARIANT: "ERM, WNE", CEILING: "ceiling"}
"""Entries of the figure of diagnoses."""

COLOURS = (
    "#1b2026",
    "#d55e00",
    "#c28100",
    "#0072b2",
    "#626c77",
    "#00835f",
    "#b0568f",
    "#7b5ea7",
    "#5fa8d3",
    "#8c564b",
    "#a8b400",
    "#e377c2",
    "#17a2a2",
    "#f0a030",
)

WITHOUT_COLUMN = ("Worst unseen", "Harm:", "Invariance:")
"""How notes begin that explain columns which the page leaves out."""


def read_others() -> dict[str, StudySummary]:
    """The further studies that have rows, by name."""
    return {name: read_study(folder) for name, folder in OTHERS.items() if (folder / "runs.jsonl").exists()}


def page(
    study: StudySummary,
    protocols: dict[str, StudySummary],
    others: dict[str, StudySummary],
    networks: dict[str, StudySummary],
) -> str:
    """The whole page, from the gray study, those of all protocols, the further ones, and those of other networks."""
    unseen = {entry: e.mean for entry, e in study.estimates("psnr", "unseen").items()}
    order = [INPUT, *sorted(study.methods, key=lambda entry: -unseen[entry])]
    main = [*split_columns(study, "psnr"), *gap_columns(study), *at_equal_columns(study), *difference_columns(study)]
    return render(
        "regime",
        config=load_config(STUDY / "config.yaml"),
        main=markdown(order, main),
        levels=markdown(order, [*level_columns(study, "psnr"), *gap_level_columns(study), seen_cost_column(study)]),
        notes=" ".join(note for note in study_notes(study) if not note.startswith(WITHOUT_COLUMN)),
        unseen=unseen,
        gap=study.gap,
        seeds=study.seeds,
        differences=study.differences,
        at_equal_seen={name: at.difference for name, at in study.at_equal_seen.items()},
        trainings=len(study.records),
        hours=hours([study]),
        machines=" and ".join(study.machines),
        fall=fall(study),
        predictions=regime_diagnoses.predictions(study),
        broken=broken(study),
        names=NAMED,
        unit=closed(study, UNIT),
        recipe=closed(study, nine_protocols.RECIPE),
        capped=closed(study, nine_protocols.CAPPED),
        centred=closed(study, nine_protocols.CENTRED),
        protocol_hours=hours(protocols.values()),
        protocol_trainings=sum(len(own.records) for own in protocols.values()),
        other_hours=hours([*others.values(), *networks.values()]),
        other_trainings=sum(len(other.records) for other in (*others.values(), *networks.values())),
        glance=nine_protocols.glance(protocols),
        counts=nine_protocols.counts(protocols),
        in_words=words_of(protocols, nine_protocols.RECIPE),
        capped_in_words=words_of(protocols, nine_protocols.CAPPED),
        centred_in_words=words_of(protocols, nine_protocols.CENTRED),
        others={name: splits(other) for name, other in others.items()},
        long=others["long"].estimates("psnr", "unseen")["dil_sf"].mean if "long" in others else None,
        long_fall=fall(others["long"])["dil_sf"] if "long" in others else None,
        breaks=regime_networks.breaks(networks),
        falls={name: fall(other) for name, other in networks.items()},
        gaps={name: other.gap for name, other in networks.items()},
        first_seed=unseen_of_first_seed(STUDY),
        best_held_out=max(study.rivals, key=lambda entry: study.estimates("psnr", "held-out")[entry].mean),
    )


def words_of(protocols: dict[str, StudySummary], entry: str) -> dict[str, str]:
    """By protocol, what an entry has above ERM on unseen levels."""
    return {name: nine_protocols.in_words(own, entry) for name, own in protocols.items()}


def hours(studies: Iterable[StudySummary]) -> float:
    """Hours of the trainings of studies."""
    return sum(record.seconds for study in studies for record in study.records) / 3600


def splits(study: StudySummary) -> str:
    """The table of a further study: the splits, and what is closed of its own gap."""
    unseen = study.estimates("psnr", "unseen")
    order = sorted(study.methods, key=lambda entry: -unseen[entry].mean)
    return markdown(order, [*split_columns(study, "psnr"), *gap_columns(study), *difference_columns(study)])


def unseen_of_first_seed(folder: Path) -> dict[str, float]:
    """Mean PSNR on unseen levels of each method on the study's own backbone, seed 0, dB."""
    backbone = load_config(folder / "config.yaml")["backbone"]
    rows = [row for row in read_results(folder / RESULT_ROWS) if (row.seed, row.split) == (0, "unseen")]
    own = grouped([row for row in rows if row.backbone == backbone], lambda row: row.method)
    return {method: fmean(row.psnr for row in theirs) for method, theirs in own.items()}


START, END = "<!-- generated: regime -->", "<!-- end -->"

README = Path(__file__).parents[1] / "README.md"
FIRST = {
    BASELINE: "ERM: plain training",
    "dil_sf": "DIL_sf, the method of the paper",
    FREE: "ERM, network without biases",
    UNIT: "ERM, network that is shown every noise at one strength (`unit_noise:`)",
    CEILING: "*ceiling*: saw σ 25 to 50 too",
}
"""Entries of the README's table, by their titles there."""


def first_table(study: StudySummary) -> str:
    """The table of the README: PSNR of some entries on the seen levels and at each unseen one."""
    unseen = study.levels_in("unseen")
    where: list[Split | Level] = ["seen", *unseen]
    rows = [
        [title, *(f"{study.estimates('psnr', column)[entry].mean:.2f}" for column in where)]
        for entry, title in FIRST.items()
        if entry in study.methods
    ]
    return table(["PSNR, dB", "σ 5 to 20, seen", *(f"σ {level.degree:g}" for level in unseen)], rows)


def with_table(readme: str, made: str) -> str:
    """The README with its table made anew."""
    before, start, rest = readme.partition(f"{START}\n\n")
    _, end, after = rest.partition(f"\n\n{END}")
    return f"{before}{start}{made}{end}{after}"


def closed(study: StudySummary, entry: str) -> dict[str, object]:
    """What an entry closes at each unseen level, and what it gains on seen ones, dB; empty without."""
    if entry not in study.methods:
        return {}
    shares = [percent(study.gap_at(level)[entry]) for level in study.levels_in("unseen")]
    return {"shares": shares, "seen": -study.seen_cost[entry].mean}


def broken(study: StudySummary) -> float:
    """How far ERM stands below the ceiling on the strongest unseen level, dB."""
    strongest = study.estimates("psnr", study.levels_in("unseen")[-1])
    return strongest[CEILING].mean - strongest[BASELINE].mean


# ----------------------------------------------------------------------------------------------------- the figures


def draw(study: StudySummary) -> None:
    """Write the three figures."""
    FIGURES.mkdir(exist_ok=True)
    shown = {name: study.trajectories[name] for name in COLLAPSE if name in study.trajectories}
    write_trajectory_figure(FIGURES / "collapse.svg", shown, COLLAPSE)
    for name, figure in (("severity", severity(study)), ("diagnoses", diagnoses(study))):
        write_figure(FIGURES / f"{name}.svg", figure)


def severity(study: StudySummary) -> Figure:
    """PSNR above that of ERM, by σ; the seen range shaded.

    Above the mean of all of ERM's seeds, which lie a decibel apart: lines of other numbers of seeds stay comparable.
    """
    figure = Figure(figsize=(6.4, 3.6))
    axes = figure.subplots()
    degrees = [float(level.degree) for level in study.levels]
    means = [study.estimates("psnr", level) for level in study.levels]
    for colour, (entry, title) in zip(COLOURS, SEVERITY.items(), strict=True):
        if entry in study.methods:
            values = [one[entry].mean - one[BASELINE].mean for one in means]
            axes.plot(degrees, values, "--" if entry == CEILING else "-", color=colour, marker="o", ms=3, label=title)
    seen = [float(level.degree) for level in study.levels_in("seen")]
    axes.axvspan(min(seen), max(seen), color="#e9eff6", zorder=0)
    axes.set_xlabel("σ of the noise (shaded: seen in training)")
    axes.set_ylabel("PSNR above the mean of ERM (dB)")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def diagnoses(study: StudySummary) -> Figure:
    """What is diagnosed along the training, mean over seeds, a panel each."""
    figure = Figure(figsize=(8.4, 5.4), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(2, 2).ravel().tolist()
    for axes, (key, title) in zip(panels, regime_diagnoses.DIAGNOSES.items(), strict=True):
        for colour, (entry, words) in zip(COLOURS, EXPLAINED.items(), strict=False):
            if entry not in study.methods:
                continue
            evaluations, values = diagnosed(study, entry, key)
            axes.plot(evaluations, values, color=colour, linewidth=1.2, label=words)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("gradient evaluations")
        if key == "gradient_curvature":
            axes.set_yscale("log")
    panels[2].legend(frameon=False, fontsize=9, loc="lower right", ncols=2)
    return figure


def diagnosed(study: StudySummary, entry: str, key: str) -> tuple[list[float], list[float]]:
    """Evaluations and values of one diagnosis of an entry, means over seeds and over ten neighbouring diagnoses."""
    records = [record for record in study.records if record.method == entry]
    count = min((len(record.diagnoses) for record in records), default=0)
    width = max(1, count // 10)
    points = []
    for first in range(0, count - width + 1, width):
        lines = [line for record in records for line in record.diagnoses[first : first + width]]
        points.append(
            (
                fmean(regime_diagnoses.diagnosed(line["evaluations"]) for line in lines),
                fmean(regime_diagnoses.diagnosed(line[key]) for line in lines),
            )
        )
    return [x for x, _ in points], [y for _, y in points]


def main() -> None:
    study, protocols = read_study(STUDY), nine_protocols.read_studies()
    draw(study)
    nine_protocols.draw(protocols, FIGURES / "protocols.svg")
    write_text(PAGE, page(study, protocols, read_others(), regime_networks.read_studies()))
    write_text(README, with_table(README.read_text(encoding="utf-8"), first_table(study)))
    print(PAGE)


if __name__ == "__main__":
    main()
