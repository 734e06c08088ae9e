"""The page of the networks that break is what its kept rows say."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

import nine_protocols
import regime as study


def test_the_page_is_what_the_rows_say() -> None:
    page = study.page(study.read_study(study.STUDY), nine_protocols.read_studies())
    assert study.PAGE.read_text(encoding="utf-8") == page
