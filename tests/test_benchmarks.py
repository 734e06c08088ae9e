"""The scripts of benchmarks/: their rows are kept, and docs/performance.md is made from what is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from support.docs_tables import DocsTables

ROOT = Path(__file__).parents[1]
WITHOUT_ROWS = {"bench", "pairs", "kept", "onnx_loop", "coverage", "tiles", "degradations", "bf16"}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/bench.py, which keeps rows in a folder of the test's own."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import bench
    import kept

    monkeypatch.setattr(kept, "RESULTS", tmp_path)
    monkeypatch.setattr(bench, "PENDING", tmp_path / "pending.txt")
    return bench


def test_every_script_is_measured(bench: ModuleType) -> None:
    assert {file.stem for file in (ROOT / "benchmarks").glob("*.py")} == {*bench.SCRIPTS, *WITHOUT_ROWS}


def test_the_page_of_performance_is_what_the_kept_rows_say(docs_tables: DocsTables, bench: ModuleType) -> None:
    import kept

    tables = kept.read_tables(bench.SCRIPTS, ROOT / "benchmarks" / "results")
    docs_tables.check("docs/performance.md", "measurements", kept.passage(tables))


def test_rows_are_kept_as_they_are_measured(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    import kept
    from pairs import Ratio, Row

    script = ModuleType("steps", "Steps of a test.\n\nMore.")
    first, second = Row("a", "b", "≤ 1.04", Ratio(1.044, 1, 2)), Row("c", "d", "≥ 2", Ratio(1.98, 1, 2), "ms")

    def rows(rounds: int) -> Iterator[Row]:
        yield first
        (table,) = kept.read_tables(["steps"])
        assert table.rows == (first,)
        yield second

    monkeypatch.setattr(script, "rows", rows, raising=False)
    monkeypatch.setitem(sys.modules, "steps", script)
    bench.measure_here("steps", 3)
    (table,) = kept.read_tables(["steps"])
    assert (table.title, table.rounds, table.rows) == ("Steps of a test", 3, (first, second))
    page = kept.passage([table])
    assert "1 of 2 rows reach their target" in page
    assert "| a | b | ≤ 1.04 | 1.04 [1.00, 2.00] × | reached |\n| c | d | ≥ 2 | 1.98 [1.00, 2.00] ms | not |" in page
    assert "`python benchmarks/steps.py --rounds 3`, machine A" in page


def test_a_run_that_was_stopped_goes_on_with_what_is_left(bench: ModuleType) -> None:
    assert bench.pending() == bench.SCRIPTS
    bench.PENDING.write_text("\n".join(bench.SCRIPTS[1:]))
    assert bench.pending() == bench.SCRIPTS[1:]
