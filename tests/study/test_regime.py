"""The page of the networks that break, and the table of the README, are what the kept rows say."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

import nine_protocols
import regime as study
import regime_networks
from pages import read_study


def test_the_page_and_the_table_of_the_readme_are_what_the_rows_say() -> None:
    gray = read_study(study.STUDY)
    page = study.page(gray, nine_protocols.read_studies(), study.read_others(), regime_networks.read_studies())
    assert study.PAGE.read_text(encoding="utf-8") == page
    readme = study.README.read_text(encoding="utf-8")
    assert readme == study.with_table(readme, study.first_table(gray))
