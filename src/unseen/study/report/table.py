"""A column of a table: its values, how they are written, and tables of columns in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from rich.cells import cell_len

from ...core.terminal import harmless

NARROW = 12
"""Characters: no name or heading of a terminal's table is folded to less."""

EXPORTED = 10_000
"""Characters of a cell or a note in an exported table; longer ones lose their middle."""

Plain: TypeAlias = str | int | float | None
"""A value of the CSV file; None and nan are an empty cell."""


@dataclass(frozen=True)
class Cell:
    """A value formatted for a cell.

    Attributes:
        mean: the number as text, or a word in its place.
        spread: `±...` or `[..., ...]`; empty where no interval is known.
        best: whether it is printed bold.
        sort_by: the number by which the page sorts, if the text is not a number.
    """

    mean: str
    spread: str = ""
    best: bool = False
    sort_by: float | None = None

    @property
    def text(self) -> str:
        """Mean and spread together."""
        return f"{self.mean} {self.spread}".rstrip()


@dataclass(frozen=True)
class Format:
    """The format of the values of one column, for readers and for programs.

    Attributes:
        text: function from a value to its mean and its spread as text.
        numbers: functions to the plain value in the CSV file, by the ending of its heading.
        sorts_by_value: whether the text is not a number, so that the page sorts by the value.
    """

    # Any: a format belongs to one type of value, a table has columns of several.
    text: Callable[[Any], tuple[str, str]]
    numbers: Mapping[str, Callable[[Any], Plain]]
    sorts_by_value: bool = False


@dataclass(frozen=True)
class Column:
    """One quantity by entry, from which every table of a study is made.

    Attributes:
        name: heading in the CSV file.
        heading: heading in tables for readers; it may have two lines.
        under: text below the heading: a unit or a split.
        values: the values by entry; an entry without a value has a blank cell.
        format: the format of the values.
        best: entries whose value is printed bold.
        with_spreads: whether tables for readers show intervals.
    """

    name: str
    heading: str
    under: str
    values: Mapping[str, Any]
    format: Format
    best: frozenset[str] = frozenset()
    with_spreads: bool = True

    def cell(self, entry: str) -> Cell:
        """The value of an entry as it is written."""
        if entry not in self.values:
            return Cell("")
        value = self.values[entry]
        mean, spread = self.format.text(value)
        sort_by = value if self.format.sorts_by_value else None
        return Cell(mean, spread if self.with_spreads else "", entry in self.best, sort_by)

    def numbers(self) -> dict[str, dict[str, Plain]]:
        """The plain values by heading of the CSV file, then by entry."""
        return {
            f"{self.name}{ending}": {entry: number(value) for entry, value in self.values.items()}
            for ending, number in self.format.numbers.items()
        }

    @property
    def bare(self) -> Column:
        """The same column without intervals."""
        return replace(self, with_spreads=False)

    @property
    def is_blank(self) -> bool:
        """Whether every cell is blank."""
        return not any(self._texts())

    @property
    def headings(self) -> list[str]:
        """Heading and what stands below it, folded to lines that are about as narrow as the cells."""
        width = max(NARROW, *map(cell_len, self._texts()), 0)
        return [line for text in (*self.heading.split("\n"), self.under) for line in textwrap.wrap(text, width)]

    @property
    def width(self) -> int:
        """Characters that the column takes in a terminal."""
        return max(map(cell_len, [*self.headings, *self._texts()]), default=0)

    def _texts(self) -> list[str]:
        return [self.cell(entry).text for entry in self.values]


def markdown(entries: Sequence[str], columns: Sequence[Column]) -> str:
    """Write a table in Markdown: a line for each entry, the best values bold."""
    headings = [escaped(f"{column.heading} {column.under}") for column in columns]
    lines = [["method", *headings], [":---", *["---:"] * len(columns)]]
    for name in entries:
        cells = [column.cell(name) for column in columns]
        lines.append([escaped(name), *("**" * cell.best + escaped(cell.text) + "**" * cell.best for cell in cells)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escaped(text: str) -> str:
    """Escape text for a cell in Markdown.

    Names are the user's: a bar would end the cell, a tag would be HTML, an underscore emphasis.
    """
    text = harmless(" ".join(text.split()), EXPORTED)
    for mark in "\\|`*_[]":
        text = text.replace(mark, "\\" + mark)
    return text.replace("&", "&amp;").replace("<", "&lt;")
