"""Levels: which distortion at which degree, and its role in a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

from ..core.jsonl import NUMBER, require_kinds

Split: TypeAlias = Literal["seen", "held-out", "unseen"]

SPLITS: tuple[Split, ...] = get_args(Split)

Level: TypeAlias = tuple[Split, str, float | str]
"""(split, distortion, degree): one column of a per-level table."""

UNDISTORTED: Level = ("unseen", "undistorted", "")
"""No level of any protocol: the clean photographs themselves, that nothing can improve."""


def read_level(values: Sequence[Any]) -> Level:
    """A level out of JSON. Raises ValueError, naming the field, or TypeError for anything else."""
    split, distortion, degree = values
    if split not in SPLITS:
        raise ValueError(f"split: {split!r:.40} is none of {', '.join(SPLITS)}")
    require_kinds({"distortion": distortion, "degree": degree}, {"distortion": str, "degree": NUMBER | str})
    return split, distortion, degree


SPOKEN = {"pairs": "recorded pairs"}
"""Kinds of confounder whose name is no distortion's."""


def degree_of(level: Level) -> str:
    """The level's degree as a heading shows it."""
    return level[2] if isinstance(level[2], str) else f"{level[2]:g}"


def in_words(distortion: str) -> str:
    """A distortion in plain words; a dotted path to one of the user's own stays as it is."""
    words = distortion.split(" ")  # of a composition: names, and signs between them
    return SPOKEN.get(distortion) or " ".join(word if "." in word else word.replace("_", " ") for word in words)


def level_name(level: Level, between: str = "\n") -> str:
    """The level's distortion in plain words, and its degree."""
    return f"{in_words(level[1])}{between}{degree_of(level)}"
