"""Ranks across protocols, worked out by hand."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
from support.results import make_results

from unseen.core.console import Console
from unseen.core.errors import UserError
from unseen.evaluation.results import ImageResult, write_results
from unseen.study.ranking import print_ranks, rank_studies, read_studies
from unseen.study.summary import StudySummary


def rows_of(protocol: str, **psnr: float) -> list[ImageResult]:
    """A study in which methods have these PSNR everywhere, and a ceiling that is above all."""
    methods = {**psnr, "ceiling": 50.0}
    rows = make_results(tuple(methods))
    return [replace(row, protocol=protocol, psnr=methods[row.method]) for row in rows]


def study_of(protocol: str, **psnr: float) -> StudySummary:
    return StudySummary(rows_of(protocol, **psnr))


def test_the_best_unseen_mean_is_first_and_ceilings_do_not_compete() -> None:
    found = rank_studies({"p": study_of("p", erm=20, dil=25, sam=22), "q": study_of("q", erm=20, dil=25, sam=15)})
    assert found.by_protocol == {"p": {"erm": 3, "dil": 1, "sam": 2}, "q": {"erm": 2, "dil": 1, "sam": 3}}
    assert found.mean == {"dil": 1, "erm": 2.5, "sam": 2.5}
    assert found.entries == ["dil", "erm", "sam"]


def test_ties_by_the_printed_digits_share_the_mean_rank() -> None:
    found = rank_studies({"p": study_of("p", a=20.001, b=20.002, c=25, d=20.004, e=1)})
    assert found.by_protocol["p"] == {"a": 3, "b": 3, "c": 1, "d": 3, "e": 5}


def test_a_line_that_a_protocol_lacks_is_blank_and_its_mean_is_over_the_others() -> None:
    found = rank_studies({"p": study_of("p", erm=20, dil=25), "q": study_of("q", erm=20, dil=15, sam=30)})
    assert found.mean == {"erm": 2, "dil": 2, "sam": 1}
    _, p, q = found.columns
    assert [column.cell("sam").text for column in (p, q)] == ["", "1"]
    assert [column.under for column in (p, q)] == ["of 2", "of 3"]
    assert "Blank: not in that study" in " ".join(found.notes)
    assert not found.columns[0].best  # the first was not everywhere
    everywhere = rank_studies({"p": study_of("p", erm=20, dil=25), "q": study_of("q", erm=20, dil=25)})
    assert everywhere.columns[0].best == {"dil"}
    assert "Blank" not in " ".join(everywhere.notes)


def test_what_is_no_number_has_no_rank_and_infinity_is_the_best() -> None:
    found = rank_studies({"p": study_of("p", erm=20, broken=math.nan, exact=math.inf)})
    assert found.by_protocol["p"] == {"erm": 2, "exact": 1}
    assert found.entries == ["exact", "erm", "broken"]
    assert found.columns[0].cell("broken").text == ""


@pytest.mark.parametrize(("change", "what"), [({"select": "oracle"}, "select"), ({"tuned": 4}, "tune")])
def test_studies_that_chose_in_different_ways_are_not_ranked_together(change: dict[str, object], what: str) -> None:
    other = StudySummary([replace(row, **change) for row in rows_of("q", erm=20, dil=25)])  # type: ignore[arg-type]
    with pytest.raises(UserError, match=rf"\({what}\)"):
        rank_studies({"p": study_of("p", erm=20, dil=25), "q": other})


def test_an_oracle_is_said_loudly_and_budgets_by_protocol() -> None:
    oracle = StudySummary([replace(row, select="oracle") for row in rows_of("p", erm=20, dil=25)])
    other = StudySummary([replace(row, select="oracle", budget="30 min") for row in rows_of("q", erm=20, dil=25)])
    found = rank_studies({"p": oracle, "q": other})
    assert "ORACLE" in found.title
    assert found.notes[0].startswith("ORACLE")
    assert "p 12000 gradient evaluations, q 30 min" in " ".join(found.notes)


def test_nothing_and_a_study_without_unseen_levels_are_refused() -> None:
    with pytest.raises(UserError, match="nothing to rank"):
        rank_studies({})
    seen = StudySummary([row for row in rows_of("p", erm=20) if row.split == "seen"])
    with pytest.raises(UserError, match="p: nothing was tested on unseen levels"):
        rank_studies({"p": seen})


def test_studies_are_read_from_folders_or_files_and_printed(tmp_path: Path) -> None:
    for name, dil in (("p", 25), ("a-protocol-of-a-long-name", 15)):
        write_results(tmp_path / name / "results.jsonl", rows_of(name, erm=20, dil=dil))
    paths = [tmp_path / "p", tmp_path / "a-protocol-of-a-long-name" / "results.jsonl"]
    file = io.StringIO()
    print_ranks(paths, Console(file=file, width=40))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert next(line for line in lines if line.startswith(" dil")).split() == ["dil", "1.50", "1", "2"]
    assert " ".join(file.getvalue().split()).count("of 2") == 2  # the headings of both protocols
    assert "(ORACLE" not in file.getvalue()
    with pytest.raises(UserError, match=r"are both of p: a protocol counts once"):
        read_studies([paths[0], paths[0]])
    with pytest.raises(UserError, match=r"absent"):
        read_studies([tmp_path / "absent"])
