"""Recorded pairs: a folder of distorted pictures and one of the clean ones they belong to."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from ..errors import UserError
from .pairing import match_pairs
from .photographs import (
    Photo,
    Pixels,
    Skipped,
    UnreadableImage,
    decode,
    in_threads,
    no_pillow_warnings,
    random_window,
    try_header,
    window_side,
)


def split_source(source: str, field: str) -> tuple[str, Path, Path]:
    """The set's name and its two folders, from `NAME=INPUT_DIR:TARGET_DIR`. Raises UserError, naming `field`."""
    name, _, folders = source.partition("=")
    inputs, _, targets = expanded(folders, field).partition(":")
    if not (name and inputs and targets):
        raise UserError(
            f"{field}: {source!r}: expected NAME=INPUT_DIR:TARGET_DIR, distorted pictures before clean ones"
        )
    return name, Path(inputs), Path(targets)


def expanded(folder: str, field: str) -> str:
    """With `~` and environment variables put in: so files of options can be the same on every machine.

    Raises UserError, naming `field`, for a variable that is not set.
    """
    path = os.path.expandvars(Path(folder).expanduser())
    if missing := re.search(r"\$(\w+|\{\w+\})", path):
        raise UserError(f"{field}: {folder}: {missing[0]} is not set")
    return path


def load_pairs(
    inputs: Path, targets: Path, *, memory: int = 2 * 2**30, enlarge: int = 1, seed: int = 0
) -> tuple[list[Photo], list[Skipped]]:
    """Read pairs whose names match (see `match_pairs`) into at most `memory` bytes, as `load_photos` does.

    Photographs bear the name of the input. Left out, with a reason, are files without a partner, those that
    cannot be read, and pairs whose clean picture is not as large as the distorted one, or a whole multiple.
    enlarge: bring inputs that are smaller by this factor to the size of the clean picture, bicubically.
    Raises UserError if a folder is missing or nothing is left.
    """
    matched, alone = match_pairs(inputs, targets)
    skipped = [Skipped(name, reason) for name, _, reason in (line.partition(": ") for line in alone)]
    with no_pillow_warnings():
        sizes = in_threads(try_header, [target for _, target in matched], "measuring pairs")
        readable = [size for size in sizes if isinstance(size, tuple)]
        side = window_side(readable, memory // 2, targets)

        def read(pair: tuple[Path, Path]) -> Photo | Skipped:
            name = pair[0].relative_to(inputs).as_posix()
            try:
                photo = _matched(name, decode(pair[0]), decode(pair[1]), enlarge)
            except UnreadableImage as error:
                return Skipped(name, error.reason)
            except ValueError as error:
                return Skipped(name, str(error))
            return photo if side is None else random_window(photo, side, seed)

        results = in_threads(read, matched, "reading pairs")
    photos = [result for result in results if isinstance(result, Photo)]
    skipped += [result for result in results if isinstance(result, Skipped)]
    if not photos:
        first = f"; the first, {skipped[0].name}: {skipped[0].reason}" if skipped else ""
        raise UserError(f"{inputs} and {targets}: no pair can be used{first}")
    return photos, skipped


def _matched(name: str, distorted: Pixels, clean: Pixels, enlarge: int) -> Photo:
    """One pair, the distorted picture as large as the clean one or smaller by a whole factor."""
    if enlarge > 1 and distorted.shape[0] * enlarge == clean.shape[0]:
        distorted = _enlarged(distorted, enlarge)
    height, width = distorted.shape[:2]
    scale = clean.shape[0] // height
    if scale < 1 or clean.shape[:2] != (height * scale, width * scale):
        sizes = f"{width}×{height} for a clean picture of {clean.shape[1]}×{clean.shape[0]}"
        raise ValueError(f"{sizes}: neither equal nor smaller by a whole factor")
    return Photo(name, clean, distorted)


def _enlarged(pixels: Pixels, scale: int) -> Pixels:
    from ..distortions.enlarged import enlarge
    from .patches import to_tensor

    large = (enlarge(to_tensor(pixels), scale)[0] * 255).round().permute(1, 2, 0)
    return np.ascontiguousarray(large.byte().numpy())
