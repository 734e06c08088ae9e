"""Ranks across protocols: the mean rank of each entry by its unseen mean PSNR."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from rich.cells import cell_len

from ..core.config import CONFIG, load_config
from ..core.console import Console
from ..core.errors import UserError
from ..core.number_text import number
from ..evaluation.results import RESULTS, read_results
from .report.columns import DECIMALS, float_format
from .report.notes import oracle, selection, styled_note, tuning, warning
from .report.table import NARROW, Column
from .report.terminal import free_width, pack_columns, text_table
from .summary import StudySummary

MEAN_RANK, RANK = (float_format(partial(number, form=form)) for form in (".2f", "g"))


@dataclass(frozen=True)
class Ranks:
    """Ranks of entries by protocol, 1 the best unseen mean PSNR; equal ones as printed share the mean of their ranks.

    Attributes:
        entries: the competitors of any protocol, the best mean rank first.
        by_protocol: the ranks by protocol, then by entry; entries missing in a study, or with a nan mean, are left out.
        mean: the mean rank by entry, over the protocols that have the entry.
        title: title of the table.
        notes: sentences on how to read the table.
    """

    entries: list[str]
    by_protocol: dict[str, dict[str, float]]
    mean: dict[str, float]
    title: str
    notes: list[str]

    @property
    def columns(self) -> list[Column]:
        """The mean rank, the best bold where it is of every protocol, and the rank in each protocol."""
        best = frozenset(entry for entry in self.entries[:1] if all(entry in of for of in self.by_protocol.values()))
        mean = Column("mean rank", "mean", "rank", self.mean, MEAN_RANK, best)
        return [mean, *(Column(name, name, f"of {len(of)}", of, RANK) for name, of in self.by_protocol.items())]


def rank_studies(studies: Mapping[str, StudySummary]) -> Ranks:
    """Rank the competitors of each study by their unseen mean PSNR.

    Args:
        studies: the studies, by the name of their protocol.

    Raises:
        UserError: for no studies, for one without unseen levels, and for studies whose weights were not selected, or
            settings not tuned, in the same way.
    """
    if not studies:
        raise UserError("no studies: there is nothing to rank")
    for what, values in (
        ("selections of weights (select)", {study.select for study in studies.values()}),
        ("numbers of settings tried (tune)", {str(study.tuned) for study in studies.values()}),
    ):
        if len(values) > 1:
            raise UserError(f"studies of {len(values)} {what} in one table ({', '.join(sorted(values))}): keep one")
    by_protocol = {name: _ranks_in(name, study) for name, study in studies.items()}
    rivals = list(dict.fromkeys(entry for study in studies.values() for entry in study.rivals))
    ranks = {entry: [of[entry] for of in by_protocol.values() if entry in of] for entry in rivals}
    mean = {entry: fmean(values) for entry, values in ranks.items() if values}
    entries = sorted(rivals, key=lambda entry: mean.get(entry, math.inf))
    title = f"Rank on unseen levels{warning(next(iter(studies.values())))}"
    return Ranks(entries, by_protocol, mean, title, _notes(studies, by_protocol))


def _ranks_in(name: str, study: StudySummary) -> dict[str, float]:
    if "unseen" not in study.splits:
        raise UserError(f"{name}: nothing was tested on unseen levels, so nothing can be ranked; leave it out")
    estimates = study.estimates("psnr", "unseen")
    rounded = {entry: round(estimates[entry].mean, DECIMALS["psnr"]) for entry in study.rivals}
    psnr = {entry: value for entry, value in rounded.items() if not math.isnan(value)}
    return {
        entry: 1 + sum(other > value for other in psnr.values()) + (list(psnr.values()).count(value) - 1) / 2
        for entry, value in psnr.items()
    }


def _notes(studies: Mapping[str, StudySummary], by_protocol: Mapping[str, Mapping[str, float]]) -> list[str]:
    first = next(iter(studies.values()))
    budgets = {study.budget for study in studies.values()}
    listed = ", ".join(f"{name} {study.budget}" for name, study in studies.items())
    notes = [
        *oracle(first),
        "Rank by mean PSNR on unseen levels, 1 the best; equal means share the mean of their ranks. Each line is on "
        "the own backbone of its study, but where it names another; ceilings do not compete.",
        f"Within a protocol equal for all: {budgets.pop() if len(budgets) == 1 else f'the budget ({listed})'}; "
        f"{selection(first)}; {tuning(first)}.",
    ]
    if len({frozenset(of) for of in by_protocol.values()}) > 1:
        notes.append(
            "Blank: not in that study. A mean is over the protocols that have the line, with other rivals in each: "
            "compare only means of the same protocols."
        )
    return notes


def read_studies(paths: Iterable[Path]) -> dict[str, StudySummary]:
    """Read studies, each from its folder or from its file of results, by the name of their protocol.

    Raises:
        UserError: for a study that cannot be read or compared, and for two studies of one protocol: each counts once.
    """
    studies: dict[str, StudySummary] = {}
    places: dict[str, Path] = {}
    for path in paths:
        file = path / RESULTS if path.is_dir() else path
        config = file.parent / CONFIG
        study = StudySummary(
            read_results(file), backbone=str(load_config(config).get("backbone", "")) if config.exists() else ""
        )
        if study.protocol in studies:
            raise UserError(f"{places[study.protocol]} and {path} are both of {study.protocol}: a protocol counts once")
        studies[study.protocol], places[study.protocol] = study, path
    return studies


def print_ranks(paths: Iterable[Path], console: Console) -> None:
    """Print the ranks of these studies at the console's width, and beneath them how to read them.

    Raises:
        UserError: where `read_studies` and `rank_studies` do.
    """
    ranks = rank_studies(read_studies(paths))
    names_width = max(NARROW, min(max(map(cell_len, ranks.entries)), console.width // 3))
    for columns in pack_columns([[column] for column in ranks.columns], free_width(console.width, names_width)):
        console.print(text_table(ranks.title, ranks.entries, columns, names_width))
    for note in ranks.notes:
        console.print(styled_note(note))
