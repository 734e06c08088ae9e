"""Load photographs from their sources: folders and packs, clean or in pairs; the embedded ones; dead leaves."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.errors import UserError
from ..core.wording import did_you_mean
from .dead_leaves import dead_leaves_photos
from .embedded import embedded_photos
from .finding import require_folder
from .loading import MEMORY, load_photos, refuse_to_shrink_pack
from .pack import holds_pairs, is_pack, load_pack, require_finished
from .pairs import load_pairs
from .photo import Photo
from .reading import SkippedFile
from .shrinking import shrunk

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)

_TWO_FOLDERS = re.compile(r"""("[^"]+"|(?:[A-Za-z]:(?=[\\/]))?[^:"]+):("[^"]+"|.+)""")
"""Two folders with a colon between them: each in quotation marks, or the first with the letter of a drive."""


@dataclass(frozen=True)
class PhotoSplit:
    """Photographs of the training side, clean or recorded pairs, split into training and validation.

    Attributes:
        train: photographs to train on.
        validation: photographs that are never trained on, and never test images.
        skipped: the files that could not be read.
    """

    train: list[Photo]
    validation: list[Photo]
    skipped: list[SkippedFile]

    def digest(self) -> str:
        """Return twelve hexadecimal digits that change with any photograph, its name, or its side of the split."""
        entries = [photo.digest + photo.name for side in (self.train, self.validation) for photo in [*side, _SIDE_END]]
        return hashlib.sha256("/".join(entries).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def training_photos(sources: Sequence[str], memory: int = MEMORY, shrink: float = 1) -> PhotoSplit:
    """Load the photographs of all sources together, split for training and validation.

    One in ten photographs of a folder (one at least) validates, chosen by its name alone, so that every seed and method
    has the same split. Dead leaves alone are validated on the embedded validation photograph, since the goal is to
    restore photographs. All of them are shrunk: for training in copies, for validation by the largest factor alone.

    Args:
        sources: a folder, a pack, `embedded`, `dead_leaves` or `dead_leaves:COUNT` each.
        memory: the largest number of bytes of all pixels of one folder (see `load_photos`).
        shrink: the largest factor by which photographs are shrunk (see `shrunk`); 1 to leave them as they are.

    Raises:
        UserError: naming the source, where there is nothing to train on.
    """
    train: list[Photo] = []
    validation: list[Photo] = []
    skipped: list[SkippedFile] = []
    for source in sources:
        kind, _, count = source.partition(":")
        if kind == "embedded":
            train += [shrunk(photo, shrink) for photo in embedded_photos("train")]
        elif kind == "dead_leaves":
            leaves = dead_leaves_photos(_dead_leaves_count(count, source))
            train += [shrunk(photo, shrink) for photo in leaves]
        else:
            photos, broken = load_photos(Path(expand_path(source, "data")), memory=memory, shrink=shrink)
            if len(photos) < 2:
                raise UserError(f"data: {source}: needs two photographs at least, one of them to validate on")
            trained, validating = _split(photos)
            train, validation, skipped = train + trained, validation + validating, skipped + broken
    if not validation or any(source == "embedded" for source in sources):
        validation += [shrunk(photo, shrink) for photo in embedded_photos("validation")]
    train = without_copies_of(train, validation)  # a photograph given twice must not sit on both sides
    if not train:
        raise UserError(f"data: {', '.join(sources)}: all photographs are the same; one must be left to validate on")
    validation = [replace(photo, larger=()) if photo.larger else photo for photo in validation]
    return PhotoSplit(train, validation, skipped)


def recorded_pairs(
    sources: Sequence[str],
    wanted: Collection[str],
    allowed: Collection[str],
    scale: int,
    enlarge: int,
    memory: int = MEMORY,
) -> dict[str, PhotoSplit]:
    """Load recorded pairs to train on, each set split by its clean pictures as a folder is.

    All inputs of one clean picture are on one side; the first validation pairs have different clean pictures.

    Args:
        sources: the sets, each as `NAME=INPUT_DIR:TARGET_DIR` or `NAME=PACK`.
        wanted: sets that are trained on; the others are not loaded.
        allowed: every set that the protocol names.
        scale: factor by which inputs must be smaller, once those that are smaller by `enlarge` have been enlarged.
        enlarge: factor by which smaller inputs are enlarged; 1 for none.
        memory: the largest number of bytes of all pixels of one set, as far as no pack holds them.

    Returns:
        The split of each set, by the set's name.

    Raises:
        UserError: for a wanted set without a source, and for a set that is not named by the protocol, has two sources,
            has another scale, or has a single clean picture.
    """
    folders: dict[str, Sequence[Path]] = {}
    for source in sources:
        name, *places = parse_pairs_source(source, "pairs")
        if name not in allowed:
            names = ", ".join(allowed) or "none"
            raise UserError(
                f"pairs: {name!r} is no set of this protocol; it names {names}{did_you_mean(name, allowed)}"
            )
        if name in folders:
            raise UserError(f"pairs: {name} is given twice")
        folders[name] = places
    splits = {}
    for name in wanted:
        if name not in folders:
            raise UserError(f"pairs: {name} is trained on; give --pairs {name}=INPUT_DIR:TARGET_DIR")
        photos, skipped = _load_pairs(folders[name], memory, enlarge)
        _require_scale(photos, scale, enlarge, f"pairs: {name}")
        train, validation = _split(photos)
        if not train:
            raise UserError(f"pairs: {name}: needs two clean pictures at least, one of them to validate on")
        splits[name] = PhotoSplit(train, validation, skipped)
    return splits


def require_sources(
    data: Sequence[str] = (), pairs: Sequence[str] = (), tests: Sequence[str] = (), shrink: float = 1
) -> None:
    """Check that all folders of photographs exist, before anything slow begins; nothing in them is read.

    Args:
        data: sources of training photographs.
        pairs: sources of recorded pairs.
        tests: sources of test sets.
        shrink: the largest factor by which training photographs are shrunk.

    Raises:
        UserError: naming the folder or the source.
    """
    folders: list[Path] = []
    for source in data:
        kind, _, count = source.partition(":")
        if kind == "dead_leaves":
            _dead_leaves_count(count, source)
        elif kind != "embedded":
            folders.append(Path(expand_path(source, "data")))
            refuse_to_shrink_pack(folders[-1], shrink)
    for source in pairs:
        folders += parse_pairs_source(source, "pairs")[1:]
    for source in tests:
        name, folder = _name_and_folder(source)
        if name and ":" in folder and not Path(folder).exists():
            folders += parse_pairs_source(source, "test")[1:]
        elif source != "embedded":
            folders.append(Path(expand_path(folder, "test")))
    for folder_or_photo in folders:
        if is_pack(folder_or_photo):
            require_finished(folder_or_photo)
        elif not folder_or_photo.is_file():
            require_folder(folder_or_photo)


def without_copies_of(train: Iterable[Photo], held: Iterable[Photo]) -> list[Photo]:
    """Leave out of `train` the photographs whose whole clean picture is that of a photograph in `held`, bit for bit."""
    held_digests = {photo.fingerprint.digest for photo in held}
    return [photo for photo in train if photo.fingerprint.digest not in held_digests]


def load_test_set(source: str, step: int = 1, enlarge: int = 1) -> tuple[str, list[Photo], list[SkippedFile]]:
    """Load a test set.

    Args:
        source: `NAME=DIR` or a folder, of clean photographs; `NAME=INPUT_DIR:TARGET_DIR`, recorded pairs; a pack of
            either in place of folders; or `embedded`. In folders, `~` and variables are replaced (see `expand_path`).
        step: divisor of height and width: clean photographs are cut to multiples at right and bottom, and left out
            where nothing remains.
        enlarge: inputs that are smaller by this factor are enlarged; thereafter all inputs must be smaller by
            `step // enlarge`.

    Returns:
        The set's name, its photographs, and the files left out.

    Raises:
        UserError: where the source cannot be understood or read, and where nothing is left of it.
    """
    name, folder = _name_and_folder(source)
    if name and _are_pairs(folder):
        name, *folders = parse_pairs_source(source, "test")
        photos, skipped = _load_pairs(folders, None, enlarge)
        _require_scale(photos, step // enlarge, enlarge, f"test: {name}")
        return name, photos, skipped
    if source == "embedded":
        name, photos, skipped = source, embedded_photos("test"), []
    else:
        path = Path(expand_path(folder, "test"))
        name = name or path.resolve().name
        photos, skipped = load_photos(path, memory=None)  # test images are never cut
    lost = [photo for photo in photos if not _is_large_enough(photo, step)]
    if len(lost) == len(photos):
        raise UserError(
            f"test: {name}: none of its photographs is {step} pixels wide and high, the least there must be"
        )
    reason = f"less than {step} pixels wide or high, and sides are cut to multiples of {step}"
    return name, trimmed(photos, step), skipped + [SkippedFile(photo.name, reason) for photo in lost]


def _are_pairs(folder: str) -> bool:
    """Whether what follows the name of a test set is two folders, or a pack of recorded pairs."""
    pack = Path(expand_path(folder, "test"))
    return holds_pairs(pack) if is_pack(pack) else ":" in folder and not Path(folder).exists()


def _load_pairs(folders: Sequence[Path], memory: int | None, enlarge: int) -> tuple[list[Photo], list[SkippedFile]]:
    """Load recorded pairs from a pack or from two folders."""
    if len(folders) == 2:
        return load_pairs(*folders, memory=memory, enlarge=enlarge)
    (pack,) = folders
    photos = load_pack(pack, enlarge=enlarge, memory=memory)
    if any(photo.recorded is None for photo in photos):
        raise UserError(f"{pack}: is a pack of clean photographs; give a pack of recorded pairs, or two folders")
    return photos, []


def parse_pairs_source(source: str, field: str) -> tuple[str, *tuple[Path, ...]]:
    """Split `NAME=INPUT_DIR:TARGET_DIR`, or `NAME=PACK`, into the set's name and its folders, each by `expand_path`.

    A folder whose name holds a colon stands in quotation marks, or is found by being there; letters of drives, as
    in C:/in:D:/out, need none.

    Raises:
        UserError: naming `field`, for any other form.
    """
    name, _, folders = source.partition("=")
    inputs, targets = ("", "") if is_pack(Path(folders)) else two_folders(folders)
    if name and folders and not inputs and is_pack(pack := Path(expand_path(folders, field))):
        return name, pack
    if not (name and inputs and targets):
        raise UserError(
            f"{field}: {source!r}: expected NAME=INPUT_DIR:TARGET_DIR, distorted pictures before clean ones, or a pack"
        )
    return name, Path(expand_path(inputs, field)), Path(expand_path(targets, field))


def two_folders(text: str) -> tuple[str, str]:
    """Split `INPUT_DIR:TARGET_DIR`; both are empty where there are no two folders."""
    splits = [(text[:i], text[i + 1 :]) for i, character in enumerate(text) if character == ":"]
    existing = [split for split in splits if all(folder and Path(folder).is_dir() for folder in split)]
    if len(existing) == 1:
        return existing[0]
    match = _TWO_FOLDERS.fullmatch(text)
    return (match[1].strip('"'), match[2].strip('"')) if match else ("", "")


def expand_path(folder: str, field: str) -> str:
    """Replace a leading `~` and environment variables, so that files of options can be the same on every machine.

    Variables are `$NAME` and `${NAME}`, of letters, digits and underscores, no digit first. Nothing is replaced in a
    path that exists as it is written.

    Raises:
        UserError: naming `field`, for a variable that is not set, and for the `~` of a user who is not known.
    """
    if Path(folder).exists():
        return folder

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise UserError(f"{field}: {folder}: {match[0]} is not set")
        return os.environ[name]

    try:
        return str(Path(_VARIABLE.sub(value, folder)).expanduser())
    except RuntimeError as error:
        raise UserError(f"{field}: {folder}: the home of this user is not known") from error


def _name_and_folder(source: str) -> tuple[str, str]:
    """Split a test set's source into its name, empty where the folder's name serves, and its folder or folders."""
    name, equals, folder = source.partition("=")
    if source and (not equals or "/" in name or Path(source).exists()):  # any = is a character of the folder's name
        return "", source
    if not (name and folder):
        raise UserError(f"test: {source!r}: expected NAME=DIR, NAME=INPUT_DIR:TARGET_DIR, a folder, or embedded")
    return name, folder


def trimmed(photos: Sequence[Photo], step: int) -> list[Photo]:
    """Cut photographs to a multiple of `step` at right and bottom, leaving out those of which nothing would remain."""
    return [
        photo.window(0, 0, photo.pixels.shape[0] // step * step, photo.pixels.shape[1] // step * step)
        for photo in photos
        if _is_large_enough(photo, step)
    ]


def _is_large_enough(photo: Photo, step: int) -> bool:
    return all(side >= step for side in photo.pixels.shape[:2])


def _split(photos: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    """Split photographs: one in ten clean pictures validates, one at least, with all photographs that share it.

    The choice depends on the name of the first photograph of each picture alone. Photographs keep their order, except
    that validation begins with the first photograph of every picture, before the second ones.
    """
    sharing: dict[str, list[Photo]] = {}
    for photo in photos:
        sharing.setdefault(photo.fingerprint.digest, []).append(photo)
    ranked = sorted(sharing.values(), key=lambda group: _split_key(group[0].name))
    held = ranked[: max(1, len(ranked) // 10)]
    position = {photo: i for group in held for i, photo in enumerate(group)}
    validation = sorted((photo for photo in photos if photo in position), key=lambda photo: position[photo])
    return [photo for photo in photos if photo not in position], validation


def _require_scale(photos: Sequence[Photo], scale: int, enlarge: int, field: str) -> None:
    """Raise UserError for a pair of another scale than `scale`.

    Args:
        photos: the pairs.
        scale: factor by which inputs have to be smaller.
        enlarge: factor by which inputs have been enlarged; 1 if none were.
        field: name of the option, for the message.
    """
    for photo in photos:
        if photo.scale == scale:
            continue
        actual = "its input is " + (f"smaller by {photo.scale}" if photo.scale > 1 else "as large as its clean picture")
        if enlarge > 1:
            wanted = f"--enlarge true takes inputs as large, or smaller by {enlarge}"
        elif scale > 1:
            wanted = f"the network is to enlarge by {scale}"
            wanted += "; --enlarge true takes inputs of equal size as well" if photo.scale == 1 else ""
        else:
            wanted = "the network keeps sizes"
        raise UserError(f"{field}: {photo.name}: {actual}, and {wanted}")


def _dead_leaves_count(text: str, source: str) -> int:
    if not text:
        return 200
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"data: {source!r}: expected dead_leaves:COUNT, such as dead_leaves:500")
    return int(text)


_SIDE_END = Photo("", np.zeros((0, 0, 3), dtype=np.uint8))  # ends each side of the split in a digest


def _split_key(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
