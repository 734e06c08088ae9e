"""The tables of a study for a terminal and in Markdown, and those of what others reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...evaluation.results import ImageResult
from ..entry_names import INPUT, is_ceiling
from ..runs import RunRecord
from ..summary import StudySummary
from .columns import (
    behaviour_columns,
    behaviour_title,
    level_table_title,
    cost_columns,
    difference_columns,
    gap_columns,
    level_columns,
    split_columns,
    worst_columns,
)
from .notes import styled_note, study_notes, warning
from .table import NARROW, Column


def free_width(width: int, label: int) -> int:
    """Characters for columns, in a terminal of a width, beside labels."""
    return width - label - 3


def total_width(columns: Iterable[Column]) -> int:
    """Characters that columns take with what is between them."""
    return sum(column.width + 2 for column in columns)


def pack_columns(groups: Iterable[list[Column]], free: int) -> list[list[Column]]:
    """Groups of columns in as few tables as `free` characters allow, in order."""
    tables: list[list[Column]] = []
    left = 0
    for group in groups:
        if not tables or total_width(group) > left:
            tables.append([])
            left = free
        tables[-1] += group
        left -= total_width(group)
    return tables


def text_table(title: str, lines: Sequence[str], columns: Sequence[Column], label: int) -> Table:
    """A table for a terminal, its labels folded to `label` characters."""
    # Text and not str everywhere: rich would read markup into a method named "[b]".
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("method", overflow="fold", width=label)
    for column in columns:
        table.add_column(Text("\n".join(column.headings)), justify="right", no_wrap=True)
    for name in lines:
        style = "dim" if name == INPUT else "italic" if is_ceiling(name) else ""
        cells = [column.cell(name) for column in columns]
        numbers = [Text(cell.text, style="bold green" if cell.best else style) for cell in cells]
        table.add_row(Text(short_name(name), style=style), *numbers)
    return table


def short_name(name: str) -> str:
    """A line's label where there is little room."""
    return name.partition(" (")[0] if name == INPUT else name


def print_table(rows: Sequence[ImageResult], console: Console, records: Sequence[RunRecord] = ()) -> None:
    """Print `text_tables` at the console's width, and beneath them how to read them.

    Raises UserError where `check_comparable` does.
    """
    study = StudySummary(rows, records)
    for table in text_tables(study, console.width):
        console.print(table)
    for remark in study_notes(study):
        console.print(styled_note(remark))


def text_tables(study: StudySummary, width: int) -> list[Table]:
    """Tables for a terminal `width` characters wide, the main one first; spreads where there is room for them.

    Columns that do not fit go to a further table.
    """
    main = [*split_columns(study, "psnr"), *worst_columns(study, "psnr"), *gap_columns(study)]
    longest = max(cell_len(short_name(name)) for name in study.entries)
    label = max(NARROW, min(longest, free_width(width, total_width(main))))
    free = free_width(width, label)
    differences, behaviour = difference_columns(study), [column.bare for column in behaviour_columns(study)]
    ssim, levels = [column.bare for column in split_columns(study, "ssim")], level_columns(study, "psnr")
    if total_width(levels) > free:
        levels = [column.bare for column in levels]
    # A difference and its p stay together.
    against = [differences[:2], *([column] for column in behaviour), differences[2:]]
    groups = {
        "PSNR by split": [[column] for column in main],
        behaviour_title(study): against,
        f"SSIM by split{', and cost of training' * bool(study.costs)}": [ssim, cost_columns(study)],
        level_table_title(study, "psnr"): [[column] for column in levels],
    }
    tables = []
    for title, columns in groups.items():
        for i, together in enumerate(pack_columns(filter(None, columns), free)):
            heading = f"{title}{', continued' * (i > 0)}{warning(study)}"
            tables.append(text_table(heading, study.entries, together, label))
    return tables
