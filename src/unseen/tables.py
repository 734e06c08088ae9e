"""The tables of a study: columns of numbers as text, and these for a terminal and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .rows import Level, Row, Split
from .summary import INPUT, Estimate, Measure, Study, is_ceiling

if TYPE_CHECKING:  # protocols know distortions, and these know torch
    from .protocols import Protocol, Reported

CEILING_NOTE = "trained on the unseen levels too"
DECIMALS: dict[Measure, int] = {"psnr": 2, "ssim": 3}
UNITS: dict[Measure, str] = {"psnr": "PSNR (dB)", "ssim": "SSIM"}


@dataclass(frozen=True)
class Cell:
    """A number as printed: its mean, and "±..." where a spread is known."""

    mean: str
    spread: str = ""
    best: bool = False

    @property
    def text(self) -> str:
        """Both in one."""
        return f"{self.mean} {self.spread}".rstrip()


@dataclass(frozen=True)
class Column:
    """A cell for every line of the table; `under` stands below the heading, which may have two lines."""

    heading: str
    under: str
    cells: dict[str, Cell]

    @property
    def width(self) -> int:
        """Characters that it takes in a terminal."""
        headings = [*self.heading.split("\n"), self.under]
        return max(map(cell_len, [*headings, *(cell.text for cell in self.cells.values())]))


def cell(estimate: Estimate, measure: Measure, best: bool = False) -> Cell:
    """The estimate with the decimals that its measure is printed with."""
    if math.isnan(estimate.mean):
        return Cell("n/a")
    if math.isinf(estimate.mean):
        return Cell("∞" if estimate.mean > 0 else "−∞", best=best)
    decimals = DECIMALS[measure]
    spread = "" if estimate.spread is None else f"±{estimate.spread:.{decimals}f}"
    return Cell(f"{estimate.mean:.{decimals}f}", spread, best)


def winners(values: Mapping[str, float], decimals: int) -> set[str]:
    """The best by the printed digits, all of them in a tie; ceiling apart, and nobody without a rival."""
    rivals = {
        name: round(value, decimals)
        for name, value in values.items()
        if name != INPUT and not is_ceiling(name) and not math.isnan(value)
    }
    return {name for name, value in rivals.items() if len(rivals) > 1 and value == max(rivals.values())}


def _column(study: Study, measure: Measure, where: Split | Level, heading: str, under: str) -> Column:
    estimates = study.estimates(measure, where)
    best = winners({name: estimate.mean for name, estimate in estimates.items()}, DECIMALS[measure])
    cells = {name: cell(estimate, measure, name in best) for name, estimate in estimates.items()}
    return Column(heading, under, cells)


def split_columns(study: Study, measure: Measure) -> list[Column]:
    """One column a split."""
    return [_column(study, measure, split, split, UNITS[measure]) for split in study.splits]


def level_columns(study: Study, measure: Measure) -> list[Column]:
    """One column a level; the heading names its distortion only where there are several."""
    name = degree_of if len(study.distortions) == 1 else level_name
    return [_column(study, measure, level, name(level), level[0]) for level in study.levels]


def gap_columns(study: Study) -> list[Column]:
    """The share of the gap to the ceiling, where there is one: a list of one column or none."""
    best = winners(study.gap, 2)
    cells = {name: Cell(f"{100 * share:.0f} %", best=name in best) for name, share in study.gap.items()}
    return [Column("gap", "closed", {name: Cell("") for name in study.lines} | cells)] if cells else []


def degree_of(level: Level) -> str:
    """The level's degree as a heading shows it."""
    return level[2] if isinstance(level[2], str) else f"{level[2]:g}"


def level_name(level: Level, between: str = "\n") -> str:
    """The level's distortion in plain words, and its degree."""
    return f"{level[1].replace('_', ' ')}{between}{degree_of(level)}"


def by_level(study: Study, measure: Measure) -> str:
    """The title of a table whose columns are levels."""
    alone = len(study.distortions) == 1
    of = f"degree of {study.distortions[0].replace('_', ' ')}" if alone else "level"
    return f"{UNITS[measure]} by {of}"


