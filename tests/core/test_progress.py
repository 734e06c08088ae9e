"""What the bars show on a terminal."""

from __future__ import annotations

import pytest

from unseen.core.progress import advance_collected, progress_bars, task, track


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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of the clock of progress, at which a test turns."""
    seconds = [0.0]
    monkeypatch.setattr("unseen.core.progress.time.monotonic", lambda: seconds[0])
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return seconds


def test_without_a_terminal_a_line_comes_at_most_every_half_minute(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    for i, _ in enumerate(track(range(100), "reading a\x1b.png", 100)):
        clock[0] = 4.0 * i
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 12  # 400 s
    assert lines[0] == "reading a\\x1b.png: 9 of 100, about 5 min left"


def test_a_line_tells_of_every_running_task_and_of_no_speed_that_is_not_its_own(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bars(), task("all of 2 runs", 400, collects=True) as whole:
        advance_collected(100)  # done yesterday
        assert whole.seconds_left() is None
        with task("erm, seed 0", 200, counts=True, unit=" s") as run:
            run.skip(100)  # resumed
            run.note = "loss 0.1250"
            clock[0] = 50.0
            run.advance(50)
    assert capsys.readouterr().err.splitlines() == [
        "all of 2 runs: 250 of 400, about 2 min left; erm, seed 0: 150 of 200 s, loss 0.1250, about 50 s left"
    ]


def test_of_several_processes_one_speaks(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    for _ in track(range(3), "training", 3):
        clock[0] += 40
    assert capsys.readouterr().err == ""
