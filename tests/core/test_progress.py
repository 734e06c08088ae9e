"""What the bars show on a terminal."""

from __future__ import annotations

import pytest

from unseen.core.progress import progress_bars


@pytest.mark.parametrize("name", ["x[/y].png", "[bold]a.png", "[red]"])
def test_a_description_is_shown_as_it_is(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file may be called like one of rich's instructions."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes any stream for a terminal then
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress_bars() as bar:
        bar.add_task(name, total=3)
        bar.refresh()
    assert name in capsys.readouterr().err
