"""Every table of the paper at a small size: from the rows under studies/paper-mini to docs/results/paper-mini.md.

`make paper-mini` runs the studies and then this. Every word about a number is made from the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import yaml

from unseen.core.atomic import write_text
from unseen.core.grouping import grouped
from unseen.evaluation.results import ImageResult, read_results
from unseen.protocols.loading import load_protocol
from unseen.protocols.protocol import Reported
from unseen.study.summary import check_comparable

HERE = Path(__file__).parent / "paper-mini"
PAGE = Path(__file__).parents[1] / "docs" / "results" / "paper-mini.md"
RIVALS = ("dil_sf", "dil_ps")
METHODS = ("erm", *RIVALS)

HEAD = """# Every table of the paper, in miniature

The paper's experiments with a network of 29 000 parameters instead of 16.6 million, for minutes instead of days. What
is small here may be large there, and the other way round; the question is whether the *direction* agrees.

`make paper-mini` makes all of it and goes on where it stopped (`make -j2 paper-mini` on two cores); it needs
`UNSEEN_TEST_DATA`, the folder of the [data sets](../datasets.md) named in
[studies/paper-mini](../../studies/paper-mini), where the finished rows are kept as well. This page is written from
them by [paper_mini.py](../../studies/paper_mini.py), the paragraphs too.

