"""The public sets that protocols name, and whether a folder holds one: number, names, sizes, pairs that match."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml

from ..core.errors import UserError
from ..core.registry import did_you_mean
from .loading import in_threads
from .pair_names import match_pairs, scene_name
from .pairs import expanded, split_source
from .reading import UnreadableImage, decode, find_photos, no_pillow_warnings

NOT_STATED = "not stated"
SHOWN = 10
"""How many files a problem names; the others are counted."""

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
        return ", ".join(map(_size, self.sizes)) or NOT_STATED

    def known_names(self) -> list[list[str]]:
        """Every way in which its pictures, or targets, are called, without suffix."""
        return [[name for pattern in line.split() for name in expand(pattern)] for line in self.names]


@dataclass(frozen=True)
class Check:
    """What a folder holds of a set, in one line, and what is wrong with it, a line each."""

    summary: str
    problems: tuple[str, ...]


@cache
def datasets() -> dict[str, Dataset]:
    """Every set that is known, by its name."""
    return parse_datasets(resources.files(__package__).joinpath("known_sets.yaml").read_text("utf-8"))


def parse_datasets(text: str) -> dict[str, Dataset]:
    """Sets from YAML. Raises ValueError, naming set and field, for a field that is unknown, missing or misspelt."""
    return {name: _dataset(name, raw) for name, raw in yaml.safe_load(text).items()}


def _dataset(name: str, raw: dict[str, Any]) -> Dataset:
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
    several = {"images": images, "sizes": [_pair(size) for size in raw.get("sizes", [])]}
    several |= {key: raw.get(key, []) for key in ("names", "protocols")}
    return Dataset(**raw | {"name": name} | {key: tuple(values) for key, values in several.items()})


def _pair(text: str) -> Size:
    width, _, height = text.partition("x")
    return int(width), int(height)


def expand(pattern: str) -> list[str]:
    """The names of a pattern: `kodim{01..24}`; `{3..90..3}` with a step; of two ranges, every combination.

    Numbers are written as wide as the first one.
    """
    found = re.search(r"\{(\d+)\.\.(\d+)(?:\.\.(\d+))?\}", pattern)
    if not found:
        return [pattern]
    first, last, step = found.groups()
    numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1, int(step or 1))]
    return [pattern[: found.start()] + number + rest for number in numbers for rest in expand(pattern[found.end() :])]


# ------------------------------------------------------------------------------------------- checking


def check_data_source(source: str) -> Check:
    """As `check_data`, from `NAME=DIR` or `NAME=INPUT_DIR:TARGET_DIR`."""
    name, equals, folder = source.partition("=")
    if not (name and equals and folder):
        raise UserError(f"check-data: {source!r}: expected NAME=DIR or NAME=INPUT_DIR:TARGET_DIR")
    dataset = _known(name)
    two = ":" in folder and not Path(folder).exists()
    if two != (dataset.kind == "pairs"):
        raise _wrong_number(dataset)
    if two:
        return check_set(*split_source(source, "check-data"))
    return check_set(name, Path(expanded(folder, "check-data")))


def check_set(name: str, *folders: Path) -> Check:
    """Compare the folder, or the folders of inputs and targets, with what is known of a set.

    Every picture is decoded whole, so that one that is cut short is noticed. Raises UserError for an unknown set, for
    more or fewer folders than it has, and for folders without photographs.
    """
    dataset = _known(name)
    if len(folders) != (2 if dataset.kind == "pairs" else 1):
        raise _wrong_number(dataset)
    if dataset.kind == "pairs":
        return _check_pairs(dataset, *folders)
    (folder,) = folders
    paths = find_photos(folder)
    sizes, broken = _decoded(paths)
    problems = _number(dataset, len(paths)) + _names(dataset, paths) + broken + _sizes(dataset, sizes)
    return Check(f"{name}: {len(paths)} pictures in {folder}, {_tally(len(paths), sizes.values())}", tuple(problems))


def _known(name: str) -> Dataset:
    known = datasets()
    if name not in known:
        raise UserError(f"check-data: {name!r} is none of {', '.join(sorted(known))}{did_you_mean(name, known)}")
    return known[name]


def _wrong_number(dataset: Dataset) -> UserError:
    kind = {
        "pairs": "of pairs and needs both folders, inputs before targets",
        "clean": "of clean pictures and needs one folder",
        "inputs": "of inputs alone, without targets, and needs one folder",
    }
    return UserError(f"check-data: {dataset.name} is {kind[dataset.kind]}: {dataset.source}")


def _check_pairs(dataset: Dataset, inputs: Path, targets: Path) -> Check:
    pairs, alone = match_pairs(inputs, targets)
    shared = Counter(target for _, target in pairs)
    small, broken_inputs = _decoded([path for path, _ in pairs])
    large, broken_targets = _decoded(list(shared))
    problems = _number(dataset, len(pairs)) + _names(dataset, shared) + alone[:SHOWN]
    if len(alone) > SHOWN:
        problems.append(f"and {len(alone) - SHOWN} more files without a partner")
    problems += broken_inputs + broken_targets + _sizes(dataset, large)
    other = [
        f"{path.name} {_size(small[path])} for {_size(large[target])}"
        for path, target in pairs
        if path in small and target in large and tuple(side * dataset.scale for side in small[path]) != large[target]
    ]
    if other:
        relation = "as large as its target" if dataset.scale == 1 else f"1/{dataset.scale} of its target, each way"
        problems.append(f"size: an input must be {relation}, not {_some(other)}")
    uneven = [f"{path.name} ({n})" for path, n in shared.items() if n != dataset.per_target]
    if uneven:
        problems.append(f"number: {dataset.per_target} inputs belong to a target, not as for {_some(uneven)}")
    tally = _tally(len(pairs) + len(shared), [*small.values(), *large.values()])
    return Check(f"{dataset.name}: {len(pairs)} pairs in {inputs} and {targets}, {tally}", tuple(problems))


def _decoded(paths: Sequence[Path]) -> tuple[dict[Path, Size], list[str]]:
    """Width and height of all that can be read to the last pixel, and a problem for those that cannot."""
    with no_pillow_warnings():
        found = dict(zip(paths, in_threads(_size_or_fault, paths, "reading pictures"), strict=True))
    sizes = {path: size for path, size in found.items() if not isinstance(size, UnreadableImage)}
    broken = [str(error) for error in found.values() if isinstance(error, UnreadableImage)]
    return sizes, [f"cannot be read: {_some(broken)}"] if broken else []


def _size_or_fault(path: Path) -> Size | UnreadableImage:
    try:
        height, width, _ = decode(path).shape
    except UnreadableImage as error:
        return error
    return width, height


def _number(dataset: Dataset, found: int) -> list[str]:
    if found in dataset.images:
        return []
    kind = "pairs" if dataset.kind == "pairs" else "pictures"
    return [f"number: {found} {kind}, expected {' or '.join(map(str, dataset.images))}"]


def _names(dataset: Dataset, paths: Iterable[Path]) -> list[str]:
    """What is missing, and what does not belong, by the way of naming that fits best."""
    found = dict.fromkeys(scene_name(path.name) for path in paths)
    ways = dataset.known_names()
    if not ways:
        return []
    way = max(ways, key=lambda names: (len(found.keys() & names), -len(names)))
    missing = [name for name in way if name not in found]
    if len(missing) == len(way):
        return [f"names: none is like {way[0]}; number and sizes alone do not tell one set from another"]
    strange = sorted(found.keys() - way)
    return [f"missing: {_some(missing)}"] * bool(missing) + [f"not of this set: {_some(strange)}"] * bool(strange)


def _sizes(dataset: Dataset, sizes: dict[Path, Size]) -> list[str]:
    wrong = [
        f"{path.name} {_size(size)}"
        for path, size in sizes.items()
        if (dataset.sizes and size not in dataset.sizes) or (dataset.longest and max(size) != dataset.longest)
    ]
    return [f"size: expected {dataset.size}, not {_some(wrong)}"] if wrong else []


def _tally(wanted: int, sizes: Collection[Size]) -> str:
    """`all 68 decoded: 53 of 481×321, 15 of 321×481`."""
    counts = Counter(sizes).most_common()
    parts = [f"{n} of {_size(size)}" for size, n in counts[:3]]
    if len(counts) > 3:
        parts.append(f"{sum(n for _, n in counts[3:])} of other sizes")
    whole = f"all {wanted} decoded" if len(sizes) == wanted else f"{len(sizes)} of {wanted} decoded"
    return whole + (": " + ", ".join(parts) if parts else "")


def _size(size: Size) -> str:
    return f"{size[0]}×{size[1]}"


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
