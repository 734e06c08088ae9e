"""Tables for terminal and Markdown, from rows made by formula."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from unseen.errors import UserError
from unseen.protocols import load_protocol
from unseen.rows import Row, Split
from unseen.summary import Study
from unseen.tables import markdown_table, print_reported, print_table, text_tables

METHODS = ("erm", "dil_sf", "ceiling")
LEVELS: tuple[tuple[Split, float], ...] = (
    ("seen", 5.0),
    ("seen", 10.0),
    ("held-out", 15.0),
    ("unseen", 20.0),
    ("unseen", 40.0),
)


def make_rows(methods: tuple[str, ...] = METHODS, seeds: int = 1) -> list[Row]:
    """PSNR 40 - degree / 2 for the first method and 2 dB more for each next; seeds 0.1 dB apart."""
    return [
        Row(
            run=f"{method}-{seed}",
            protocol="noise-1",
            protocol_hash="p1",
            data="d1",
            convention="c0ffee",
            method=method,
            seed=seed,
            budget=12000,
            split=split,
            distortion="gaussian_noise",
            degree=degree,
            dataset="embedded",
            image=image,
            psnr=40 - degree / 2 + 2 * i + 0.1 * seed + offset,
            ssim=0.9 - degree / 100 + 0.01 * i,
            input_psnr=30 - degree / 2,
            input_ssim=0.5 - degree / 100,
        )
        for i, method in enumerate(methods)
        for seed in range(seeds)
        for split, degree in LEVELS
        for image, offset in (("coffee.png", -1.0), ("chelsea.png", 1.0))
    ]


def printed(rows: list[Row], width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    print_table(rows, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("width", [60, 100])
def test_terminal_tables_fit_and_nothing_is_cut(seeds: int, width: int) -> None:
    text = printed(make_rows(seeds=seeds), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for method in METHODS:
        assert method in text
    # The unseen mean of dil_sf: 42 - 30/2 = 27; over three seeds 27.1 and a deviation of 0.1.
    assert ("27.10 ±0.10" if seeds == 3 else "27.00") in text


def test_the_first_line_is_the_input_and_its_own_figures() -> None:
    text = printed(make_rows())
    lines = [line.split("  ") for line in text.splitlines() if "input (no restoration)" in line]
    numbers = [cell.strip() for cell in lines[0] if cell.strip()]
    # Mean degrees 7.5, 15, 30 by split: PSNR 30 - d/2; the gap column is empty; SSIM 0.5 - d/100.
    assert numbers == ["input (no restoration)", "26.25", "22.50", "15.00", "0.425", "0.350", "0.200"]
    first = next(line for line in text.splitlines() if line.startswith("  ") and "." in line)
    assert "input" in first


def test_one_seed_or_several_is_said() -> None:
    assert "One seed" in printed(make_rows())
    assert "over 2 seeds" in printed(make_rows(seeds=2))
    uneven = [row for row in make_rows(seeds=2) if row.method != "erm" or row.seed == 0]
    assert "erm 1, dil_sf 2" in printed(uneven)


def test_infinite_and_unknown_results_are_said() -> None:
    rows = make_rows()
    rows[-1] = replace(rows[-1], psnr=math.inf)
    rows[0] = replace(rows[0], psnr=math.nan)
    text = " ".join(printed(rows).split())
    assert "∞: 1 of 30 results" in text
    assert "n/a: 1 of 30 results" in text


def test_names_are_not_read_as_markup() -> None:
    assert "[bold]x[/]" in printed(make_rows(("[bold]x[/]", "b")))


def test_levels_of_several_distortions_are_told_apart() -> None:
    rows = make_rows()
    rows += [replace(row, distortion="jpeg", degree="q20") for row in rows if row.degree == 40.0]
    tables = text_tables(Study(rows), 200)
    headings = [str(column.header) for column in tables[1].columns]
    assert headings[1] == "gaussian noise\n5\nseen"
    assert headings[-1] == "jpeg\nq20\nunseen"


def markdown_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_holds_the_same_numbers() -> None:
    cells = markdown_rows(markdown_table(make_rows()))
    assert cells[0] == [
        "method",
        *("seen PSNR (dB)", "held-out PSNR (dB)", "unseen PSNR (dB)"),
        *("seen SSIM", "held-out SSIM", "unseen SSIM", "gap closed"),
    ]
    assert cells[3][:4] == ["erm", "36.25", "32.50", "25.00"]
    # 2 dB better than erm, of the 4 that the ceiling is better by; the best rival is bold, not the ceiling.
    assert cells[4] == [
        "dil\\_sf",
        *(f"**{x}**" for x in ("38.25", "34.50", "27.00", "0.835", "0.760", "0.610")),
        "50 %",
    ]
    assert cells[5][:4] == ["ceiling", "40.25", "36.50", "29.00"]
    assert cells[6] == ["method", "5 seen", "10 seen", "15 held-out", "20 unseen", "40 unseen"]
    assert cells[-1] == ["ceiling", "41.50", "39.00", "36.50", "34.00", "24.00"]


def test_markdown_cells_cannot_be_broken_by_a_name() -> None:
    text = markdown_table(make_rows(("a|b\n<b>", "c")))
    assert "a\\|b &lt;b>" in text
    assert len({len(cells) for cells in markdown_rows(text)[:5]}) == 1


def test_rows_that_mix_conventions_make_no_table() -> None:
    rows = make_rows()
    rows[0] = replace(rows[0], convention="other")
    for refuse in (markdown_table, printed):
        with pytest.raises(UserError, match="conventions"):
            refuse(rows)


@pytest.mark.parametrize(("datasets", "shown"), [({"cbsd68"}, True), ({"embedded"}, False)])
def test_what_others_reported_stands_apart_and_only_for_the_sets_in_use(datasets: set[str], shown: bool) -> None:
    file = io.StringIO()
    reported, *_ = load_protocol("denoise").reported
    print_reported(reported, datasets, Console(file=file, width=120))
    assert ("18.96 / 0.307" in file.getvalue()) is shown
    assert "23.60 / 0.457" not in file.getvalue()  # Kodak24
    assert ("other training scale" in file.getvalue()) is shown
    assert "Li et al., CVPR 2023" in file.getvalue()
