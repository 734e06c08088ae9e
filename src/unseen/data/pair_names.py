"""Match distorted pictures to clean ones by their names alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from ..core.errors import UserError
from .finding import FolderContents, list_folder

# Words in names of public sets that tell a picture's role in its pair, and not its scene.
_ROLE = re.compile(
    "inputs?|targets?|in|out|lq|hq|[lh]r[1-8]?|x[1-8]|gt|truth|groundtruth|clean|clear|noisy|noise|real|mean"
    "|rain|rainy|norain|derain|rainfree|haze|hazy|blur|blurry|blurred|sharp",
    re.IGNORECASE,
)
# Words in the name of a folder that holds only inputs, or only targets.
_OF_INPUTS = {"input", "inputs", "noisy", "rain", "rainy", "blur", "blurry", "hazy", "lr", "lq"}
_OF_TARGETS = {"target", "targets", "gt", "truth", "groundtruth", "clean", "norain", "sharp", "hr"}
_ROLE_AFTER_NUMBER = re.compile(r"(?<=\d)(x[1-8]|[HL])$")  # 0801x4; 001H and 001L

PhotoNames = dict[Path, str]


def match_pairs(inputs: Path, targets: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Match inputs to targets by name.

    A name is the path within the folder, without suffix. An input's target is, in this order,

    1. the one of the same name;
    2. the one of the same name once words for the role in the pair are taken from both (see `scene_name`): `rain-001`
       and `norain-001`, `Canon_001_LR4` and `Canon_001_HR`, `001L` and `001H`;
    3. the one whose name, without these words, is the longest beginning of the input's that ends before a separator:
       `901_14` and `901`, `im_0001_s80_a04` and `im_0001`. Only this rule lets several inputs share a target.

    Where the first two rules would give several files the same name, none of these files is matched.

    Args:
        inputs: folder of distorted pictures (see `list_folder`).
        targets: folder of clean pictures. One folder may lie in the other; the inner folder's photographs then do not
            count for the outer folder.

    Returns:
        Pairs of an input and its target, in the order of the inputs; and a message `NAME: what is wrong` for each file
        without a partner, the name with its suffix, and for each folder with pictures of kinds that are not read.

    Raises:
        UserError: unless both are folders with photographs, and different ones; and where the folders' names show that
            they are swapped, such as `clean` and `noisy`.
    """
    _require_two_folders(inputs, targets)
    _refuse_swapped(inputs, targets)
    contents = [list_folder(folder) for folder in (inputs, targets)]
    left, right = _photos(contents[0], targets), _photos(contents[1], inputs)
    pairs: dict[Path, Path] = {}
    ambiguous: set[Path] = set()
    for rule in (_without_suffix, scene_name):
        theirs = _grouped(_without(right, pairs.values()), rule)
        for name, mine in _grouped(_without(left, pairs), rule).items():
            if len(mine) == len(theirs[name]) == 1:
                pairs[mine[0]] = theirs[name][0]
            elif theirs[name]:
                ambiguous.update(mine, theirs[name])
    theirs = _grouped(_without(_without(right, pairs.values()), ambiguous), scene_name)
    pairs |= _match_by_beginning(_without(_without(left, pairs), ambiguous), theirs)
    problems = [f"{name}: no target has this name" for name in _without(_without(left, pairs), ambiguous).values()]
    alone = _without(_without(right, pairs.values()), ambiguous)
    problems += [f"{name}: no input has this name" for name in alone.values()]
    problems += [
        f"{name}: ambiguous, as other files are called {scene_name(name)!r} as well"
        for path, name in (left | right).items()
        if path in ambiguous
    ]
    problems += [f"{skipped.name}: {skipped.reason}" for folder in contents for skipped in folder.skipped()]
    return [(path, pairs[path]) for path in left if path in pairs], problems


def scene_name(name: str) -> str:
    """Remove from a path its suffix and words such as rain and norain, noisy and clean, LR4 and HR.

    Words end at a hyphen, an underscore, a dot or a space; `x4`, `H` and `L` count as well right after a digit. The
    words that are left are joined by underscores; folders that are named only for the role in the pair disappear.
    """
    *folders, last = _without_suffix(name).split("/")
    return "/".join([scene for folder in folders if (scene := _scene(folder))] + [_scene(last)])


def _scene(name: str) -> str:
    words = (_ROLE_AFTER_NUMBER.sub("", word) for word in re.split(r"[-_. ]+", name))
    return "_".join(word for word in words if word and not _ROLE.fullmatch(word))


def _without_suffix(name: str) -> str:
    return name.removesuffix(Path(name).suffix)


def _require_two_folders(inputs: Path, targets: Path) -> None:
    for folder in (inputs, targets):
        if folder.is_file():
            raise UserError(f"{folder}: is a file; give a folder of photographs")
    if inputs.resolve() == targets.resolve():
        raise UserError(f"{inputs}: holds inputs and targets; move them into two folders")


def _refuse_swapped(inputs: Path, targets: Path) -> None:
    """Raise UserError where the folder names show that the two are swapped: a network would learn to distort."""
    first, second = (set(re.split(r"[-_. ]+", folder.name.casefold())) for folder in (inputs, targets))
    unlike = first & _OF_INPUTS or second & _OF_TARGETS
    if first & _OF_TARGETS and second & _OF_INPUTS and not unlike:
        raise UserError(
            f"{inputs} and {targets} seem to be swapped: inputs come first, INPUT_DIR:TARGET_DIR; if they are not, "
            "rename one"
        )


def _photos(contents: FolderContents, other: Path) -> PhotoNames:
    """Map the photographs of a folder to their paths within it, without those of the other folder if that is inside."""
    root, inner = contents.folder.resolve(), other.resolve()
    apart = inner.relative_to(root) if inner.is_relative_to(root) else None
    names = dict(contents.named_photos())
    return {path: name.as_posix() for path, name in names.items() if apart is None or not name.is_relative_to(apart)}


def _grouped(names: PhotoNames, rule: Callable[[str], str]) -> defaultdict[str, list[Path]]:
    groups: defaultdict[str, list[Path]] = defaultdict(list)
    for path, name in names.items():
        groups[rule(name)].append(path)
    return groups


def _without(names: PhotoNames, taken: Iterable[Path]) -> PhotoNames:
    gone = set(taken)
    return {path: name for path, name in names.items() if path not in gone}


def _match_by_beginning(inputs: PhotoNames, targets: dict[str, list[Path]]) -> dict[Path, Path]:
    """Find for each input the target whose scene is the longest beginning of its own, where there is just one."""
    pairs = {}
    for path, name in inputs.items():
        folder, slash, last = scene_name(name).rpartition("/")
        words = last.split("_")
        beginnings = (folder + slash + "_".join(words[:n]) for n in range(len(words) - 1, 0, -1))
        longest = next((beginning for beginning in beginnings if beginning in targets), None)
        if longest is not None and len(targets[longest]) == 1:
            pairs[path] = targets[longest][0]
    return pairs
