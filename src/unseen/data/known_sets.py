"""The public sets that protocols name: number, names and sizes of their pictures, origin and licence."""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, Literal

from ..core.wording import did_you_mean
from ..core.yaml12 import load

NOT_STATED = "not stated"
Size = tuple[int, int]


@dataclass(frozen=True)
class Dataset:
    """One public set, as `known_sets.yaml` describes it.

    Attributes:
        name: the name in commands and protocols.
        kind: the folders of the set: `clean`, one of clean pictures; `pairs`, two of inputs and their targets;
            `inputs`, one of inputs without public targets.
        use: the side of an experiment that the set serves.
        about: the contents, in words.
        origin: the authors and their paper.
        licence: the licence as the authors state it.
        images: the numbers of pictures, or pairs, that a copy may have.
        layout: the required layout of the folders, in words.
        protocols: the protocols that the set is usually trained or tested on under.
        home: the authors' page, or empty.
        sizes: every (width, height) that occurs, of the targets where there are pairs. Empty where not known for
            certain.
        longest: the longer side of all pictures. 0 where not known for certain.
        names: ways in which the pictures, or targets, are called, each the whole list, as patterns (see
            `expand_pattern`) between spaces. Empty where not known for certain.
        scale: factor by which inputs are smaller than targets.
        per_target: number of inputs that share a target.
    """

    name: str
    kind: Literal["clean", "pairs", "inputs"]
    use: Literal["test", "train"]
    about: str
    origin: str
    licence: str
    images: tuple[int, ...]
    layout: str
    protocols: tuple[str, ...]
    home: str = ""
    sizes: tuple[Size, ...] = ()
    longest: int = 0
    names: tuple[str, ...] = ()
    scale: int = 1
    per_target: int = 1

    @property
    def source(self) -> str:
        """The form in which a command is given the set's folders."""
        return f"{self.name}=" + ("INPUT_DIR:TARGET_DIR" if self.kind == "pairs" else "DIR")

    @property
    def option(self) -> str:
        """The option of `train`, `compare` or `evaluate` that takes the set; empty for inputs without targets."""
        if self.kind == "inputs":
            return ""
        if self.use == "test":
            return f"--test {self.source}"
        return f"--pairs {self.source}" if self.kind == "pairs" else "--data DIR"

    @property
    def size(self) -> str:
        """The sizes in words, width × height."""
        if self.longest:
            return f"longer side {self.longest}"
        return ", ".join(map(size_text, self.sizes)) or NOT_STATED

    def known_names(self) -> list[list[str]]:
        """List every way in which the set's pictures, or targets, are called, without suffix."""
        return [[name for pattern in way.split() for name in expand_pattern(pattern)] for way in self.names]


@cache
def known_datasets() -> dict[str, Dataset]:
    """Return every known set by its name."""
    return parse_datasets(resources.files(__package__).joinpath("known_sets.yaml").read_text("utf-8"))


def parse_datasets(text: str) -> dict[str, Dataset]:
    """Read sets from YAML.

    Raises:
        ValueError: naming set and field, for a field that is unknown, missing or misspelt.
    """
    return {name: _parse_dataset(name, raw) for name, raw in load(text).items()}


def _parse_dataset(name: str, raw: dict[str, Any]) -> Dataset:
    known_fields = {field.name: field for field in fields(Dataset)}
    for key in raw:
        if key not in known_fields or key == "name":
            raise ValueError(f"{name}: unknown field {key!r}{did_you_mean(key, known_fields)}")
    for key, field in known_fields.items():
        if key != "name" and key not in raw and field.default is MISSING:
            raise ValueError(f"{name}: field {key!r} is missing")
    for key, values in (("kind", ("clean", "pairs", "inputs")), ("use", ("test", "train"))):
        if raw[key] not in values:
            raise ValueError(f"{name}: {key}: {raw[key]!r} is none of {', '.join(values)}")
    images = raw["images"] if isinstance(raw["images"], list) else [raw["images"]]
    several = {"images": images, "sizes": [_parse_size(size) for size in raw.get("sizes", [])]}
    several |= {key: raw.get(key, []) for key in ("names", "protocols")}
    return Dataset(**raw | {"name": name} | {key: tuple(values) for key, values in several.items()})


def _parse_size(text: str) -> Size:
    width, _, height = text.partition("x")
    return int(width), int(height)


def expand_pattern(pattern: str) -> list[str]:
    """List the names of a pattern: `kodim{01..24}`; `{3..90..3}` with a step; of two ranges, every combination.

    Numbers are written as wide as the first one.
    """
    match = re.search(r"\{(\d+)\.\.(\d+)(?:\.\.(\d+))?\}", pattern)
    if not match:
        return [pattern]
    first, last, step = match.groups()
    numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1, int(step or 1))]
    return [
        pattern[: match.start()] + number + rest
        for number in numbers
        for rest in expand_pattern(pattern[match.end() :])
    ]


def size_text(size: Size) -> str:
    """Format a size: width × height."""
    return f"{size[0]}×{size[1]}"
