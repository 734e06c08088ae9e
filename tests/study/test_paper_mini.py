"""What the miniature of the paper says of its rows: verdicts on made-up studies, and figures beside the right ones."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
from support.results import result

from unseen.evaluation.results import ImageResult, read_results
from unseen.protocols.levels import Split
from unseen.protocols.loading import load_protocol

ROOT = Path(__file__).parents[2]
PHRASES = ("Contradicts", "agrees with")


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "studies")
    return importlib.import_module("paper_mini")


def rows(**psnr: tuple[float, float]) -> list[ImageResult]:
    """A study of one image under a seen and an unseen level; PSNR on the unseen one by method, for two seeds."""
    splits: list[tuple[Split, float]] = [("seen", 10.0), ("unseen", 30.0)]
    return [
        result(
            run=f"{method}-{seed}",
            protocol="denoise",
            method=method,
            seed=seed,
            budget="1 gradient evaluations",
            split=split,
            degree=degree,
            dataset="cbsd68",
            image="a",
            psnr=values[seed] if split == "unseen" else 30.0,
            input_psnr=20.0,
            input_ssim=0.4,
            invariance=30.0,
        )
        for method, values in psnr.items()
        for seed in (0, 1)
        for split, degree in splits
    ]


@pytest.mark.parametrize(
    ("sf", "direction", "order"),
    [((24.0, 24.2), "contradicts", "clear"), ((26.0, 26.2), "agrees", "clear"), ((24.0, 26.2), "", "not clear")],
)
def test_a_method_contradicts_or_agrees_only_where_the_order_is_clear(
    sf: tuple[float, float], direction: str, order: str, mini: ModuleType
) -> None:
    found = mini.compared(rows(erm=(25.0, 25.1), dil_sf=sf), "dil_sf")
    assert (found.direction, found.order) == (direction, order)
    assert found.unseen == pytest.approx(sum(sf) / 2 - 25.05)
    assert found.seen == 0
    one_seed = [row for row in rows(erm=(25.0, 25.1), dil_sf=sf) if row.seed == 0]
    assert mini.compared(one_seed, "dil_sf").order == "one seed"
    assert mini.compared(one_seed, "dil_sf").direction == ""


def test_methods_that_are_worse_than_the_input_are_found(mini: ModuleType) -> None:
    assert mini.worse_than_input(rows(erm=(19.0, 19.0), dil_sf=(20.5, 20.5), dil_ps=(20.5, 20.5))) == ["erm"]
    assert mini.worse_than_input(rows(erm=(25.0, 25.1), dil_sf=(26.0, 26.2), dil_ps=(20.5, 20.5))) == []


def test_rows_in_which_the_order_is_clear_are_counted(mini: ModuleType) -> None:
    better, worse = (
        rows(erm=(25.0, 25.1), dil_sf=(26.0, 26.2), dil_ps=(25.0, 25.2)),
        rows(erm=(25.0, 25.1), dil_sf=(24.0, 24.2), dil_ps=(26.0, 26.2)),
    )
    both = better + [ImageResult(**{**row.__dict__, "dataset": "urban20"}) for row in worse]
    assert len(mini.unseen_lines(both)) == 2
    found = [mini.compared(both, method) for method in ("dil_sf", "dil_ps")]
    assert [(one.above, one.below) for one in found] == [(1, 1), (1, 0)]


def test_what_the_sentences_claim_is_so(mini: ModuleType) -> None:
    """Who contradicts the paper, who agrees, and who is worse than the input, stands in sentences written by hand."""
    sections = mini.page().split("\n## ")[1:]
    assert len(sections) == len(mini.TABLES)
    for table, text in zip(mini.TABLES, sections, strict=True):
        found = mini.result(table, read_results(mini.HERE / table.study / "results.jsonl"))
        prose = text.split("\n\n")[1]
        against = {m for m in mini.RIVALS if getattr(found, m).direction == "contradicts"}
        agreeing = {m for m in mini.RIVALS if getattr(found, m).direction == "agrees"}
        claims = {word: re.search(rf"{word} the paper\*{{0,2}} for ([\w ]+)\.", prose) for word in PHRASES}
        said = {word: set(claim[1].split(" and ")) if claim else set() for word, claim in claims.items()}
        if table.place is not None:
            assert said == {"Contradicts": against, "agrees with": agreeing}, table.study
        else:
            assert said == {"Contradicts": set(), "agrees with": set()}
        worse = re.search(r"unseen (?:levels|pairs) ([\w, ]+) (?:is|are all) worse than the input", prose)
        names = re.split(r", | and ", worse[1]) if worse else []
        assert names == found.worse, table.study


def test_the_paper_s_figures_stand_beside_the_right_ones(mini: ModuleType) -> None:
    """Against the transcription of the tables that the protocols were made from, cell by cell."""
    for table, degree, expected in [
        (mini.TABLES[0], 40.0, ["21.12 / 0.400", "28.35 / 0.825", "25.74 / 0.629"]),
        (mini.TABLES[6], 30.0, ["24.22 / 0.551", "29.08 / 0.798"]),
        (mini.TABLES[6], 40.0, ["", ""]),
    ]:
        reported = load_protocol("denoise").reported[table.place]
        names = [c for c in reported.columns if c in ("ERM", "DIL", "DIL_sf", "DIL_ps")]
        row = next(r for r in rows(erm=(1, 1)) if r.split == "unseen")
        row = ImageResult(**{**row.__dict__, "degree": degree})
        assert mini.paper_figures(table, reported, "cbsd68", row, names) == expected


def test_an_unfinished_study_is_shown_as_far_as_it_is_fair(mini: ModuleType) -> None:
    whole = rows(erm=(25.0, 25.1), dil_sf=(24.0, 24.0), dil_ps=(24.0, 24.0))
    cut = [row for row in whole if row.run != "dil_ps-1"]
    assert {row.seed for row in mini.with_common_seeds(cut)} == {0}
    assert mini.with_common_seeds([row for row in whole if row.method != "dil_ps"]) == []
    assert mini.compared(mini.with_common_seeds(cut), "dil_sf").order == "one seed"


def test_every_study_of_the_page_has_its_configuration(mini: ModuleType) -> None:
    names = {path.stem for path in (ROOT / "studies" / "paper-mini").glob("*.yaml")}
    assert names == {table.study for table in mini.TABLES}
