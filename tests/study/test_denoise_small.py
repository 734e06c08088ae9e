"""The page of the first study is what its kept rows say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "studies"))

import denoise_small as study  # noqa: E402 (a script, and no part of the package)


def test_the_page_is_what_the_rows_say() -> None:
    assert study.PAGE.read_text(encoding="utf-8") == study.page()


@pytest.mark.parametrize("name", study.FIGURES)
def test_the_figures_are_there_and_name_their_axes(name: str) -> None:
    text = (study.DOCS / study.PLAIN / f"{name}.svg").read_text(encoding="utf-8")
    assert "PSNR" in text
    assert "erm" in text


def test_no_line_is_left_out_and_no_ceiling_competes() -> None:
    found = study.read_study(study.PLAIN)
    assert found is not None
    assert set(study.by_unseen(found)) == set(found.entries)
    said = " ".join(study.verdict(found))
    assert "ceiling @" not in said
    assert f"Of {len([n for n in found.rivals if '@' not in n]) - 1} methods" in said


def test_the_readme_shows_what_the_rows_say() -> None:
    found = study.read_study(study.PLAIN)
    assert found is not None
    assert study.excerpt(found) in (ROOT / "README.md").read_text(encoding="utf-8")