def remarks(study: Study) -> list[str]:
    """What a reader must know to read the tables, in whole sentences."""
    fewest, most = min(study.seeds.values()), max(study.seeds.values())
    listed = ", ".join(f"{method} {count}" for method, count in study.seeds.items())
    bounded = any(map(is_ceiling, study.methods))
    total = len(study.rows)
    infinite = sum(math.isinf(row.psnr) or math.isinf(row.input_psnr) for row in study.rows)
    unknown = sum(math.isnan(row.psnr) or math.isnan(row.ssim) for row in study.rows)
    said = {
        "One seed: no spread is known, and small differences may be chance.": most == 1,
        f"Mean ± standard deviation over {most} seeds.": fewest == most > 1,
        f"Mean ± standard deviation over seeds, of which there are: {listed}.": fewest < most,
        f"ceiling: {CEILING_NOTE}; it bounds the others and does not compete.": bounded,
        "Gap closed: (method − ERM) / (ceiling − ERM), of the mean PSNR on unseen levels.": study.gap,
        f"∞: {infinite} of {total} results are exact to the last digit, their PSNR is infinite, "
        "and so is every mean that they enter.": infinite,
        f"n/a: {unknown} of {total} results are not numbers, nor are means they enter.": unknown,
    }
    return [sentence for sentence, holds in said.items() if holds]


def print_table(rows: Sequence[Row], console: Console) -> None:
    """Print `text_tables` at the console's width, and beneath them how to read them.

    Raises UserError where `check_comparable` does.
    """
    study = Study(rows)
    for table in text_tables(study, console.width):
        console.print(table)
    for remark in remarks(study):
        console.print(Text(remark, style="dim"))


def print_reported(reported: Reported, datasets: Collection[str], console: Console) -> None:
    """Print what others reported for the test sets that were used, in a table of its own, or where it is to be read."""
    names = {name.casefold() for name in datasets}
    rows = [row for row in reported.rows if names & {cell.casefold() for cell in row}]
    if not rows:
        console.print(Text(f"Not comparable, and in the report only: {reported.source}", style="dim"))
        return
    console.print(_reported_table(reported, rows))
    console.print(Text(reported.source, style="dim"))


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


def text_tables(study: Study, width: int) -> list[Table]:
    """Tables for a terminal `width` characters wide: by split (PSNR, SSIM), then PSNR by level.

    Columns that do not fit go to a further table.
    """
    label = min(max(map(cell_len, study.lines)), max(width // 3, 12))
    by_split = [[*split_columns(study, "psnr"), *gap_columns(study)], split_columns(study, "ssim")]
    levels = [[column] for column in level_columns(study, "psnr")]
    return [
        _text_table(study, title if i == 0 else f"{title}, continued", columns, label)
        for title, groups in (("Mean by split", by_split), (by_level(study, "psnr"), levels))
        for i, columns in enumerate(_packed(groups, width - label - 4))
    ]


def _packed(groups: Iterable[list[Column]], room: int) -> list[list[Column]]:
    """Groups of columns in as few tables as `room` characters allow, in order."""
    tables: list[list[Column]] = []
    free = 0
    for group in groups:
        need = sum(3 + column.width for column in group)
        if not tables or need > free:
            tables.append([])
            free = room
        tables[-1] += group
        free -= need
    return tables


def _text_table(study: Study, title: str, columns: Sequence[Column], label: int) -> Table:
    # Text and not str everywhere: rich would read markup into a method named "[b]".
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("method", overflow="fold", max_width=label)
    for column in columns:
        table.add_column(Text(f"{column.heading}\n{column.under}"), justify="right", no_wrap=True)
    for name in study.lines:
        style = "dim" if name == INPUT else "italic" if is_ceiling(name) else ""
        cells = [column.cells[name] for column in columns]
        numbers = [Text(cell.text, style="bold green" if cell.best else style) for cell in cells]
        table.add_row(Text(name, style=style), *numbers)
    return table


def markdown_table(rows: Sequence[Row]) -> str:
    """The same tables as Markdown, each after its caption, remarks at the end; ends in a newline.

    Raises UserError where `check_comparable` does.
    """
    study = Study(rows)
    by_split = [*split_columns(study, "psnr"), *split_columns(study, "ssim"), *gap_columns(study)]
    parts = [
        "**Mean by split**",
        _markdown(study, by_split),
        f"**{_escaped(by_level(study, 'psnr'))}**",
        _markdown(study, level_columns(study, "psnr")),
        " ".join(map(_escaped, remarks(study))),
    ]
    return "\n\n".join(parts) + "\n"


def _markdown(study: Study, columns: Sequence[Column]) -> str:
    headings = [_escaped(f"{column.heading} {column.under}") for column in columns]
    lines = [["method", *headings], [":---", *["---:"] * len(columns)]]
    for name in study.lines:
        cells = [column.cells[name] for column in columns]
        lines.append([_escaped(name), *(f"**{cell.text}**" if cell.best else cell.text for cell in cells)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escaped(text: str) -> str:
    """Names are the user's: a bar would end the cell, a tag would be HTML, an underscore emphasis."""
    for mark in "\\|`*_[]":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())
