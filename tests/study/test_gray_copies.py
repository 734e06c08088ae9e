"""Gray copies of test sets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "studies"))

import gray_copies  # noqa: E402


def test_each_photograph_of_the_sets_has_a_copy_of_its_luma(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("one/a.png", "pairs/noisy/b.png", "left/c.png"):
        (tmp_path / "test" / name).parent.mkdir(parents=True)
        Image.new("RGB", (5, 4), (200, 10, 60)).save(tmp_path / "test" / name)
    monkeypatch.setattr(sys, "argv", ["gray_copies", str(tmp_path / "test"), str(tmp_path / "out"), "one", "pairs"])
    gray_copies.main()
    copies = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert copies == ["one/a.png", "pairs/noisy/b.png"]
    with Image.open(tmp_path / "out" / "one" / "a.png") as copy:
        assert (copy.mode, copy.size) == ("L", (5, 4))
        assert copy.getpixel((0, 0)) == round(0.299 * 200 + 0.587 * 10 + 0.114 * 60)
