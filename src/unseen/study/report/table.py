"""Numbers as text: cells and columns, and how they are laid out in a terminal and in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

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
