"""What the tests of studies share."""

from __future__ import annotations

from pathlib import Path

import pytest

from unseen.study.report import study_page


@pytest.fixture
def whole_page() -> None:
    """For tests of commands that look at the page: it is written as a user gets it."""


@pytest.fixture(autouse=True)
def empty_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands write an empty page where a test does not ask for `whole_page`: a whole one takes a second."""

    def write_nothing(path: Path, *args: object, **options: object) -> None:
        path.write_text("")

    if "whole_page" not in request.fixturenames:
        monkeypatch.setattr(study_page, "pictures", lambda *args: [])
        monkeypatch.setattr(study_page, "write_report", write_nothing)
