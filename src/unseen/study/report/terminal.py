"""The tables of a study for a terminal and in Markdown, and those of what others reported."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...evaluation.results import Row
from ..runs import Record
from ..summary import BASELINE, Study
from .columns import (
    DECIMALS,
    UNITS,
    behaviour_columns,
    by_level,
    cell,
    cost_columns,
    degree_of,
    difference_columns,
    duration,
    gap_columns,
    gap_level_columns,
    level_columns,
    level_name,
    split_columns,
    winners,
    worst_columns,
)
from .notes import CEILING_NOTE, in_style, remarks, warning
from .table import NARROW, escaped, markdown, needed, packed, room, short, text_table

if TYPE_CHECKING:  # protocols know distortions, and these know torch
    from ...protocols.protocol import Protocol, Reported

# What the page draws on.
__all__ = [
    "CEILING_NOTE",
    "DECIMALS",
    "UNITS",
    "behaviour_columns",
    "by_level",
    "cell",
    "cost_columns",
    "degree_of",
    "difference_columns",
    "duration",
    "gap_columns",
    "gap_level_columns",
    "level_columns",
    "level_name",
    "markdown_table",
    "markdown_tables",
    "print_protocol",
    "print_reported_tables",
    "print_table",
    "remarks",
    "split_columns",
    "text_tables",
    "winners",
]


def print_table(rows: Sequence[Row], console: Console, records: Sequence[Record] = ()) -> None:
    """Print `text_tables` at the console's width, and beneath them how to read them.

    Raises UserError where `check_comparable` does.
    """
    study = Study(rows, records)
    for table in text_tables(study, console.width):
        console.print(table)
    for remark in remarks(study):
        console.print(in_style(remark))


def text_tables(study: Study, width: int) -> list[Table]:
    """Tables for a terminal `width` characters wide, the main one first; spreads where there is room for them.

    Columns that do not fit go to a further table.
    """
    main = [*split_columns(study, "psnr"), *worst_columns(study, "psnr"), *gap_columns(study)]
    longest = max(cell_len(short(name)) for name in study.lines)
    label = max(NARROW, min(longest, room(width, needed(main))))
    free = room(width, label)
    differences, behaviour = difference_columns(study), [column.bare for column in behaviour_columns(study)]
    ssim, levels = [column.bare for column in split_columns(study, "ssim")], level_columns(study, "psnr")
    if needed(levels) > free:
        levels = [column.bare for column in levels]
    # A difference and its p stay together.
    against = [differences[:2], *([column] for column in behaviour), differences[2:]]
    groups = {
        "PSNR by split": [[column] for column in main],
        _behaviour(study): against,
        f"SSIM by split{', and cost of training' * bool(study.costs)}": [ssim, cost_columns(study)],
        by_level(study, "psnr"): [[column] for column in levels],
    }
    tables = []
    for title, columns in groups.items():
        for i, together in enumerate(packed(filter(None, columns), free)):
            heading = f"{title}{', continued' * (i > 0)}{warning(study)}"
            tables.append(text_table(heading, study.lines, together, label))
    return tables


def _behaviour(study: Study) -> str:
    return "Against ERM" if BASELINE in study.methods else "Harm, invariance and cost"


def markdown_table(rows: Sequence[Row], records: Sequence[Record] = ()) -> str:
    """`markdown_tables` of the study of these rows. Raises UserError where `check_comparable` does."""
    return markdown_tables(Study(rows, records))


def markdown_tables(study: Study) -> str:
    """The same tables as Markdown, each after its caption, remarks at the end; ends in a newline."""
    captioned = {
        "Mean by split": [
            *split_columns(study, "psnr"),
            *worst_columns(study, "psnr"),
            *split_columns(study, "ssim"),
            *worst_columns(study, "ssim"),
            *gap_columns(study),
        ],
        _behaviour(study): [*difference_columns(study), *behaviour_columns(study), *cost_columns(study)],
        by_level(study, "psnr"): level_columns(study, "psnr"),
        by_level(study, "ssim"): level_columns(study, "ssim"),
        "Gap closed by unseen level": gap_level_columns(study),
    }
    parts = []
    for caption, columns in captioned.items():
        if columns:
            parts += [f"**{escaped(caption + warning(study))}**", markdown(study.lines, columns)]
    return "\n\n".join([*parts, " ".join(map(escaped, remarks(study)))]) + "\n"


def print_reported_tables(tables: Sequence[Reported], datasets: Collection[str], console: Console) -> None:
    """Print what others reported on the test sets that were used, each table by itself; of the rest, say so once."""
    for reported in tables:
        if rows := _rows_on(reported, datasets):
            console.print(_reported_table(reported, rows))
            console.print(Text(reported.source, style="dim"))
    elsewhere = dict.fromkeys(reported.source for reported in tables if not _rows_on(reported, datasets))
    if elsewhere:
        said = f"Reported on other test sets than these, so not beside these numbers: {'; '.join(elsewhere)}"
        console.print(Text(said, style="dim"))


def _rows_on(reported: Reported, datasets: Collection[str]) -> list[Sequence[str]]:
    names = {name.casefold() for name in datasets}
    return [row for row in reported.rows if names & {cell.casefold() for cell in row}]


def _reported_table(reported: Reported, rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=Text("Reported by the authors, other training scale"), title_justify="left", box=SIMPLE_HEAD)
    for column in reported.columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def print_protocol(protocol: Protocol, console: Console) -> None:
    """Print an experiment: its levels, how it is measured, what was chosen and why, and what was reported."""
    console.print(Text(f"{protocol.name}, version {protocol.version} ({protocol.hash()})", style="bold"))
    console.print(Text(protocol.about))
    levels = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for split, confounder in protocol.levels():
        levels.add_row(Text(split), Text(confounder.name))
    console.print(levels)
    convention = protocol.convention
    rounded = {"input": convention.round_input, "output": convention.round_output, "Y": convention.round_y}
    rounding = " and ".join(what for what, on in rounded.items() if on)
    measure = [
        "RGB" if convention.channels == "rgb" else "Y (BT.601, studio range)",
        f"{convention.border} border pixels left out" if convention.border else "whole images",
        f"{rounding} rounded to 8 bits" if rounding else "nothing rounded",
        f"restored at {protocol.scale} times the input's size" if protocol.scale > 1 else "",
    ]
    console.print(Text("measured: " + ", ".join(filter(None, measure))))
    for name in protocol.tests:
        folders = "INPUT_DIR:TARGET_DIR" if name in protocol.recorded() else "DIR"
        console.print(Text(f"test: --test {name}={folders}"))
    for confounder in protocol.seen + protocol.held_out:
        if confounder.kind == "pairs":
            console.print(Text(f"training: --pairs {confounder.degree}=INPUT_DIR:TARGET_DIR"))
    for note in protocol.notes:
        console.print(Text(f"- {note}"))
    for reported in protocol.reported:
        console.print(_reported_table(reported, reported.rows))
        console.print(Text(reported.source, style="dim"))
