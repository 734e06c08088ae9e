"""Every table of the paper at a small size: the numbers of docs/results/paper-mini.md, from the kept rows.

`make paper-mini` runs the studies and then this. The sentences are in pages/paper-mini.md.jinja, written by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pages import RESULTS, render
from pages import table as markdown_table
from ruamel.yaml import YAML

from unseen.core.atomic import write_text
from unseen.core.grouping import grouped
from unseen.evaluation.results import ImageResult, read_results
from unseen.protocols.loading import load_protocol
from unseen.protocols.protocol import Reported
from unseen.study.summary import check_comparable

HERE = Path(__file__).parent / "paper-mini"
PAGE = RESULTS / "paper-mini.md"
RIVALS = ("dil_sf", "dil_ps")
METHODS = ("erm", *RIVALS)


@dataclass(frozen=True)
class Table:
    """One table of the paper, or one experiment of our own.

    Attributes:
        study: the name of its configuration and folder.
        sets: our test sets, each with the test set of the paper whose figures stand beside it.
        place: the position of the reported table among the tables of the protocol; None where the paper has none.
        first: what the first column of a reported row holds, where that is not the test set.
    """

    study: str
    sets: dict[str, str]
    place: int | None = None
    first: str = ""


TABLES = (
    Table("denoise", {"cbsd68": "CBSD68", "urban20": "Urban100"}, 0),
    Table("deblur", {"set5": "Set5", "set14": "Set14", "urban20": "Urban100"}, 0),
    Table("hybrid", {"cbsd68": "BSD100", "urban20": "Urban100"}, 0),
    Table("real-denoise", {"cc15": "SIDD"}, 0),
    Table("derain-streaks", {"rain30": "Rain100L"}, 0),
    Table("real-sr-d1", {"city12": "RealSR"}, 0),
    Table(
        "denoise-swinir",
        {"cbsd68": "CBSD68", "urban20": "Urban100"},
        1,
        first="SwinIR",
    ),
    Table("real-sr-d2", {"city12": "RealSR"}, 0),
    Table("noise-types", {}),
    Table("all-in-one", {}),
)


@dataclass(frozen=True)
class Comparison:
    """A method against ERM in one study.

    Attributes:
        unseen: mean PSNR on the unseen levels less that of ERM, dB.
        order: whether all seeds of one are above all seeds of the other there: clear, not clear, or one seed.
        seen: mean PSNR on the seen levels less that of ERM, dB.
        above: unseen rows of the table in which the method is clearly above ERM.
        below: unseen rows of the table in which the method is clearly below ERM.
    """

    unseen: float
    order: str
    seen: float
    above: int
    below: int

    @property
    def direction(self) -> str:
        """`agrees`, `contradicts`, or nothing where the order is not clear: the paper has every variant above ERM."""
        return "" if self.order != "clear" else "agrees" if self.unseen > 0 else "contradicts"


@dataclass(frozen=True)
class Result:
    """What the page prints of one study.

    Attributes:
        study: the name of its configuration and folder.
        config: the configuration.
        dil_sf: DIL_sf against ERM.
        dil_ps: DIL_ps against ERM.
        lines: the number of unseen rows of the table.
        worse: methods whose mean on the unseen levels is below the input's.
        table: the table in Markdown.
        seeds: the seeds, such as `0 and 1`.
        images: the number of test images.
    """

    study: str
    config: dict[str, Any]
    dil_sf: Comparison
    dil_ps: Comparison
    lines: int
    worse: list[str]
    table: str
    seeds: str
    images: int


def page() -> str:
    """The whole page."""
    results = {
        table.study: result(table, with_common_seeds(read_results(HERE / table.study / "results.jsonl")))
        for table in TABLES
    }
    return render("paper-mini", tables=results)


def with_common_seeds(rows: Sequence[ImageResult]) -> list[ImageResult]:
    """Those of seeds that every method has: an unfinished study is shown as far as it is fair."""
    seeds = [{row.seed for row in rows if row.method == method} for method in METHODS]
    return [row for row in rows if row.seed in set.intersection(*seeds)]


def result(table: Table, rows: Sequence[ImageResult]) -> Result:
    """What the page prints of one study, from its rows."""
    check_comparable(rows)
    config = YAML(typ="safe").load((HERE / f"{table.study}.yaml").read_text())
    protocol = load_protocol(config["protocol"])
    reported = protocol.reported[table.place] if table.place is not None else None
    names = [c for c in reported.columns if c in ("ERM", "DIL", "DIL_sf", "DIL_ps")] if reported else []
    lines = []
    for (dataset, name), level in grouped(rows, lambda row: (row.dataset, level_name(row))).items():
        given = f"{fmean(row.input_psnr for row in level):.2f} / {fmean(row.input_ssim for row in level):.3f}"
        ours = [figures([row for row in level if row.method == method]) for method in METHODS]
        theirs = paper_figures(table, reported, dataset, level[0], names) if reported else []
        lines.append([dataset, name, given, *ours, *theirs])
    headings = ["test set", "level", "input", *METHODS, *(f"paper: {name}" for name in names)]
    dil_sf, dil_ps = (compared(rows, method) for method in RIVALS)
    return Result(
        study=table.study,
        config=config,
        dil_sf=dil_sf,
        dil_ps=dil_ps,
        lines=len(unseen_lines(rows)),
        worse=worse_than_input(rows),
        table=markdown_table(headings, lines, words=2),
        seeds=" and ".join(map(str, sorted({row.seed for row in rows}))),
        images=len({(row.dataset, row.image) for row in rows}),
    )


def level_name(row: ImageResult) -> str:
    """A level as a table shows it; the seen ones are taken together."""
    if row.split != "unseen":
        return row.split
    degree = row.degree if isinstance(row.degree, str) else f"{row.degree:g}"
    return "recorded pairs" if row.distortion == "pairs" else f"{row.distortion.replace('_', ' ')} {degree}"


def by_seed(rows: Sequence[ImageResult]) -> list[float]:
    """Mean PSNR of each seed, every level with the same weight."""
    seeds = grouped(rows, lambda row: row.seed).values()
    return [fmean(fmean(r.psnr for r in level) for level in grouped(s, lambda row: row.level).values()) for s in seeds]


def figures(rows: Sequence[ImageResult]) -> str:
    """`27.31 (0.12) / 0.801`: mean over seeds, half the distance between the outermost, SSIM."""
    psnr = by_seed(rows)
    return f"{fmean(psnr):.2f} ({(max(psnr) - min(psnr)) / 2:.2f}) / {fmean(row.ssim for row in rows):.3f}"


def paper_figures(table: Table, reported: Reported, dataset: str, row: ImageResult, names: Sequence[str]) -> list[str]:
    """What the paper reports for the nearest test set at this level; blanks where it has none."""
    wanted = {table.first or table.sets.get(dataset, "")} | ({table.sets.get(dataset, "")} if table.first else set())
    degree = row.degree if isinstance(row.degree, str) else f"{row.degree:g}"
    levels = {"σ", "severity"} & set(reported.columns)
    for cells in reported.rows if row.split == "unseen" else ():
        given = dict(zip(reported.columns, cells, strict=True))
        there = all(same(given[column], degree) for column in levels)
        there &= degree == "30" or "backbone" not in given  # table 6 is of σ 30 alone
        if wanted <= set(cells) and there:
            return [given[name] for name in names]
    return [""] * len(names)


def same(cell: str, degree: str) -> bool:
    """`5.0` and `5` are one degree."""
    try:
        return float(cell) == float(degree)
    except ValueError:
        return cell == degree


def compared(rows: Sequence[ImageResult], method: str) -> Comparison:
    """A method against ERM, from the rows of a study."""

    def of(name: str, split: str) -> list[float]:
        return by_seed([row for row in rows if row.method == name and row.split == split])

    orders = []
    for line in unseen_lines(rows):
        ours, erm = (by_seed([row for row in line if row.method == name]) for name in (method, "erm"))
        orders.append((min(ours) > max(erm), max(ours) < min(erm)))
    above, below = (sum(column) for column in zip(*orders, strict=True))
    unseen, seen = (fmean(of(method, split)) - fmean(of("erm", split)) for split in ("unseen", "seen"))
    return Comparison(unseen, clarity(of(method, "unseen"), of("erm", "unseen")), seen, above, below)


def worse_than_input(rows: Sequence[ImageResult]) -> list[str]:
    """The methods whose mean PSNR on the unseen levels is below the input's, every level with the same weight."""
    unseen = [row for row in rows if row.split == "unseen"]
    levels = grouped(unseen, lambda row: row.level).values()
    given = fmean(fmean(row.input_psnr for row in level) for level in levels)
    return [m for m in METHODS if fmean(by_seed([row for row in unseen if row.method == m])) < given]


def unseen_lines(rows: Sequence[ImageResult]) -> list[list[ImageResult]]:
    """The rows of each unseen line of the table."""
    unseen = [row for row in rows if row.split == "unseen"]
    return list(grouped(unseen, lambda row: (row.dataset, row.level)).values())


def clarity(first: Sequence[float], second: Sequence[float]) -> str:
    """Whether the seeds of two methods lie apart."""
    if len(first) < 2:
        return "one seed"
    return "clear" if min(first) > max(second) or max(first) < min(second) else "not clear"


if __name__ == "__main__":
    write_text(PAGE, page())
    print(PAGE)
