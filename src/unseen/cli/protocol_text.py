"""A protocol as text for a terminal, with the numbers that others reported under it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..core.console import Console, styled

if TYPE_CHECKING:
    from ..protocols.protocol import Protocol, Reported

SPLIT_WIDTH = 10
"""Width in characters of the column that names the split of a level, such as `held-out`."""


def print_reported_tables(tables: Sequence[Reported], datasets: Collection[str], console: Console) -> None:
    """Print the numbers that others reported on the tested sets, and name once the sources for other test sets.

    Args:
        tables: the reported tables of a protocol.
        datasets: the names of the test sets that were used, in capitals or not.
        console: the console to print on.
    """
    for reported in tables:
        if rows := _rows_on(reported, datasets):
            console.print(_reported_table(reported, rows))
            console.print(styled(reported.source, "dim"))
    elsewhere = dict.fromkeys(reported.source for reported in tables if not _rows_on(reported, datasets))
    if elsewhere:
        sentence = f"Reported on other test sets than these, so not beside these numbers: {'; '.join(elsewhere)}"
        console.print(styled(sentence, "dim"))


def _rows_on(reported: Reported, datasets: Collection[str]) -> list[Sequence[str]]:
    names = {name.casefold() for name in datasets}
    return [row for row in reported.rows if names & {cell.casefold() for cell in row}]


def _reported_table(reported: Reported, rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=styled("Reported by the authors, other training scale"), title_justify="left", box=SIMPLE_HEAD)
    for column in reported.columns:
        table.add_column(styled(column))
    for row in rows:
        table.add_row(*map(styled, row))
    return table


def _channels_text(protocol: Protocol) -> str:
    """What of the photographs is compared."""
    if protocol.gray:
        return "gray photographs (BT.601 luma)"
    kept = ", noise of photographs without colour equal in all channels" if protocol.gray_kept else ""
    return ("RGB" if protocol.convention.channels == "rgb" else "Y (BT.601, studio range)") + kept


def print_protocol(protocol: Protocol, console: Console) -> None:
    """Print an experiment: its levels, convention, choices with reasons, and reported numbers."""
    console.print(styled(f"{protocol.name}, version {protocol.version} ({protocol.hash()})", "bold"))
    console.print(styled(protocol.about))
    for level, confounder in protocol.levels():
        console.print(styled(f"{level.split:<{SPLIT_WIDTH}}{confounder.name}"), soft_wrap=True)  # a line to copy
    convention = protocol.convention
    rounded = {"input": convention.round_input, "output": convention.round_output, "Y": convention.round_y}
    rounding = " and ".join(what for what, on in rounded.items() if on)
    conditions = [
        _channels_text(protocol),
        f"{convention.border} border pixels left out" if convention.border else "whole images",
        f"{rounding} rounded to 8 bits" if rounding else "nothing rounded",
        f"restored at {protocol.scale} times the input's size" if protocol.scale > 1 else "",
    ]
    console.print(styled("measured: " + ", ".join(filter(None, conditions))))
    for name in protocol.tests:
        folders = "INPUT_DIR:TARGET_DIR" if name in protocol.recorded() else "DIR"
        console.print(styled(f"test: --test {name}={folders}"))
    for confounder in protocol.seen + protocol.held_out:
        if confounder.kind == "pairs":
            console.print(styled(f"training: --pairs {confounder.degree}=INPUT_DIR:TARGET_DIR"))
    for note in protocol.notes:
        console.print(styled(f"- {note}"))
    for reported in protocol.reported:
        console.print(_reported_table(reported, reported.rows))
        console.print(styled(reported.source, "dim"))
