"""Recorded pairs: a folder of distorted pictures and one of the clean ones they belong to."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from ..core.errors import UserError
from .loading import load_fitting
from .pair_names import match_pairs
from .photo import Fingerprint, Photo, Pixels
from .reading import Found, Skipped, UnreadableImage, decode

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)


def split_source(source: str, field: str) -> tuple[str, Path, Path]:
    """The set's name and its two folders, from `NAME=INPUT_DIR:TARGET_DIR`, each `expanded`.

    Raises UserError, naming `field`, for any other form.
    """
    name, _, folders = source.partition("=")
    inputs, _, targets = folders.partition(":")
    if not (name and inputs and targets):
        raise UserError(
            f"{field}: {source!r}: expected NAME=INPUT_DIR:TARGET_DIR, distorted pictures before clean ones"
        )
    return name, Path(expanded(inputs, field)), Path(expanded(targets, field))


def expanded(folder: str, field: str) -> str:
    """With a `~` in front and environment variables put in: so files of options can be the same on every machine.

    Variables are `$NAME` and `${NAME}`, of letters, digits and underscores, no digit first. A path that exists as it
    is written is taken as written. Raises UserError, naming `field`, for a variable that is not set, and for the `~`
    of a user who is not known.
    """
    if Path(folder).exists():
        return folder

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in os.environ:
            raise UserError(f"{field}: {folder}: {found[0]} is not set")
        return os.environ[name]

    try:
        return str(Path(_VARIABLE.sub(value, folder)).expanduser())
    except RuntimeError as error:
        raise UserError(f"{field}: {folder}: the home of this user is not known") from error


def load_pairs(
    inputs: Path, targets: Path, *, memory: int = 2 * 2**30, enlarge: int = 1, seed: int = 0
) -> tuple[list[Photo], list[Skipped]]:
    """Read pairs whose names match (see `match_pairs`) into at most `memory` bytes, as `load_photos` does.

    Photographs bear the name of the input. Those that share a target share its array, and one window of it. Left
    out, with a reason, are files without a partner, those that cannot be read, and pairs whose clean picture is not
    as large as the distorted one, or a whole multiple.
    enlarge: bring inputs that are smaller by this factor to the size of the clean picture, bicubically.
    Raises UserError if a folder is missing or nothing is left.
    """
    matched, alone = match_pairs(inputs, targets)
    sharing: defaultdict[Path, list[Path]] = defaultdict(list)
    for path, target in matched:
        sharing[target].append(path)

    def read(target: Path) -> Found:
        names = {path: path.relative_to(inputs).as_posix() for path in sharing[target]}
        try:
            clean = decode(target)
        except UnreadableImage as error:
            return [], [Skipped(name, f"its target: {error.reason}") for name in names.values()]
        whole = Fingerprint.of(clean)
        photos, skipped = [], []
        for path, name in names.items():
            try:
                photos.append(Photo(name, clean, _matched(decode(path), clean, enlarge), whole))
            except UnreadableImage as error:
                skipped.append(Skipped(name, error.reason))
            except ValueError as error:
                skipped.append(Skipped(name, str(error)))
        return photos, skipped

    counts = {target: 1 + len(paths) for target, paths in sharing.items()}
    photos, broken = load_fitting(counts, read, targets, memory, seed)
    skipped = [Skipped(name, reason) for name, _, reason in (line.partition(": ") for line in alone)] + broken
    if not photos:
        first = f"; the first, {skipped[0].name}: {skipped[0].reason}" if skipped else ""
        raise UserError(f"{inputs} and {targets}: no pair can be used{first}")
    return photos, skipped


def _matched(distorted: Pixels, clean: Pixels, enlarge: int) -> Pixels:
    """The distorted picture, as large as the clean one or smaller by a whole factor; enlarged if that is `enlarge`."""
    height, width = distorted.shape[:2]
    scale = clean.shape[0] // height
    if scale < 1 or clean.shape[:2] != (height * scale, width * scale):
        sizes = f"{width}×{height} for a clean picture of {clean.shape[1]}×{clean.shape[0]}"
        raise ValueError(f"{sizes}: neither equal nor smaller by a whole factor")
    return _enlarged(distorted, enlarge) if scale == enlarge > 1 else distorted


def _enlarged(pixels: Pixels, scale: int) -> Pixels:
    from .tensors import enlarge, to_tensor

    large = (enlarge(to_tensor(pixels), scale)[0] * 255).round().permute(1, 2, 0)
    return np.ascontiguousarray(large.byte().numpy())
