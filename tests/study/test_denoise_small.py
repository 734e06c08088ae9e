"""The page of the first study is what its kept rows say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # thousands of results are read

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "studies"))

import denoise_small as study  # noqa: E402 (a script, and no part of the package)
from pages import RESULTS  # noqa: E402


def test_the_page_is_what_the_rows_say() -> None:
    assert study.PAGE.read_text(encoding="utf-8") == study.page()


@pytest.mark.parametrize("name", study.FIGURES)
def test_the_figures_are_there_and_name_their_axes(name: str) -> None:
    text = (RESULTS / study.PLAIN / f"{name}.svg").read_text(encoding="utf-8")
    assert "PSNR" in text
    assert "erm" in text


def test_what_the_sentences_claim_is_so() -> None:
    """Which methods are above and below ERM stands in sentences that were written by hand."""
    page, plain, rrdb = study.page(), study.read_study(study.PLAIN), study.read_study(study.RRDB)
    for summary, expected_above, expected_below in (
        (plain, {"vrex"}, {"feature_dropout", "mixup"}),
        (rrdb, set(), set()),
    ):
        own = study.on_own_backbone(summary)
        visible = 0.01  # dB
        assert {method for method, d in own.items() if d.low > 0 and d.mean >= visible} == expected_above
        assert {method for method, d in own.items() if d.high < 0 and d.mean <= -visible} == expected_below
        assert all(d.corrected is None or d.corrected >= 0.05 for d in own.values())
        assert all(method in page for method in expected_above | expected_below)
    assert max(study.on_own_backbone(plain), key=lambda method: plain.differences[method].mean) == "input_masking"
    assert rrdb.gap == {}
    assert rrdb.gap_undefined
    assert all(count > 1 for summary in (plain, rrdb) for count in summary.seeds.values())


def test_no_entry_is_left_out_and_no_ceiling_competes() -> None:
    plain = study.read_study(study.PLAIN)
    assert set(study.by_unseen(plain)) == set(plain.entries)
    own = study.on_own_backbone(plain)
    assert not any("ceiling" in entry or "@" in entry for entry in own)
    assert len(own) == len([name for name in plain.rivals if "@" not in name]) - 1
    assert f"Of {len(own)} methods on the same network" in study.page()


def test_the_page_on_training_shows_what_the_rows_say() -> None:
    training = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert study.excerpt(study.read_study(study.PLAIN)) in training
