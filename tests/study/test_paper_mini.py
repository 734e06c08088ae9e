"""What the miniature of the paper says of its rows: verdicts on made-up studies, and figures beside the right ones."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from unseen.evaluation.results import ImageResult
from unseen.protocols.levels import Split
from unseen.protocols.loading import load_protocol

ROOT = Path(__file__).parents[2]


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "studies")
    return importlib.import_module("paper_mini")


def rows(**psnr: tuple[float, float]) -> list[ImageResult]:
    """A study of one image under a seen and an unseen level; PSNR on the unseen one by method, for two seeds."""
    splits: list[tuple[Split, float]] = [("seen", 10.0), ("unseen", 30.0)]
    return [
        ImageResult(
            run=f"{method}-{seed}",
            protocol="denoise",
            protocol_hash="p",
            data="d",
            convention="c",
            method=method,
            backbone="plain",
            seed=seed,
            budget="1 gradient evaluations",
            select="last",
            tuned=0,
            split=split,
            distortion="gaussian_noise",
            degree=degree,
            dataset="cbsd68",
            image="a",
            psnr=values[seed] if split == "unseen" else 30.0,
            ssim=0.5,
            input_psnr=20.0,
            input_ssim=0.4,
            invariance=30.0,
        )
        for method, values in psnr.items()
        for seed in (0, 1)
        for split, degree in splits
    ]


@pytest.mark.parametrize(
    ("sf", "ps", "first"),
    [
        (
            (24.0, 24.2),
            (26.0, 26.2),
            "**Contradicts the paper** for dil_sf. The direction agrees with the paper for dil_ps.",
        ),
        ((26.0, 26.2), (26.0, 26.2), "The direction agrees with the paper for dil_sf and dil_ps. On the unseen"),
        ((24.0, 26.2), (25.0, 25.1), "Neither agrees with the paper nor contradicts it."),
    ],
)
def test_a_contradiction_is_said_first_and_only_where_it_is_clear(
    sf: tuple[float, float], ps: tuple[float, float], first: str, mini: ModuleType
) -> None:
    reported = load_protocol("denoise").reported[0]
    said = mini.verdict(rows(erm=(25.0, 25.1), dil_sf=sf, dil_ps=ps), reported)
    assert said.startswith(first)
    assert f"dil_sf {sum(sf) / 2 - 25.05:+.2f} dB" in said
    assert "worse than the input" not in said
    assert "worse than the input, unrestored: erm." in mini.verdict(
        rows(erm=(19.0, 19.0), dil_sf=(20.5, 20.5), dil_ps=(20.5, 20.5)), reported
    )
    assert "paper" not in mini.verdict(rows(erm=(25.0, 25.1), dil_sf=sf, dil_ps=ps), None)


def test_lines_in_which_the_order_is_clear_are_counted(mini: ModuleType) -> None:
    better, worse = (
        rows(erm=(25.0, 25.1), dil_sf=(26.0, 26.2), dil_ps=(25.0, 25.2)),
        rows(erm=(25.0, 25.1), dil_sf=(24.0, 24.2), dil_ps=(26.0, 26.2)),
    )
    both = better + [ImageResult(**{**row.__dict__, "dataset": "urban20"}) for row in worse]
    said = mini.verdict(both, None)
    assert "dil_sf is clearly above ERM in 1 and clearly below in 1 of 2 lines." in said
    assert "dil_ps is clearly above ERM in 1 and clearly below in 0 of 2 lines." in said


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
    assert "(one seed)" in mini.verdict(mini.with_common_seeds(cut), None)


def test_every_study_of_the_page_has_its_configuration(mini: ModuleType) -> None:
    names = {path.stem for path in (ROOT / "studies" / "paper-mini").glob("*.yaml")}
    assert names == {table.study for table in mini.TABLES}
