"""The content of a study's page: values that templates only print, computed by `page_builder`."""

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
        name: the entry; the long name of the input would take half a phone's width, and is shortened.
        note: small print beneath the name; may be empty.
        style: class of the row in the style sheet: "input", "ceiling", or empty.
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
        name: subject of the table, for screen readers.
        caption: the name, and a warning if there is one.
        headings: texts above and below for each column.
        rows: the head and one cell a column for each entry.
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
        warning: text behind the caption; empty if there is no warning.
        quality_headings: splits, and "worst unseen".
        split_headings: those quality headings that are splits, shown in the colour of the split.
        share_headings: headings of the columns of gap closed; may be empty.
        rows: head, PSNR and SSIM of each column, and shares of the gap, for each entry.
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
        name: the entry.
        note: text in brackets behind the name; may be empty.
        group: class of all that belongs to the entry in every chart.
        key: a short piece of the line, as SVG.
        shown: whether the box is ticked to begin with.
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
        entries: the boxes.
        many: whether the entries are so many that they are printed small.
        some_hidden: whether some lines are hidden to begin with, so that buttons are of use.
        splits: splits whose colours are explained; none where the charts have no such colours.
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
    """Learning curves, cost and diagnostics, as far as the run records have them."""

    legend: Legend | None
    charts: list[Captioned]
    points: PlainTable | None
    trajectories: list[Captioned]
    trajectory_points: PlainTable | None
    costs: EntryTable | None
    diagnostic_charts: list[Captioned]
    diagnostic_tables: list[PlainTable]


@dataclass(frozen=True)
class PageContent:
    """The whole content of a study's page, in the order of the page.

    Attributes:
        title: heading of the page.
        warning: the sentence on a choice on unseen levels; empty where there was none.
        result: one sentence on the unseen levels; may be empty.
        facts: conditions of the comparison: names and values.
        groups: class in the charts, by entry.
        headline: the main table.
        behaviour: differences from ERM, and what a gain may cost.
        table_notes: sentences on how to read the tables.
        notes: paragraphs on what the study can and cannot show.
        severity: quality against severity.
        gap: differences from ERM; None without any.
        gallery: pictures; None without pictures.
        training: learning curves and costs of the trainings; None without records.
        trials: settings that were tried; None where nothing was tuned.
        reported: tables of numbers that others reported.
        command: the command that wrote the page.
        provenance: origin of the numbers: names and values.
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
