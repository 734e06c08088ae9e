"""A study's summary as files: CSV for programs, LaTeX for papers, Markdown for reading."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

from ...core.atomic import write_text
from ...core.terminal import harmless
from ..summary import StudySummary
from .columns import (
    at_equal_columns,
    behaviour_columns,
    behaviour_title,
    cost_columns,
    difference_columns,
    every_column,
    gap_columns,
    gap_level_columns,
    level_columns,
    level_table_title,
    split_columns,
    worst_columns,
)
from .notes import comparison, conditions, intervals, oracle, study_notes, warning
from .table import EXPORTED, Cell, Plain, escaped, markdown

SUMMARY = "summary"

TEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "∞": r"$\infty$", "−": "$-$", "<": "$<$", ">": "$>$", "σ": r"$\sigma$"},
}

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""The beginnings of text that a spreadsheet computes instead of showing; an apostrophe before them prevents that."""


def write_summary(folder: Path, study: StudySummary) -> None:
    """Write summary.csv, summary.tex and summary.md into a folder.

    Raises:
        UserError: if the folder cannot be written.
    """
    for suffix, text in {"csv": csv_table(study), "tex": tex_table(study), "md": markdown_tables(study)}.items():
        write_text(folder / f"{SUMMARY}.{suffix}", text)


def csv_table(study: StudySummary) -> str:
    """Write one CSV row per entry and one for the distorted input: unrounded numbers, empty where undefined.

    PSNR, its differences and half-widths of 95 % intervals are in dB, shares between 0 and 1, times in seconds, memory
    in MiB.
    """
    by_heading = {name: values for column in every_column(study) for name, values in column.numbers().items()}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(_csv_cell, by_heading))
    writer.writerows([_csv_cell(values.get(name)) for values in by_heading.values()] for name in study.entries)
    return file.getvalue()


def _csv_cell(value: Plain) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        lines = "\n".join(harmless(line, EXPORTED) for line in value.split("\n"))
        return f"'{lines}" if value.startswith(FORMULA) else lines
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def tex_table(study: StudySummary) -> str:
    """Write a LaTeX table for the package booktabs, the best values bold; its caption says how the study was made."""
    columns = [
        *split_columns(study, "psnr"),
        *worst_columns(study, "psnr"),
        *gap_columns(study),
        *difference_columns(study),
        *at_equal_columns(study),
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
        *(_tex_row([tex(name), *(_tex_cell(column.cell(name)) for column in columns)]) for name in study.entries),
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
    """Escape text for LaTeX: special characters, signs as mathematics, line breaks as spaces, controls by code."""
    return "".join(TEX.get(character, character) for character in harmless(" ".join(text.split()), EXPORTED))


def markdown_tables(study: StudySummary) -> str:
    """Write the tables of a study in Markdown, each after its caption, notes at the end; ends in a newline."""
    captioned = {
        "Mean by split": [
            *split_columns(study, "psnr"),
            *worst_columns(study, "psnr"),
            *split_columns(study, "ssim"),
            *worst_columns(study, "ssim"),
            *gap_columns(study),
        ],
        behaviour_title(study): [
            *difference_columns(study),
            *at_equal_columns(study),
            *behaviour_columns(study),
            *cost_columns(study),
        ],
        level_table_title(study, "psnr"): level_columns(study, "psnr"),
        level_table_title(study, "ssim"): level_columns(study, "ssim"),
        "Gap closed by unseen level": gap_level_columns(study),
    }
    sections = []
    for caption, columns in captioned.items():
        if columns:
            sections += [f"**{escaped(caption + warning(study))}**", markdown(study.entries, columns)]
    return "\n\n".join([*sections, " ".join(map(escaped, study_notes(study)))]) + "\n"
