"""Levels: a distortion at a degree, with its role in a protocol."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, get_args

from ..core.jsonl import FiniteOrText

Split: TypeAlias = Literal["seen", "held-out", "unseen"]

SPLITS: tuple[Split, ...] = get_args(Split)


class Level(NamedTuple):
    """One distortion at one degree, with its role in a protocol: one column of a per-level table.

    Attributes:
        split: the role: seen, held-out or unseen.
        distortion: the name of the distortion, `pairs` for a set of recorded pairs.
        degree: the number on the x axis of a curve, or words where no single number describes the severity.
    """

    split: Split
    distortion: str
    degree: FiniteOrText

    @property
    def degree_text(self) -> str:
        """The degree as a heading shows it, such as `25` or `4, area`."""
        return self.degree if isinstance(self.degree, str) else f"{self.degree:g}"

    @property
    def name(self) -> str:
        """The distortion in plain words and its degree, such as `gaussian noise 25`."""
        return f"{plain_words(self.distortion)} {self.degree_text}".strip()

    @property
    def heading(self) -> str:
        """The distortion and the degree on two lines, as the heading of a column."""
        return f"{plain_words(self.distortion)}\n{self.degree_text}"


UNDISTORTED = Level("unseen", "undistorted", "")
"""The clean photographs themselves, which no restoration can improve; no protocol has this level."""


SPOKEN = {"pairs": "recorded pairs"}
"""Plain words for the kinds of confounders that are no distortions."""


def plain_words(distortion: str) -> str:
    """Return the name of a distortion or composition in plain words; a dotted path to a user's own stays as it is."""
    words = distortion.split(" ")  # of a composition: names, and signs between them
    return SPOKEN.get(distortion) or " ".join(word if "." in word else word.replace("_", " ") for word in words)