Of ours: PSNR in dB (in brackets, half the distance between the two seeds) / SSIM. Beside them stands what the paper
reports, for the test set that is nearest to ours. Methods are compared at an equal number of gradient evaluations: of
n confounders, DIL_sf makes one step where ERM makes n, and DIL_ps one where ERM makes 3n + 1. In trainings as short
as these that alone is a handicap. The order of two methods is called clear where both seeds of one are above both
seeds of the other; otherwise nothing is concluded.
"""


@dataclass(frozen=True)
class Table:
    """One table of the paper, or one experiment of our own.

    study: the name of its configuration and folder. sets: our test sets, each with that of the paper whose figures
    stand beside it. place: of the reported table among those of the protocol; None where the paper has none.
    first: what the first column of a reported row holds, where that is not the test set.
    """

    title: str
    study: str
    sets: dict[str, str]
    place: int | None = None
    first: str = ""


TABLES = (
    Table("Table 1: denoising", "denoise", {"cbsd68": "CBSD68", "urban20": "Urban100"}, 0),
    Table("Table 2: deblurring", "deblur", {"set5": "Set5", "set14": "Set14", "urban20": "Urban100"}, 0),
    Table("Table 3: hybrid distortions", "hybrid", {"cbsd68": "BSD100", "urban20": "Urban100"}, 0),
    Table("Table 4: real denoising", "real-denoise", {"cc15": "SIDD"}, 0),
    Table("Table 4: deraining", "derain-streaks", {"rain30": "Rain100L"}, 0),
    Table("Table 5: real super-resolution", "real-sr-d1", {"city12": "RealSR"}, 0),
    Table(
        "Table 6: SwinIR as the backbone",
        "denoise-swinir",
        {"cbsd68": "CBSD68", "urban20": "Urban100"},
        1,
        first="SwinIR",
    ),
    Table("Table 7: second-order degradations", "real-sr-d2", {"city12": "RealSR"}, 0),
    Table("Not in the paper: unseen types of noise", "noise-types", {}),
    Table("Not in the paper: all in one", "all-in-one", {}),
)


def page() -> str:
    """The whole page; a table whose study has no finished rows yet says so."""
    parts = [HEAD]
    for table in TABLES:
        path = HERE / table.study / "results.jsonl"
        rows = with_common_seeds(read_results(path) if path.exists() else [])
        text = "\n".join(section(table, rows)) if rows else "Not run yet."
        parts.append(f"## {table.title}\n\n{text}\n")
    return "\n".join(parts)


def with_common_seeds(rows: Sequence[ImageResult]) -> list[ImageResult]:
    """Those of seeds that every method has: an unfinished study is shown as far as it is fair."""
    seeds = [{row.seed for row in rows if row.method == method} for method in METHODS]
    return [row for row in rows if row.seed in set.intersection(*seeds)]


def section(table: Table, rows: Sequence[ImageResult]) -> Iterator[str]:
    """What agrees, the table, and its caption."""
    check_comparable(rows)
    config = yaml.safe_load((HERE / f"{table.study}.yaml").read_text())
    protocol = load_protocol(config["protocol"])
    reported = protocol.reported[table.place] if table.place is not None else None
    yield verdict(rows, reported)
    yield ""
    names = [c for c in reported.columns if c in ("ERM", "DIL", "DIL_sf", "DIL_ps")] if reported else []
    columns = ["test set", "level", "input", *METHODS, *(f"paper: {name}" for name in names)]
    yield "| " + " | ".join(columns) + " |"
    yield "| :--- | :--- |" + " ---: |" * (len(columns) - 2)
    for (dataset, name), level in grouped(rows, lambda row: (row.dataset, level_name(row))).items():
        given = f"{fmean(row.input_psnr for row in level):.2f} / {fmean(row.input_ssim for row in level):.3f}"
        ours = [figures([row for row in level if row.method == method]) for method in METHODS]
        theirs = paper_figures(table, reported, dataset, level[0], names) if reported else []
        yield "| " + " | ".join([dataset, name, given, *ours, *theirs]) + " |"
    yield ""
    numbers = sorted({row.seed for row in rows})
    seeds = f"seed{'s' * (len(numbers) > 1)} {' and '.join(map(str, numbers))}"
    images = len({(row.dataset, row.image) for row in rows})
    yield (
        f"`{config['protocol']}`, {config['backbone']}, {config['budget']} gradient evaluations of {config['batch']} "
        f"patches of {config['patch']} pixels, {seeds}, one thread; {images} test images, centres of at most "
        f"{config['crop']} pixels. Seen and held-out levels are means over them. "
        f"`unseen compare --config studies/paper-mini/{table.study}.yaml`"
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


def verdict(rows: Sequence[ImageResult], reported: Reported | None) -> str:
    """One paragraph, contradictions first: DIL against ERM on the unseen levels, and what it costs on the seen ones."""
    unseen = {method: by_seed([r for r in rows if r.method == method and r.split == "unseen"]) for method in METHODS}
    seen = {method: fmean(by_seed([r for r in rows if r.method == method and r.split == "seen"])) for method in METHODS}
    given = fmean(fmean(r.input_psnr for r in level) for level in levels_of(rows))
    gains = {m: fmean(unseen[m]) - fmean(unseen["erm"]) for m in RIVALS}
    order = {m: clarity(unseen[m], unseen["erm"]) for m in RIVALS}
    against = [m for m in RIVALS if gains[m] < 0 and order[m] == "clear"]
    agree = [m for m in RIVALS if gains[m] > 0 and order[m] == "clear"]
    found = " and ".join(f"{m} {gains[m]:+.2f} dB ({order[m]})" for m in sorted(RIVALS, key=gains.__getitem__))
    said = []
    if reported and against:
        said.append(f"**Contradicts the paper** for {' and '.join(against)}.")
    if reported and agree:
        said.append(f"The direction agrees with the paper for {' and '.join(agree)}.")
    if reported and not (against or agree):
        said.append("Neither agrees with the paper nor contradicts it.")
    said.append(f"On the unseen levels, against ERM: {found}.")
    for method in RIVALS if len(unseen["erm"]) > 1 and len(unseen_lines(rows)) > 1 else ():
        pairs = []
        for line in unseen_lines(rows):
            ours, theirs = (by_seed([row for row in line if row.method == m]) for m in (method, "erm"))
            pairs.append((min(ours) > max(theirs), max(ours) < min(theirs)))
        above, below = (sum(column) for column in zip(*pairs, strict=True))
        said.append(f"{method} is clearly above ERM in {above} and clearly below in {below} of {len(pairs)} lines.")
    cost = ", ".join(f"{m} {seen[m] - seen['erm']:+.2f} dB" for m in RIVALS)
    said.append(f"On the seen levels: {cost}.")
    if harmed := [m for m in METHODS if fmean(unseen[m]) < given]:
        said.append(f"On the unseen levels worse than the input, unrestored: {', '.join(harmed)}.")
    return " ".join(said)


def unseen_lines(rows: Sequence[ImageResult]) -> list[list[ImageResult]]:
    """The rows of each unseen line of the table."""
    unseen = [row for row in rows if row.split == "unseen"]
    return list(grouped(unseen, lambda row: (row.dataset, row.level)).values())


def levels_of(rows: Sequence[ImageResult]) -> list[list[ImageResult]]:
    """The rows of each unseen level."""
    return list(grouped([row for row in rows if row.split == "unseen"], lambda row: row.level).values())


def clarity(first: Sequence[float], second: Sequence[float]) -> str:
    """Whether the seeds of two methods lie apart."""
    if len(first) < 2:
        return "one seed"
    return "clear" if min(first) > max(second) or max(first) < min(second) else "not clear"


if __name__ == "__main__":
    write_text(PAGE, page())
    print(PAGE)
