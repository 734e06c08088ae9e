"""Check that a folder holds a known public set: number, names and sizes of the pictures, and pairs that match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..core.wording import did_you_mean
from .finding import find_photos
from .known_sets import Dataset, Size, known_datasets, size_text
from .loading import map_in_threads, size_or_error
from .pack import is_pack
from .pack_check import check_pack
from .pair_names import match_pairs, scene_name
from .reading import UnreadableImage, decode, no_pillow_warnings
from .sources import expand_path, parse_pairs_source

SHOWN = 10
"""The number of files that a problem names; further ones are counted."""


@dataclass(frozen=True)
class SetCheck:
    """The result of comparing a folder with a known set.

    Attributes:
        summary: the number and sizes of the pictures in the folder, in one line.
        problems: the differences from the known set, each in one line.
    """

    summary: str
    problems: tuple[str, ...]


def check_data_source(source: str) -> SetCheck:
    """Check a set, `NAME=DIR` or `NAME=INPUT_DIR:TARGET_DIR` (see `check_set`), or a pack (see `check_pack`)."""
    if is_pack(pack := Path(expand_path(source, "check-data"))):
        summary, problems = check_pack(pack)
        return SetCheck(summary, tuple(problems))
    name, equals, folder = source.partition("=")
    if not (name and equals and folder):
        raise UserError(f"check-data: {source!r}: expected NAME=DIR, NAME=INPUT_DIR:TARGET_DIR, or a pack")
    dataset = _known_dataset(name)
    two = ":" in folder and not Path(folder).exists()
    if two != (dataset.kind == "pairs"):
        raise _wrong_folder_count(dataset)
    if two:
        name, *folders = parse_pairs_source(source, "check-data")
        return check_set(name, *folders)
    return check_set(name, Path(expand_path(folder, "check-data")))


def check_set(name: str, *folders: Path) -> SetCheck:
    """Compare the folder, or the folders of inputs and targets, with the known facts of a set.

    Every picture is decoded whole, so that one that is cut short is noticed.

    Raises:
        UserError: for an unknown set, for more or fewer folders than it has, and for folders without photographs.
    """
    dataset = _known_dataset(name)
    if len(folders) != (2 if dataset.kind == "pairs" else 1):
        raise _wrong_folder_count(dataset)
    if dataset.kind == "pairs":
        return _check_pairs(dataset, *folders)
    (folder,) = folders
    paths = find_photos(folder)
    sizes, broken = _decode_all(paths)
    problems = (
        _count_problems(dataset, len(paths)) + _name_problems(dataset, paths) + broken + _size_problems(dataset, sizes)
    )
    return SetCheck(f"{name}: {len(paths)} pictures in {folder}, {_tally(len(paths), sizes.values())}", tuple(problems))


def _known_dataset(name: str) -> Dataset:
    datasets = known_datasets()
    if name not in datasets:
        raise UserError(f"check-data: {name!r} is none of {', '.join(sorted(datasets))}{did_you_mean(name, datasets)}")
    return datasets[name]


def _wrong_folder_count(dataset: Dataset) -> UserError:
    kind = {
        "pairs": "of pairs and needs both folders, inputs before targets",
        "clean": "of clean pictures and needs one folder",
        "inputs": "of inputs alone, without targets, and needs one folder",
    }
    return UserError(f"check-data: {dataset.name} is {kind[dataset.kind]}: {dataset.source}")


def _check_pairs(dataset: Dataset, inputs: Path, targets: Path) -> SetCheck:
    pairs, alone = match_pairs(inputs, targets)
    shared = Counter(target for _, target in pairs)
    small, broken_inputs = _decode_all([path for path, _ in pairs])
    large, broken_targets = _decode_all(list(shared))
    problems = _count_problems(dataset, len(pairs)) + _name_problems(dataset, shared) + alone[:SHOWN]
    if len(alone) > SHOWN:
        problems.append(f"and {len(alone) - SHOWN} more files without a partner")
    problems += broken_inputs + broken_targets + _size_problems(dataset, large)
    other = [
        f"{path.name} {size_text(small[path])} for {size_text(large[target])}"
        for path, target in pairs
        if path in small and target in large and tuple(side * dataset.scale for side in small[path]) != large[target]
    ]
    if other:
        relation = "as large as its target" if dataset.scale == 1 else f"1/{dataset.scale} of its target, each way"
        problems.append(f"size: an input must be {relation}, not {_first_few(other)}")
    uneven = [f"{path.name} ({n})" for path, n in shared.items() if n != dataset.per_target]
    if uneven:
        problems.append(f"number: {dataset.per_target} inputs belong to a target, not as for {_first_few(uneven)}")
    tally = _tally(len(pairs) + len(shared), [*small.values(), *large.values()])
    return SetCheck(f"{dataset.name}: {len(pairs)} pairs in {inputs} and {targets}, {tally}", tuple(problems))


def _decode_all(paths: Sequence[Path]) -> tuple[dict[Path, Size], list[str]]:
    """Return width and height of all pictures that can be read to the last pixel, and one problem for the others."""
    with no_pillow_warnings():
        headers = map_in_threads(size_or_error, paths, "measuring pictures")
        results = dict(zip(paths, map_in_threads(_decoded_size, paths, "reading pictures", headers), strict=True))
    sizes = {path: size for path, size in results.items() if not isinstance(size, UnreadableImage)}
    broken = [str(error) for error in results.values() if isinstance(error, UnreadableImage)]
    return sizes, [f"cannot be read: {_first_few(broken)}"] if broken else []


def _decoded_size(path: Path) -> Size | UnreadableImage:
    try:
        height, width, _ = decode(path).shape
    except UnreadableImage as error:
        return error
    return width, height


def _count_problems(dataset: Dataset, count: int) -> list[str]:
    if count in dataset.images:
        return []
    kind = "pairs" if dataset.kind == "pairs" else "pictures"
    return [f"number: {count} {kind}, expected {' or '.join(map(str, dataset.images))}"]


def _name_problems(dataset: Dataset, paths: Iterable[Path]) -> list[str]:
    """List missing names and foreign names, by the set's list of names that fits best."""
    present = dict.fromkeys(scene_name(path.name) for path in paths)
    ways = dataset.known_names()
    if not ways:
        return []
    way = max(ways, key=lambda names: (len(present.keys() & names), -len(names)))
    missing = [name for name in way if name not in present]
    if len(missing) == len(way):
        return [f"names: none is like {way[0]}; number and sizes alone do not tell one set from another"]
    strange = sorted(present.keys() - way)
    return [f"missing: {_first_few(missing)}"] * bool(missing) + [f"not of this set: {_first_few(strange)}"] * bool(
        strange
    )


def _size_problems(dataset: Dataset, sizes: dict[Path, Size]) -> list[str]:
    wrong = [
        f"{path.name} {size_text(size)}"
        for path, size in sizes.items()
        if (dataset.sizes and size not in dataset.sizes) or (dataset.longest and max(size) != dataset.longest)
    ]
    return [f"size: expected {dataset.size}, not {_first_few(wrong)}"] if wrong else []


def _tally(wanted: int, sizes: Collection[Size]) -> str:
    """Count the sizes: `all 68 decoded: 53 of 481×321, 15 of 321×481`."""
    counts = Counter(sizes).most_common()
    counted = [f"{n} of {size_text(size)}" for size, n in counts[:3]]
    if len(counts) > 3:
        counted.append(f"{sum(n for _, n in counts[3:])} of other sizes")
    whole = f"all {wanted} decoded" if len(sizes) == wanted else f"{len(sizes)} of {wanted} decoded"
    return whole + (": " + ", ".join(counted) if counted else "")


def _first_few(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
