"""Tables for terminal and Markdown, from rows made by formula."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import pytest
from scipy import stats
from support.results import METHODS, make_record, make_results, printed

from unseen.cli.protocol_text import print_reported_tables
from unseen.core.console import Console
from unseen.core.errors import UserError
from unseen.protocols.loading import load_protocol
from unseen.study.entry_names import INPUT
from unseen.study.report.columns import (
    difference_columns,
    gap_columns,
    level_columns,
    level_table_title,
    split_columns,
    winners,
)
from unseen.study.report.export import markdown_tables
from unseen.study.report.notes import study_notes
from unseen.study.report.terminal import text_tables
from unseen.study.summary import StudySummary


def line_of(text: str, name: str, table: int = 0) -> list[str]:
    """The cells of a line in one of the tables of a terminal."""
    lines = [line.strip() for line in text.splitlines() if line.split()[: len(name.split())] == name.split()]
    return re.split(r"\s{2,}", lines[table])


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("width", [60, 80, 100])
def test_terminal_tables_fit_and_nothing_is_cut(seeds: int, width: int) -> None:
    text = printed(make_results(seeds=seeds), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for method in METHODS:
        assert method in text
    # The unseen mean of dil_sf: 42 - 30/2 = 27; over three seeds 27.1, their standard error 0.1 / sqrt(3).
    assert (f"27.10 ±{stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3):.2f}" if seeds == 3 else "27.00") in text


def test_twenty_methods_and_backbones_stay_readable_in_eighty_columns() -> None:
    rows = make_results(("erm", *(f"method_{i}" for i in range(8)), "ceiling"), seeds=3)
    rows += [replace(row, backbone="plain:features=16,bias=false", psnr=row.psnr + 1) for row in rows]
    records = [make_record(name, seed) for name in ("erm", "method_0") for seed in range(3)]
    text = printed(rows, 80, records)
    assert max(map(len, text.splitlines())) <= 80
    titles = [line.strip() for line in text.splitlines() if line and not line.startswith(" ")]
    tables = [title for title in titles if title.startswith(("PSNR", "Against", "SSIM"))]
    assert tables[0] == "PSNR by split"
    assert len(tables) <= 5
    assert "PSNR by split, continued" not in tables


def test_the_first_line_is_the_input_and_its_own_figures() -> None:
    text = printed(make_results())
    # Mean degrees 7.5, 15, 30 by split, the worst 40: PSNR 30 - d/2; SSIM 0.5 - d/100.
    assert line_of(text, "input") == ["input", "26.25", "22.50", "15.00", "10.00"]
    assert line_of(text, "input", 2) == ["input", "0.425", "0.350", "0.200"]
    assert next(line for line in text.splitlines() if re.search(r"\d\.\d", line)).split()[0] == "input"


def test_what_a_method_gains_and_costs_stands_in_the_second_table() -> None:
    text = printed(make_results(seeds=2), 120, [make_record("erm", seed) for seed in (0, 1)])
    dil = line_of(text, "dil_sf", 1)
    assert dil == ["dil_sf", "+2.00 [+2.00, +2.00]", "< 0.001", "−2.00", "0 %", "26.00"]
    assert line_of(text, "ceiling", 1) == ["ceiling", "+4.00 [+4.00, +4.00]", "−4.00", "0 %", "27.00"]
    assert line_of(text, "erm", 2)[-3:] == ["12000", "1 min 50 s", "512"]


def test_one_seed_or_several_is_said() -> None:
    one = " ".join(printed(make_results()).split())
    assert "One seed" in one
    assert "with one seed, nothing is known of others" in one
    two = " ".join(printed(make_results(seeds=2)).split())
    assert "Mean ± half-width of the 95 % interval over 2 seeds (t)." in two
    assert "over images (bootstrap) and seeds (t)" in two
    uneven = [row for row in make_results(seeds=2) if row.method != "erm" or row.seed == 0]
    assert "erm 1, dil_sf 2" in printed(uneven)


def test_budget_selection_and_tuning_are_said() -> None:
    rows = [replace(row, select="held-out", tuned=8) for row in make_results()]
    text = " ".join(printed(rows).split())
    assert "12000 gradient evaluations" in text
    assert "best on held-out levels" in text
    assert "settings the best of 8 tried on held-out levels" in text
    assert "ORACLE" not in text
    assert "the last weights of each training; settings as given" in " ".join(printed(make_results()).split())
    stopped = printed(make_results(("erm", "stopped_erm:batches=4")))
    expected = (
        "the last weights of each training (stopped_erm:batches=4: the best on held-out levels); settings as given"
    )
    assert expected in " ".join(stopped.split())


def test_a_choice_on_unseen_levels_is_said_above_every_table_and_first_beneath() -> None:
    rows = [replace(row, select="oracle") for row in make_results()]
    study = StudySummary(rows)
    assert all("ORACLE" in str(table.title) for table in text_tables(study, 80))
    assert study_notes(study)[0].startswith("ORACLE SELECTION")
    captions = [line for line in markdown_tables(StudySummary(rows)).splitlines() if line.startswith("**")]
    assert len(captions) == 5
    assert all("ORACLE" in caption for caption in captions)


def test_infinite_and_unknown_results_are_said() -> None:
    rows = make_results()
    rows[-1] = replace(rows[-1], psnr=math.inf)
    rows[0] = replace(rows[0], psnr=math.nan)
    text = " ".join(printed(rows).split())
    assert "∞: 1 of 30 results" in text
    assert "n/a: 1 of 30 results" in text


def test_an_undefined_gap_is_called_so_and_says_why() -> None:
    text = printed([row for row in make_results(("erm", "dil_sf", "ceiling")) if row.method != "ceiling"])
    assert "gap" not in text
    rows = [replace(row, psnr=row.psnr - 4.05) if row.method == "ceiling" else row for row in make_results()]
    text = " ".join(printed(rows).split())
    assert "Gap closed is undefined: the ceiling is not clearly above ERM" in text
    assert line_of(printed(rows), "dil_sf")[-1] == "undefined"
    assert line_of(printed(rows), "erm")[-1] != "undefined"


def test_nothing_is_best_that_is_worse_than_the_input_or_than_erm() -> None:
    assert winners({INPUT: 30, "a": 28, "b": 29}, 2, above=30) == set()
    assert winners({INPUT: 28.999, "a": 28, "b": 29.001}, 2, above=28.999) == set()
    assert winners({INPUT: 28, "a": 28, "b": 29, "ceiling": 40}, 2, above=28) == {"b"}
    assert winners({"a": 29.001, "b": 29.004, "c": 3}, 2) == {"a", "b"}
    assert winners({"a": math.inf, "b": 29}, 2, above=3) == {"a"}
    assert winners({"a": 29}, 2) == set()
    worse = StudySummary([replace(row, psnr=row.psnr - 20, ssim=row.ssim - 0.6) for row in make_results()])
    for column in (*split_columns(worse, "psnr"), *split_columns(worse, "ssim"), *level_columns(worse, "psnr")):
        assert not column.best
    lost = {"dil_sf": 4, "c": 6.5}  # of the 2 and 4 dB that they are above ERM
    rows = make_results(("erm", "dil_sf", "c", "ceiling"))
    (gap,) = gap_columns(StudySummary([replace(row, psnr=row.psnr - lost.get(row.method, 0)) for row in rows]))
    assert [gap.cell(name).text for name in lost] == ["−33 %", "−42 %"]
    assert not gap.best


def test_the_worst_level_is_named_once_or_for_each() -> None:
    assert "Worst unseen, the level of the lowest PSNR: gaussian noise 40, for every method." in study_notes(
        StudySummary(make_results())
    )
    rows = [replace(row, psnr=1) if (row.method, row.degree) == ("erm", 20.0) else row for row in make_results()]
    assert "gaussian noise 20 for erm; gaussian noise 40 for dil_sf, ceiling." in " ".join(
        study_notes(StudySummary(rows))
    )


def test_lines_on_another_backbone_are_compared_twice_and_it_is_said_with_what() -> None:
    rows = make_results(seeds=2)
    rows += [replace(row, backbone="other", psnr=row.psnr + 1) for row in rows if row.method != "ceiling"]
    study = StudySummary(rows)
    first, p, second, _ = difference_columns(study)
    assert (first.heading, second.heading) == ("from erm", "from erm, same backbone")
    assert (first.cell("dil_sf @ other").mean, second.cell("dil_sf @ other").mean) == ("+3.00", "+2.00")
    assert first.cell("erm @ other").mean == "+1.00"
    assert second.cell("erm @ other").text == ""
    assert p.cell("ceiling").text == ""
    said = " ".join(study_notes(study))
    assert "p corrected for 4 comparisons (Holm)" in said
    assert "the second from erm on the same backbone" in said


def test_degrees_that_a_method_makes_of_the_seen_ones_are_told() -> None:
    said = " ".join(study_notes(StudySummary(make_results(("erm", "widened_erm", "extrapolated_erm")))))
    names = "widened_erm, extrapolated_erm"
    assert f"{names}: trained on degrees made of the seen ones, held-out and unseen ones perhaps among them." in said
    assert "made of the seen ones" not in " ".join(study_notes(StudySummary(make_results())))


def test_times_of_two_machines_are_not_compared() -> None:
    records = [make_record("erm"), make_record("dil_sf", machine="a GPU")]
    assert "2 different machines" in " ".join(study_notes(StudySummary(make_results(), records)))
    assert "machines" not in " ".join(study_notes(StudySummary(make_results(), records[:1])))


def test_names_are_not_read_as_markup() -> None:
    assert "[bold]x[/]" in printed(make_results(("[bold]x[/]", "b")))


def test_levels_of_several_distortions_are_told_apart() -> None:
    rows = make_results()
    rows += [replace(row, distortion="jpeg", degree="q20") for row in rows if row.degree == 40.0]
    by_level = next(table for table in text_tables(StudySummary(rows), 200) if str(table.title) == "PSNR (dB) by level")
    headings = [str(column.header) for column in by_level.columns]
    assert headings[1] == "gaussian\nnoise\n5\nseen"
    assert headings[-1] == "jpeg\nq20\nunseen"


@pytest.mark.parametrize(
    ("distortion", "words"),
    [
        ("gaussian_noise", "gaussian noise"),
        ("gaussian_blur > my_parts.DeadPixels", "gaussian blur > my_parts.DeadPixels"),
        ("my_parts.Dead_Pixels", "my_parts.Dead_Pixels"),
        ("pairs", "recorded pairs"),
    ],
)
def test_distortions_are_named_in_plain_words_and_one_s_own_as_they_are(distortion: str, words: str) -> None:
    rows = [replace(row, distortion=distortion) for row in make_results()]
    kind = "set" if distortion == "pairs" else "degree"
    assert level_table_title(StudySummary(rows), "psnr") == f"PSNR (dB) by {kind} of {words}"
    assert rows[0].level.name == f"{words} 5"


def markdown_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_holds_the_same_numbers() -> None:
    cells = markdown_rows(markdown_tables(StudySummary(make_results())))
    assert cells[0] == [
        "method",
        *("seen PSNR (dB)", "held-out PSNR (dB)", "unseen PSNR (dB)", "worst unseen PSNR (dB)"),
        *("seen SSIM", "held-out SSIM", "unseen SSIM", "worst unseen SSIM", "gap closed"),
    ]
    assert cells[3][:5] == ["erm", "36.25", "32.50", "25.00", "20.00"]
    # 2 dB better than erm, of the 4 that the ceiling is better by; the best rival is bold, not the ceiling.
    best = ("38.25", "34.50", "27.00", "22.00", "0.835", "0.760", "0.610", "0.510")
    assert cells[4] == ["dil\\_sf", *(f"**{x}**" for x in best), "50 %"]
    assert cells[5][:4] == ["ceiling", "40.25", "36.50", "29.00"]
    # Four more tables: against ERM, PSNR by level, SSIM by level, gap closed by level; each a head, a rule, four lines.
    tables = [cells[i : i + 6] for i in range(0, 30, 6)]
    assert tables[1][0][:3] == ["method", "from erm unseen, dB", "p corrected"]
    assert tables[1][4][1] == "+2.00 \\[+2.00, +2.00\\]"
    assert tables[2][0] == ["method", "5 seen", "10 seen", "15 held-out", "20 unseen", "40 unseen"]
    assert tables[2][5] == ["ceiling", "41.50", "39.00", "36.50", "34.00", "24.00"]
    assert tables[3][5][-1] == "0.520"
    assert tables[4][0] == ["method", "gap at 20 closed", "gap at 40 closed"]
    assert tables[4][4] == ["dil\\_sf", "50 %", "50 %"]
    assert len(cells) == 30


def test_markdown_cells_cannot_be_broken_by_a_name() -> None:
    text = markdown_tables(StudySummary(make_results(("a|b\n<b>", "c"))))
    assert "a\\|b &lt;b>" in text
    assert len({len(cells) for cells in markdown_rows(text)[:5]}) == 1


def test_rows_that_mix_conventions_make_no_table() -> None:
    rows = make_results()
    rows[0] = replace(rows[0], convention="other")
    for refuse in (StudySummary, printed):
        with pytest.raises(UserError, match="conventions"):
            refuse(rows)


@pytest.mark.parametrize(("datasets", "shown"), [({"cbsd68"}, True), ({"embedded"}, False)])
def test_what_others_reported_stands_apart_and_only_for_the_sets_in_use(datasets: set[str], shown: bool) -> None:
    file = io.StringIO()
    reported, *_ = load_protocol("denoise").reported
    print_reported_tables([reported], datasets, Console(file=file, width=120))
    assert ("18.96 / 0.307" in file.getvalue()) is shown
    assert "23.60 / 0.457" not in file.getvalue()  # Kodak24
    assert ("other training scale" in file.getvalue()) is shown
    assert "Li et al., CVPR 2023" in file.getvalue()
    assert ("other test sets" in file.getvalue()) is not shown


def test_that_others_used_other_test_sets_is_said_once() -> None:
    file = io.StringIO()
    reported = load_protocol("denoise").reported
    assert len(reported) > 1
    print_reported_tables(reported, {"embedded"}, Console(file=file, width=400))
    assert len(file.getvalue().splitlines()) == 1
