"""Numbers as text: cells and columns, and how they are laid out in a terminal and in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from ..summary import INPUT, is_ceiling

NARROW = 12
"""Characters: no label or heading of a terminal's table is folded to less."""


@dataclass(frozen=True)
class Cell:
    """A number as printed: its mean, and "±..." or "[..., ...]" where it is known how sure that is."""

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
    def bare(self) -> Column:
        """The same without spreads."""
        return replace(self, cells={name: replace(cell, spread="") for name, cell in self.cells.items()})

    @property
    def headings(self) -> list[str]:
        """Its heading in lines that are about as narrow as the cells."""
        width = max(NARROW, *(cell_len(cell.text) for cell in self.cells.values()))
        return [line for part in (*self.heading.split("\n"), self.under) for line in textwrap.wrap(part, width)]

    @property
    def width(self) -> int:
        """Characters that it takes in a terminal."""
        return max(map(cell_len, [*self.headings, *(cell.text for cell in self.cells.values())]), default=0)


def room(width: int, label: int) -> int:
    """Characters for columns, in a terminal of a width, beside labels."""
    return width - label - 3


def needed(columns: Iterable[Column]) -> int:
    """Characters that columns take with what is between them."""
    return sum(column.width + 2 for column in columns)


def packed(groups: Iterable[list[Column]], free: int) -> list[list[Column]]:
    """Groups of columns in as few tables as `free` characters allow, in order."""
    tables: list[list[Column]] = []
    left = 0
    for group in groups:
        if not tables or needed(group) > left:
            tables.append([])
            left = free
        tables[-1] += group
        left -= needed(group)
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
        cells = [column.cells[name] for column in columns]
        numbers = [Text(cell.text, style="bold green" if cell.best else style) for cell in cells]
        table.add_row(Text(short(name), style=style), *numbers)
    return table


def short(name: str) -> str:
    """A line's label where there is little room."""
    return name.partition(" (")[0] if name == INPUT else name


def markdown(lines: Sequence[str], columns: Sequence[Column]) -> str:
    """A table in Markdown."""
    headings = [escaped(f"{column.heading} {column.under}") for column in columns]
    rows = [["method", *headings], [":---", *["---:"] * len(columns)]]
    for name in lines:
        cells = [column.cells[name] for column in columns]
        rows.append([escaped(name), *("**" * cell.best + escaped(cell.text) + "**" * cell.best for cell in cells)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def escaped(text: str) -> str:
    """Names are the user's: a bar would end the cell, a tag would be HTML, an underscore emphasis."""
    for mark in "\\|`*_[]":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())
