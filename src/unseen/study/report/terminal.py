"""The tables of a study for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from ...core.console import Console, styled
from ...evaluation.results import ImageResult
from ..entry_names import INPUT, is_ceiling
from ..runs import RunRecord
from ..summary import StudySummary
from .columns import (
    at_equal_columns,
    behaviour_columns,
    behaviour_title,
    cost_columns,
    difference_columns,
    gap_columns,
    level_columns,
    level_table_title,
    split_columns,
    worst_columns,
)
from .notes import study_notes, styled_note, warning
from .table import NARROW, Column


def free_width(width: int, names_width: int) -> int:
    """Characters for columns in a terminal `width` characters wide, beside a first column of names."""
    return width - names_width - 3


def total_width(columns: Iterable[Column]) -> int:
    """Characters that columns take, with the space between them."""
    return sum(column.width + 2 for column in columns)


def pack_columns(groups: Iterable[list[Column]], free: int) -> list[list[Column]]:
    """Distribute groups of columns over as few tables as `free` characters allow, in order."""
    tables: list[list[Column]] = []
    left = 0
    for group in groups:
        if not tables or total_width(group) > left:
            tables.append([])
            left = free
        tables[-1] += group
        left -= total_width(group)
    return tables


def text_table(title: str, entries: Sequence[str], columns: Sequence[Column], names_width: int) -> Table:
    """Lay out a table for a terminal, the entries' names folded to `names_width` characters."""
    table = Table(title=styled(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("method", overflow="fold", width=names_width)
    for column in columns:
        table.add_column(Text("\n").join(map(styled, column.headings)), justify="right", no_wrap=True)
    for name in entries:
        style = "dim" if name == INPUT else "italic" if is_ceiling(name) else ""
        cells = [column.cell(name) for column in columns]
        numbers = [styled(cell.text, "bold green" if cell.best else style) for cell in cells]
        table.add_row(styled(short_name(name), style), *numbers)
    return table


def short_name(entry: str) -> str:
    """The name of an entry without the explanation in brackets that the input's has."""
    return entry.partition(" (")[0] if entry == INPUT else entry


def print_table(results: Sequence[ImageResult], console: Console, records: Sequence[RunRecord] = ()) -> None:
    """Print `text_tables` at the console's width, and beneath them how to read them.

    Args:
        results: the results of one study.
        console: the console to print on.
        records: run records of its trainings, as far as they exist.

    Raises:
        UserError: where `check_comparable` does.
    """
    study = StudySummary(results, records)
    for table in text_tables(study, console.width):
        console.print(table)
    for note in study_notes(study):
        console.print(styled_note(note))


def text_tables(study: StudySummary, width: int) -> list[Table]:
    """Lay out a study for a terminal `width` characters wide, the main table first.

    Columns that do not fit go to a further table; intervals are shown where there is room for them.
    """
    main = [*split_columns(study, "psnr"), *worst_columns(study, "psnr"), *gap_columns(study)]
    longest = max(cell_len(short_name(name)) for name in study.entries)
    names_width = max(NARROW, min(longest, free_width(width, total_width(main))))
    free = free_width(width, names_width)
    differences, behaviour = difference_columns(study), [column.bare for column in behaviour_columns(study)]
    ssim, levels = [column.bare for column in split_columns(study, "ssim")], level_columns(study, "psnr")
    if total_width(levels) > free:
        levels = [column.bare for column in levels]
    # A difference and its p stay together.
    against = [differences[:2], *([column] for column in [*at_equal_columns(study), *behaviour]), differences[2:]]
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
            tables.append(text_table(heading, study.entries, together, names_width))
    return tables
