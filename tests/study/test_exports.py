"""The summary files, read back."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.results import make_record, make_results

from unseen.evaluation.results import ImageResult
from unseen.study.entry_names import INPUT
from unseen.study.report.export import csv_table, markdown_tables, tex, tex_table, write_summary
from unseen.study.summary import StudySummary

HOSTILE = 'a_b & "50%", {$x^2$} #~\\\n<c>'


def study_of(rows: list[ImageResult]) -> StudySummary:
    return StudySummary(rows, [make_record("erm", seed) for seed in (0, 1)])


@pytest.fixture(scope="module")
def study() -> StudySummary:
    rows = make_results(seeds=2)
    return study_of([*rows, *(replace(row, backbone="other", psnr=row.psnr + 1) for row in rows)])


def lines_of(text: str) -> dict[str, dict[str, str]]:
    return {line["line"]: line for line in csv.DictReader(io.StringIO(text, newline=""))}


def test_three_files_are_written(study: StudySummary, tmp_path: Path) -> None:
    write_summary(tmp_path / "new", study)
    assert {path.name: path.read_text() for path in (tmp_path / "new").iterdir()} == {
        "summary.csv": csv_table(study),
        "summary.tex": tex_table(study),
        "summary.md": markdown_tables(study),
    }


def test_csv_has_a_line_for_every_line_and_plain_numbers(study: StudySummary) -> None:
    lines = lines_of(csv_table(study))
    assert list(lines) == study.entries
    dil = lines["dil_sf"]
    for column, expected in {
        "psnr unseen": 27.05,
        "ssim seen": 0.835,
        "psnr unseen gaussian_noise 40": 22.05,
        "psnr worst unseen": 22.05,
        "ssim worst unseen": 0.51,
        "gap closed": 0.5,
        "gap closed unseen gaussian_noise 20": 0.5,
        "from erm": 2,
        "from erm low": 2,
        "seen cost": -2,
        "harm unseen": 0,
        "invariance": 26,
    }.items():
        assert float(dil[column]) == pytest.approx(expected), column
    spread = study.estimates("psnr", "unseen")["dil_sf"].spread
    assert float(dil["psnr unseen ±"]) == pytest.approx(spread, rel=1e-5)
    assert dil["worst unseen"] == "gaussian_noise 40"
    assert (dil["method"], dil["backbone"], dil["seeds"], dil["images"]) == ("dil_sf", "plain", "2", "2")
    assert (dil["budget"], dil["select"], dil["tuned"]) == ("12000 gradient evaluations", "last", "0")
    assert [float(lines["erm"][name]) for name in ("evaluations", "steps", "seconds", "memory")] == [
        12000,
        3000,
        110,
        512,
    ]
    there = lines["dil_sf @ other"]
    assert (there["method"], there["backbone"]) == ("dil_sf", "other")
    assert float(there["from erm"]) == pytest.approx(3)
    assert float(there["from erm on the same backbone"]) == pytest.approx(2)


def test_csv_is_empty_where_something_is_undefined(study: StudySummary) -> None:
    lines = lines_of(csv_table(study))
    assert lines[INPUT]["seeds"] == lines[INPUT]["method"] == lines[INPUT]["psnr unseen ±"] == ""
    assert lines["erm"]["gap closed"] == lines["erm"]["from erm"] == lines["erm"]["seen cost"] == ""
    assert lines["ceiling"]["from erm p corrected"] == lines["ceiling"]["gap closed"] == ""
    assert lines["ceiling"]["from erm p"] != ""
    assert lines["dil_sf"]["seconds"] == lines["dil_sf"]["from erm on the same backbone"] == ""
    rows = [
        replace(row, psnr=math.inf if row.degree == 20 else math.nan, invariance=math.nan) for row in make_results()
    ]
    odd = lines_of(csv_table(StudySummary(rows)))["dil_sf"]
    assert odd["psnr unseen gaussian_noise 20"] == "inf"
    assert odd["psnr unseen"] == odd["invariance"] == odd["gap closed"] == odd["from erm"] == ""


def test_csv_survives_any_name() -> None:
    lines = lines_of(csv_table(StudySummary(make_results(("erm", HOSTILE)))))
    assert list(lines) == [INPUT, "erm", HOSTILE]
    assert all(None not in line for line in lines.values())


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_a_spreadsheet_computes_no_name(name: str) -> None:
    lines = lines_of(csv_table(StudySummary(make_results(("erm", name)))))
    assert [line for line in lines if line.startswith("'")] == [f"'{name}"]
    assert float(lines["erm"]["psnr unseen"]) > 0  # numbers stay numbers


def test_exports_hold_no_control_characters_and_no_endless_name() -> None:
    study = study_of(make_results(("erm", f"\x1b[2J\u202e{'x' * 10**6}")))
    for text in (csv_table(study), tex_table(study), markdown_tables(study)):
        assert all(line.isprintable() for line in text.split("\n"))
        assert len(text) < 200_000


def test_latex_is_escaped() -> None:
    escaped = r"a\_b \& \"50\%\", \{\$x\textasciicircum{}2\$\} \#\textasciitilde{}\textbackslash{} $<$c$>$"
    assert tex(HOSTILE) == escaped.replace(r"\"", '"')
    assert tex("27.05 ±0.10, −2 ∞") == r"27.05 $\pm$0.10, $-$2 $\infty$"


@pytest.mark.parametrize("methods", [("erm", "dil_sf", "ceiling"), ("erm", HOSTILE), ("solo",)])
def test_latex_is_well_formed(methods: tuple[str, ...]) -> None:
    text = tex_table(study_of(make_results(methods, seeds=2)))
    bare = re.sub(r"\\[&%$#_{}\\]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)
    rows = re.findall(r"^(.*) \\\\$", text, re.MULTILINE)
    assert len(rows) == 3 + len(methods)  # two of headings, and the input
    assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(columns)}
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(rf"\{rule}") == 1
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        ("begin", "table"),
        ("begin", "tabular"),
        ("end", "tabular"),
        ("end", "table"),
    ]


def test_latex_marks_the_best_competitor_and_says_how_it_was_made(study: StudySummary) -> None:
    text = tex_table(study_of(make_results(seeds=2)))
    row = next(line for line in text.splitlines() if line.startswith(r"dil\_sf &"))
    assert row.count(r"\textbf") == 4  # the splits and the worst level; nobody else has a gap to close
    assert r"50 \%" in row
    assert r"\textbf" not in next(line for line in text.splitlines() if line.startswith("ceiling &"))
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption"))
    for said in ("noise-1", "12000 gradient evaluations", "over 2 seeds", "the last weights", "2 test images"):
        assert said in caption
    assert "ORACLE" not in caption


def test_a_choice_on_unseen_levels_is_said_in_every_file() -> None:
    chosen = StudySummary([replace(row, select="oracle") for row in make_results()])
    assert r"\caption{ORACLE SELECTION" in tex_table(chosen)
    assert markdown_tables(chosen).count("ORACLE SELECTION") > 5
    assert {line["select"] for line in lines_of(csv_table(chosen)).values()} == {"oracle"}
