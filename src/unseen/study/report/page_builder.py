"""Compute the content of a study's page, before any template runs.

Importing this module loads matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from ...core.statistics import Estimate
from ...protocols.levels import Level
from ...protocols.protocol import Reported
from ..entry_names import BASELINE, CEILING, INPUT, SEPARATOR, is_ceiling
from ..summary import StudySummary
from ..tuning import Trial
from . import columns, notes
from .appendix import curve_table, excerpt_table, final_table, trajectory_table, trial_table
from .charts import bar_charts, degree_charts
from .curves import OUTCOMES, Curves, curves_of, diagnostic_charts, diagnostics_of, learning_charts
from .drawing import LineStyles, legend, line_styles
from .gallery import GalleryPicture, gallery
from .page_content import (
    EntryTable,
    GallerySection,
    GapSection,
    HeadlineTable,
    Legend,
    LegendEntry,
    PageContent,
    RowHead,
    SeveritySection,
    TrainingSection,
)
from .trajectory_charts import trajectory_charts

ONE_SEED_MOVES = 0.5
"""dB that another seed may move a mean of a short training; below it, one seed settles nothing."""

LEGIBLE = 8
"""The number of lines that a chart shows at first, without a choice among them."""


def build_page(
    study: StudySummary,
    pictures: Sequence[GalleryPicture],
    *,
    title: str,
    command: str,
    machine: str,
    paragraphs: Sequence[str],
    trials: Sequence[Trial],
    reported: Sequence[Reported],
    definitions: Mapping[Level, str],
) -> PageContent:
    """Compute the page of a study; `html_page.write_report` says what the arguments are."""
    styles = line_styles(study.entries)
    warning = " ".join(notes.oracle(study))
    return PageContent(
        title=title,
        warning=warning,
        result=result_sentence(study),
        facts=_facts(study),
        groups=[styles[entry].group for entry in study.entries],
        headline=_headline(study),
        behaviour=_behaviour(study),
        table_notes=[note for note in notes.study_notes(study) if note != warning],
        notes=paragraphs,
        severity=_severity(study, styles, definitions),
        gap=_gap(study, styles),
        gallery=_gallery(study, pictures),
        training=_training(study, styles),
        trials=trial_table(trials) if trials else None,
        reported=reported,
        command=command,
        provenance=_provenance(study, machine),
    )


def result_sentence(study: StudySummary) -> str:
    """Say in one sentence what was reached on unseen levels, in numbers only: what they mean is for the notes."""
    if "unseen" not in study.splits:
        return ""
    psnr = study.estimates("psnr", "unseen")
    rivals = [name for name in study.rivals if math.isfinite(psnr[name].mean)]
    if not rivals:
        return ""
    best, *others = sorted(rivals, key=lambda name: -psnr[name].mean)
    rest = f"; the next method reaches {psnr[others[0]].mean:.2f} dB" if others else ""
    if others and _within_chance(psnr[best], psnr[others[0]]):
        rest += ", too near to tell apart"
    reached, distorted = (" ".join(filter(None, columns.estimate_text(psnr[name]))) for name in (best, INPUT))
    return (
        f"On levels never seen in training, {best} restores to {reached} dB on average{rest}. "
        f"The distorted input stands at {distorted} dB."
    )


def _within_chance(best: Estimate, next_best: Estimate) -> bool:
    """Whether two means are nearer than their spreads; without spreads, than what seeds are known to move."""
    spreads = [e.spread for e in (best, next_best) if e.spread is not None]
    return best.mean - next_best.mean < (sum(spreads) if spreads else ONE_SEED_MOVES)


def shown_first(study: StudySummary) -> set[str]:
    """The entries that the charts show to begin with: all, if these are few.

    Else the input, the three best by their mean on unseen levels, and on the study's own backbone ERM, the ceiling
    and the family of DIL.
    """
    if len(study.entries) <= LEGIBLE:
        return set(study.entries)
    psnr = study.estimates("psnr", "unseen" if "unseen" in study.splits else study.splits[-1])
    best = sorted(study.rivals, key=lambda name: -psnr[name].mean if math.isfinite(psnr[name].mean) else 0)[:3]
    fixed = {name for name in study.methods if name in (BASELINE, CEILING) or name.startswith("dil")}
    return {INPUT, *best, *(name for name in fixed if SEPARATOR not in name)}


def _seeds(study: StudySummary) -> list[int]:
    return sorted({result.seed for result in study.results})


def _backbones(study: StudySummary) -> list[str]:
    return list(dict.fromkeys(study.backbones.values()))


def _facts(study: StudySummary) -> list[tuple[str, str]]:
    backbones = len(_backbones(study))
    datasets = ", ".join(dict.fromkeys(result.dataset for result in study.results))
    return [
        ("protocol", study.protocol),
        ("test images", f"{study.images} ({datasets})"),
        ("methods", f"{len(study.methods)}{f', on {backbones} backbones' if backbones > 1 else ''}"),
        ("seeds", str(len(_seeds(study)))),
        ("budget", f"{study.budget} each"),
    ]


def _provenance(study: StudySummary, machine: str) -> list[tuple[str, str]]:
    return [
        ("machine", machine),
        ("seeds", ", ".join(map(str, _seeds(study)))),
        ("budget", f"{study.budget} a training"),
        ("weights kept", notes.selection(study)),
        ("settings", notes.tuning(study)),
        ("protocol", f"{study.protocol}, {study.results[0].protocol_hash}"),
        ("metric convention", study.results[0].convention),
        ("backbones", "; ".join(_backbones(study))),
        ("runs", ", ".join(dict.fromkeys(result.run for result in study.results))),
        ("results", f"{len(study.results)} rows, one an image, level, method and seed"),
    ]


def _headline(study: StudySummary) -> HeadlineTable:
    psnr, ssim = (
        columns.split_columns(study, measure) + columns.worst_columns(study, measure) for measure in columns.MEASURES
    )
    gap = columns.gap_columns(study)
    return HeadlineTable(
        warning=notes.warning(study),
        quality_headings=[column.heading for column in psnr],
        split_headings=list(study.splits),
        share_headings=[f"{column.heading} {column.under}" for column in gap],
        rows=[
            (
                RowHead.of(entry),
                [(p.cell(entry), s.cell(entry)) for p, s in zip(psnr, ssim, strict=True)],
                [column.cell(entry) for column in gap],
            )
            for entry in study.entries
        ],
    )


def _behaviour(study: StudySummary) -> EntryTable | None:
    shown = [
        *columns.difference_columns(study),
        *columns.at_equal_columns(study),
        *columns.behaviour_columns(study),
    ]
    name = "Against ERM, and what a gain may cost" if study.differences else "Harm and invariance"
    return EntryTable.of(study.entries, name, shown, notes.warning(study)) if shown else None


def _severity(study: StudySummary, styles: LineStyles, definitions: Mapping[Level, str]) -> SeveritySection:
    return SeveritySection(
        legend=_legend("ks", study.entries, study, styles, study.splits),
        charts=degree_charts(study, styles),
        definitions=[(level, text) for level, text in definitions.items() if level in study.levels],
        split_spans=[(split, len(list(run))) for split, run in groupby(level.split for level in study.levels)],
        tables=[
            EntryTable.of(
                study.entries,
                columns.level_table_title(study, measure),
                columns.level_columns(study, measure),
                notes.warning(study),
            )
            for measure in columns.MEASURES
        ],
    )


def _legend(
    prefix: str, entries: Sequence[str], study: StudySummary, styles: LineStyles, splits: Sequence[str]
) -> Legend:
    """A legend of these entries; `prefix` keeps the ids of its keys apart from those of other legends."""
    keys, shown = legend(styles), shown_first(study)
    boxes = [
        LegendEntry(
            name=entry,
            note=notes.CEILING_NOTE if is_ceiling(entry) else "",
            group=styles[entry].group,
            key=keys[entry].replace("k-line-", f"{prefix}-line-"),
            shown=entry in shown,
        )
        for entry in entries
    ]
    return Legend(boxes, many=len(entries) > LEGIBLE, some_hidden=len(shown) < len(styles), splits=splits)


def _gap(study: StudySummary, styles: LineStyles) -> GapSection | None:
    charts = bar_charts(study, styles)
    if not charts and not study.gap_undefined:
        return None
    shown = columns.gap_level_columns(study)
    table = EntryTable.of(study.entries, "Gap closed by unseen level", shown, notes.warning(study)) if shown else None
    return GapSection(study.gap_undefined, bool(study.gap), charts, table)


def _gallery(study: StudySummary, pictures: Sequence[GalleryPicture]) -> GallerySection | None:
    shown = gallery(study, pictures)
    return GallerySection(shown.index, shown.quality, excerpt_table(shown)) if shown else None


def _training(study: StudySummary, styles: LineStyles) -> TrainingSection | None:
    learnt = {name: curves for name, curves in curves_of(study.records, "curve").items() if name in OUTCOMES}
    diagnostics = diagnostics_of(study.records)
    costs, trajectories = columns.cost_columns(study), study.trajectories
    if not (learnt or diagnostics or costs or trajectories):
        return None
    outcome: dict[str, Curves] = {name: curves for name, curves in learnt.items() if name == "held_out_psnr"}
    return TrainingSection(
        legend=_legend("kt", study.methods, study, styles, []) if learnt or diagnostics or trajectories else None,
        charts=learning_charts(learnt, styles),
        points=curve_table(learnt, "Validation through training, mean over seeds") if learnt else None,
        trajectories=trajectory_charts(trajectories, styles) if trajectories else [],
        trajectory_points=trajectory_table(trajectories) if trajectories else None,
        costs=EntryTable.of(study.methods, "Cost of a training, mean over seeds", costs) if costs else None,
        diagnostic_charts=diagnostic_charts(outcome | diagnostics, styles) if diagnostics else [],
        diagnostic_tables=[
            final_table(study, diagnostics),
            curve_table(diagnostics, "Diagnostics through training, mean over seeds"),
        ]
        if diagnostics
        else [],
    )
