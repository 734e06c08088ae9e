"""Public sets that are made here."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from unseen.data.pair_names import match_pairs

TOY = """
toy:
  kind: pairs
  use: test
  about: A set of nothing
  origin: Nobody, 2020
  licence: MIT
  images: 6
  layout: two folders
  protocols: []
  names: ["{1..2}"]
  per_target: 3
"""


def save(folder: Path, *names: str, size: tuple[int, int] = (8, 6)) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(path)
    return folder


def matched(inputs: Path, targets: Path) -> dict[str, str]:
    pairs, problems = match_pairs(inputs, targets)
    assert not problems
    return {a.relative_to(inputs).as_posix(): b.relative_to(targets).as_posix() for a, b in pairs}
