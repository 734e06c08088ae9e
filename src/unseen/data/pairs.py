"""Recorded pairs: a folder of distorted pictures and one of the clean ones that they belong to."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from ..core.errors import UserError
from ..core.terminal import tell
from .loading import load_within_memory
from .pair_names import match_pairs
from .photo import Fingerprint, Photo, Pixels
from .reading import PhotosAndSkipped, SkippedFile, UnreadableImage, decode


def load_pairs(
    inputs: Path, targets: Path, *, memory: int | None = 2 * 2**30, enlarge: int = 1, seed: int = 0
) -> tuple[list[Photo], list[SkippedFile]]:
    """Read pairs whose names match (see `match_pairs`) into at most `memory` bytes, as `load_photos` does.

    Args:
        inputs: folder of distorted pictures.
        targets: folder of clean pictures.
        memory: the largest number of bytes of all pixels together; None to read all photographs whole.
        enlarge: factor of the bicubic enlargement of inputs that are smaller by just this factor; 1 for none.
        seed: seed of the windows' places.

    Returns:
        The pairs as photographs, and the files left out, with a reason: files without a partner, those that cannot be
        read, and pairs whose clean picture, cut as `cut_to_scale` does, is neither as large as the distorted one nor a
        whole multiple. Photographs bear the name of the input. Photographs that share a target share
        its array, and one window of it.

    Raises:
        UserError: if a folder is missing or nothing is left.
    """
    matched, problems = match_pairs(inputs, targets)
    cut_names: list[str] = []
    sharing: defaultdict[Path, list[Path]] = defaultdict(list)
    for path, target in matched:
        sharing[target].append(path)

    def read(target: Path) -> PhotosAndSkipped:
        names = {path: path.relative_to(inputs).as_posix() for path in sharing[target]}
        try:
            clean = decode(target)
        except UnreadableImage as error:
            return [], [SkippedFile(name, f"its target: {error.reason}") for name in names.values()]
        whole = Fingerprint.of(clean)
        photos, skipped = [], []
        for path, name in names.items():
            try:
                distorted = decode(path)
                cut = cut_to_scale(clean, distorted)
                photos.append(Photo(name, cut, _at_whole_scale(distorted, cut, enlarge), whole))
                if cut is not clean:
                    cut_names.append(name)
            except UnreadableImage as error:
                skipped.append(SkippedFile(name, error.reason))
            except ValueError as error:
                skipped.append(SkippedFile(name, str(error)))
        return photos, skipped

    counts = {target: 1 + len(paths) for target, paths in sharing.items()}
    photos, broken = load_within_memory(counts, read, targets, memory, seed)
    skipped = [SkippedFile(name, reason) for name, _, reason in (problem.partition(": ") for problem in problems)]
    skipped += broken
    if not photos:
        first = f"; the first, {skipped[0].name}: {skipped[0].reason}" if skipped else ""
        raise UserError(f"{inputs} and {targets}: no pair can be used{first}")
    if cut_names:
        cut = "1 clean picture is" if len(cut_names) == 1 else f"{len(cut_names)} clean pictures are"
        tell(f"{targets}: {cut} cut to a multiple of the input, as papers do (first: that of {min(cut_names)})")
    return photos, skipped


def cut_to_scale(clean: Pixels, distorted: Pixels) -> Pixels:
    """Cut a clean picture at right and bottom to whole multiples of the distorted one's sides, where these miss it.

    Sets for super-resolution are made so: the clean picture is cut to a multiple of the scale before it is made small,
    and the uncut one is published. Only less than a pixel of the distorted picture is cut away; else the clean picture
    is returned as it is.
    """
    height, width = distorted.shape[:2]
    scale = clean.shape[0] // height
    rest = (clean.shape[0] - scale * height, clean.shape[1] - scale * width)
    if scale > 1 and any(rest) and all(0 <= side < scale for side in rest):
        return clean[: scale * height, : scale * width]
    return clean


def _at_whole_scale(distorted: Pixels, clean: Pixels, enlarge: int) -> Pixels:
    """Return the distorted picture, enlarged if it is smaller than the clean one by just the factor `enlarge`.

    Raises ValueError unless it is as large as the clean picture or smaller by a whole factor.
    """
    height, width = distorted.shape[:2]
    scale = clean.shape[0] // height
    if scale < 1 or clean.shape[:2] != (height * scale, width * scale):
        sizes = f"{width}×{height} for a clean picture of {clean.shape[1]}×{clean.shape[0]}"
        raise ValueError(f"{sizes}: neither equal nor smaller by a whole factor")
    return _enlarged(distorted, enlarge) if scale == enlarge > 1 else distorted


def _enlarged(pixels: Pixels, scale: int) -> Pixels:
    from .tensors import enlarge, to_pixels, to_tensor  # loads torch, which `check-data` can do without

    return np.ascontiguousarray(to_pixels(enlarge(to_tensor(pixels), scale)))
