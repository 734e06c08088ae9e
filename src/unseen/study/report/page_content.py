"""What the page of a study shows: values that templates only print. `page_builder` computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...protocols.levels import Level
from ...protocols.protocol import Reported
from ..entry_names import INPUT, is_ceiling
from .appendix import PlainTable
from .drawing import Captioned
from .notes import CEILING_NOTE
from .table import Cell, Column


@dataclass(frozen=True)
class RowHead:
    """The first cell of an entry's row.

    Attributes:
        name: The entry; the long name of the input would take half a phone's width, and is shortened.
        note: Small print beneath the name; may be empty.
        style: Class of the row in the style sheet: "input", "ceiling", or empty.
    """

    name: str
    note: str
    style: str

    @classmethod
    def of(cls, entry: str) -> RowHead:
        """The head of an entry's row."""
        if entry == INPUT:
            return cls("input", "no restoration", "input")
        return cls(entry, CEILING_NOTE, "ceiling") if is_ceiling(entry) else cls(entry, "", "")


@dataclass(frozen=True)
class EntryTable:
    """A table with a row for each entry.

    Attributes:
        name: What the table is about, for screen readers.
        caption: The name, and a warning where there is cause for one.
        headings: Of each column, what stands above and below.
        rows: Of each entry, its head and one cell a column.
    """

    name: str
    caption: str
    headings: list[tuple[str, str]]
    rows: list[tuple[RowHead, list[Cell]]]

    @classmethod
    def of(cls, entries: Sequence[str], name: str, shown: Sequence[Column], warning: str = "") -> EntryTable:
        """The table of these columns."""
        return cls(
            name,
            f"{name}{warning}",
            [(column.heading, column.under) for column in shown],
            [(RowHead.of(entry), [column.cell(entry) for column in shown]) for entry in entries],
        )


@dataclass(frozen=True)
class HeadlineTable:
    """The main table: PSNR with SSIM beneath it, and gap closed.

    Attributes:
        warning: To stand behind the caption; empty where there is nothing to warn of.
        quality_headings: Splits, and "worst unseen".
        split_headings: Those of them that are splits, and get the colour of their split.
        share_headings: Of the columns of gap closed; there may be none.
        rows: Of each entry, its head, PSNR and SSIM of each column, and the shares of the gap.
    """

    warning: str
    quality_headings: list[str]
    split_headings: list[str]
    share_headings: list[str]
    rows: list[tuple[RowHead, list[tuple[Cell, Cell]], list[Cell]]]


@dataclass(frozen=True)
class LegendEntry:
    """One box of a legend, with which a reader shows or hides a line of the charts.

    Attributes:
        name: The entry.
        note: In brackets behind the name; may be empty.
        group: Class of all that belongs to the entry in every chart.
        key: A short piece of its line, as SVG.
        shown: Whether the box is ticked to begin with.
    """

    name: str
    note: str
    group: str
    key: str
    shown: bool


@dataclass(frozen=True)
class Legend:
    """A legend of charts.

    Attributes:
        entries: Its boxes.
        many: Whether there are so many that they are printed small.
        some_hidden: Whether some lines are hidden to begin with, so that buttons are of use.
        splits: Splits whose colours are explained; none where the charts have no such colours.
    """

    entries: list[LegendEntry]
    many: bool
    some_hidden: bool
    splits: Sequence[str]


@dataclass(frozen=True)
class SeveritySection:
    """Quality against severity. `split_spans` are the splits of the tables' columns, with the number of columns."""

    legend: Legend
    charts: list[Captioned]
    definitions: list[tuple[Level, str]]
    split_spans: list[tuple[str, int]]
    tables: list[EntryTable]


@dataclass(frozen=True)
class GapSection:
    """Differences from ERM. `undefined` says why gap closed means nothing; `has_gap` whether it is in the charts."""

    undefined: str
    has_gap: bool
    charts: list[Captioned]
    table: EntryTable | None


@dataclass(frozen=True)
class GallerySection:
    """Pictures: what the page's script reads as JSON, the quality of JPEG (None without loss), and their PSNR."""

    index: Mapping[str, object]
    quality: int | None
    table: PlainTable


@dataclass(frozen=True)
class TrainingSection:
    """Learning curves, cost and diagnostics, as far as there are records of them."""

    legend: Legend | None
    charts: list[Captioned]
    points: PlainTable | None
    costs: EntryTable | None
    diagnostic_charts: list[Captioned]
    diagnostic_tables: list[PlainTable]


@dataclass(frozen=True)
class PageContent:
    """All that the page of a study prints, in the order in which it stands there.

    Attributes:
        title: Heading of the page.
        warning: The sentence on a choice on unseen levels; empty where there was none.
        result: One sentence on the unseen levels; may be empty.
        facts: What was compared: names and values.
        groups: Of each entry, the class of what belongs to it in charts.
        headline: The main table.
        behaviour: Differences from ERM, and what a gain may cost.
        table_notes: Sentences on how to read the tables.
        notes: Paragraphs on what the study can and cannot show.
        severity: Quality against severity.
        gap: Differences from ERM; None where there are none.
        gallery: Pictures; None without pictures.
        training: What the records of the trainings tell; None without records.
        trials: Settings that were tried; None where nothing was tuned.
        reported: Tables of what others reported.
        command: The command that wrote the page.
        provenance: How the numbers were made: names and values.
    """

    title: str
    warning: str
    result: str
    facts: list[tuple[str, str]]
    groups: list[str]
    headline: HeadlineTable
    behaviour: EntryTable | None
    table_notes: list[str]
    notes: Sequence[str]
    severity: SeveritySection
    gap: GapSection | None
    gallery: GallerySection | None
    training: TrainingSection | None
    trials: PlainTable | None
    reported: Sequence[Reported]
    command: str
    provenance: list[tuple[str, str]]
