"""The public sets that protocols name: number, names and sizes of their pictures, origin and licence."""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from ..core.registry import did_you_mean

NOT_STATED = "not stated"
Size = tuple[int, int]


@dataclass(frozen=True)
class Dataset:
    """One public set, as `datasets.yaml` describes it.

    kind: a folder of clean pictures, two of inputs and their targets, or one of inputs without public targets.
    use: what it is given to a command for.
    about, origin, licence, layout: for people; the licence is what its authors state. home: their page, or empty.
    images: how many pictures, or pairs, there may be.
    protocols: those that it is usually trained or tested on under.
    sizes: every (width, height) that occurs, of the targets where there are pairs; longest: the longer side of all.
        Empty and 0 where they are not known for certain.
    names: ways in which the pictures, or targets, are called, each the whole list, as patterns (see `expand`)
        between spaces; empty where they are not known for certain.
    scale: by how much inputs are smaller than targets. per_target: how many inputs share a target.
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
        """How a command is told where it is."""
        return f"{self.name}=" + ("INPUT_DIR:TARGET_DIR" if self.kind == "pairs" else "DIR")

    @property
    def option(self) -> str:
        """What to give to `train`, `compare` or `evaluate`; empty for inputs without targets."""
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
        """Every way in which its pictures, or targets, are called, without suffix."""
        return [[name for pattern in line.split() for name in expand_pattern(pattern)] for line in self.names]


@cache
def known_datasets() -> dict[str, Dataset]:
    """Every set that is known, by its name."""
    return parse_datasets(resources.files(__package__).joinpath("known_sets.yaml").read_text("utf-8"))


def parse_datasets(text: str) -> dict[str, Dataset]:
    """Sets from YAML. Raises ValueError, naming set and field, for a field that is unknown, missing or misspelt."""
    return {name: _parse_dataset(name, raw) for name, raw in yaml.safe_load(text).items()}


def _parse_dataset(name: str, raw: dict[str, Any]) -> Dataset:
    known = {field.name: field for field in fields(Dataset)}
    for key in raw:
        if key not in known or key == "name":
            raise ValueError(f"{name}: unknown field {key!r}{did_you_mean(key, known)}")
    for key, field in known.items():
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
    """The names of a pattern: `kodim{01..24}`; `{3..90..3}` with a step; of two ranges, every combination.

    Numbers are written as wide as the first one.
    """
    found = re.search(r"\{(\d+)\.\.(\d+)(?:\.\.(\d+))?\}", pattern)
    if not found:
        return [pattern]
    first, last, step = found.groups()
    numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1, int(step or 1))]
    return [
        pattern[: found.start()] + number + rest
        for number in numbers
        for rest in expand_pattern(pattern[found.end() :])
    ]


def size_text(size: Size) -> str:
    return f"{size[0]}×{size[1]}"
