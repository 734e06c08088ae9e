"""A study's summary as files: CSV for programs, LaTeX for papers, Markdown for reading."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, get_args

from ...core.atomic import write_text
from ...core.statistics import Estimate
from ...evaluation.results import ImageResult
from ...protocols.levels import Level, Split
from ..entry_names import SEPARATOR
from ..entry_results import Measure
from ..runs import RunRecord
from ..summary import Difference, StudySummary
from .columns import (
    behaviour_columns,
    behaviour_title,
    by_level,
    cost_columns,
    difference_columns,
    gap_columns,
    gap_level_columns,
    level_columns,
    split_columns,
    worst_columns,
)
from .notes import comparison, conditions, intervals, oracle, study_notes, warning
from .table import Cell, escaped, markdown

SUMMARY = "summary"

MEASURES: tuple[Measure, ...] = get_args(Measure)

Plain: TypeAlias = str | int | float | None

Columns: TypeAlias = Mapping[str, Mapping[str, Plain]]
"""By heading and line."""

TEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "∞": r"$\infty$", "−": "$-$", "<": "$<$", ">": "$>$", "σ": r"$\sigma$"},
}


def write_summary(folder: Path, study: StudySummary) -> None:
    """Write summary.csv, summary.tex and summary.md into a folder. Raises UserError where it cannot be written."""
    for suffix, text in {"csv": csv_table(study), "tex": tex_table(study), "md": markdown_tables(study)}.items():
        write_text(folder / f"{SUMMARY}.{suffix}", text)


def csv_table(study: StudySummary) -> str:
    """A line for every line of the tables, the input's too; numbers as they are, empty where undefined.

    PSNR, its differences and half-widths of 95 % intervals are in dB, shares between 0 and 1, times in seconds, memory
    in MiB. What is true of the whole study stands in every line, so that files can be put one below the other.
    """
    columns = {**_conditions(study), **_quality(study), **_behaviour(study)}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_plain(column.get(name)) for column in columns.values()] for name in study.entries)
    return file.getvalue()


def _conditions(study: StudySummary) -> Columns:
    """What was compared, and how."""
    same: dict[str, Plain] = {
        "protocol": study.protocol,
        "convention": study.rows[0].convention,
        "budget": study.budget,
        "select": study.select,
        "tuned": study.tuned,
        "images": study.images,
    }
    return {
        **{heading: dict.fromkeys(study.entries, value) for heading, value in same.items()},
        "line": {name: name for name in study.entries},
        "method": {name: name.partition(SEPARATOR)[0] for name in study.methods},
        "backbone": study.backbones,
        "seeds": study.seeds,
    }


def _quality(study: StudySummary) -> Columns:
    """PSNR, SSIM and gap closed, by split and by level."""
    found: dict[str, Mapping[str, Plain]] = {}
    places: dict[str, Split | Level] = {split: split for split in study.splits}
    places |= {f"{level.split} {level.distortion} {level.degree_text}": level for level in study.levels}
    for words, where in places.items():
        for measure in MEASURES:
            found |= _estimates(f"{measure} {words}", study.estimates(measure, where))
        if isinstance(where, tuple) and where[0] == "unseen":
            found[f"gap closed {words}"] = study.gap_at(where)
    worst = {name: level for name, (level, _) in study.worst.items()}
    for measure in MEASURES:
        at = {level: study.estimates(measure, level) for level in worst.values()}
        found |= _estimates(f"{measure} worst unseen", {name: at[level][name] for name, level in worst.items()})
    found["worst unseen"] = {name: f"{level.distortion} {level.degree_text}" for name, level in worst.items()}
    return {**found, "gap closed": study.gap}


def _behaviour(study: StudySummary) -> Columns:
    """Differences from ERM, and what methods cost."""
    found = {**_differences("erm", study.differences)}
    found |= _differences("erm on the same backbone", study.differences_there)
    found |= _estimates("seen cost", study.seen_cost)
    for split in study.splits:
        found[f"harm {split}"] = {name: shares[split] for name, shares in study.harm.items()}
    found |= _estimates("invariance", study.invariance)
    for field in ("evaluations", "steps", "seconds", "memory"):
        found[field] = {name: getattr(cost, field) for name, cost in study.costs.items()}
    return found


def _estimates(words: str, found: Mapping[str, Estimate]) -> dict[str, Mapping[str, Plain]]:
    return {
        words: {name: estimate.mean for name, estimate in found.items()},
        f"{words} ±": {name: estimate.spread for name, estimate in found.items()},
    }


def _differences(reference: str, found: Mapping[str, Difference]) -> dict[str, Mapping[str, Plain]]:
    figures = {"": "mean", " low": "low", " high": "high", " p": "p", " p corrected": "corrected"}
    return {
        f"from {reference}{words}": {name: getattr(difference, field) for name, difference in found.items()}
        for words, field in figures.items()
    }


def _plain(value: Plain) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def tex_table(study: StudySummary) -> str:
    """A table for LaTeX with the package booktabs, the best competitor bold; the caption says how it was made."""
    columns = [
        *split_columns(study, "psnr"),
        *worst_columns(study, "psnr"),
        *gap_columns(study),
        *difference_columns(study),
    ]
    about = f"Protocol {study.protocol}: PSNR (dB), {study.images} test images."
    caption = [*oracle(study), about, conditions(study), *intervals(study), *comparison(study)]
    headings = [["", *(column.heading for column in columns)], ["method", *(column.under for column in columns)]]
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{tex(' '.join(caption))}}}",
        f"\\label{{tab:{re.sub(r'[^A-Za-z0-9-]+', '-', study.protocol)}}}",
        f"\\begin{{tabular}}{{l{'r' * len(columns)}}}",
        "\\toprule",
        *(_tex_row([tex(heading) for heading in row]) for row in headings),
        "\\midrule",
        *(_tex_row([tex(name), *(_tex_cell(column.cells[name]) for column in columns)]) for name in study.entries),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _tex_cell(cell: Cell) -> str:
    return rf"\textbf{{{tex(cell.text)}}}" if cell.best else tex(cell.text)


def tex(text: str) -> str:
    """Text for LaTeX: its special characters escaped, signs as mathematics, line breaks as spaces."""
    return "".join(TEX.get(character, character) for character in " ".join(text.split()))


def markdown_table(rows: Sequence[ImageResult], records: Sequence[RunRecord] = ()) -> str:
    """`markdown_tables` of the study of these rows. Raises UserError where `check_comparable` does."""
    return markdown_tables(StudySummary(rows, records))


def markdown_tables(study: StudySummary) -> str:
    """The same tables as Markdown, each after its caption, remarks at the end; ends in a newline."""
    captioned = {
        "Mean by split": [
            *split_columns(study, "psnr"),
            *worst_columns(study, "psnr"),
            *split_columns(study, "ssim"),
            *worst_columns(study, "ssim"),
            *gap_columns(study),
        ],
        behaviour_title(study): [*difference_columns(study), *behaviour_columns(study), *cost_columns(study)],
        by_level(study, "psnr"): level_columns(study, "psnr"),
        by_level(study, "ssim"): level_columns(study, "ssim"),
        "Gap closed by unseen level": gap_level_columns(study),
    }
    parts = []
    for caption, columns in captioned.items():
        if columns:
            parts += [f"**{escaped(caption + warning(study))}**", markdown(study.entries, columns)]
    return "\n\n".join([*parts, " ".join(map(escaped, study_notes(study)))]) + "\n"
