"""Recorded pairs: a folder of distorted pictures and one of the clean ones that they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from .loading import MEMORY, load_within_memory
from .pair_fit import fitted_pair, tell_of_cuts
from .pair_names import match_pairs
from .photo import Fingerprint, Photo, Pixels
from .reading import PhotosAndSkipped, SkippedFile, UnreadableImage, decode


@dataclass(frozen=True)
class Scene:
    """A clean picture and the distorted ones that belong to it.

    Attributes:
        target: the clean picture.
        inputs: the distorted pictures, each with its name, the path relative to their folder.
    """

    target: Path
    inputs: Mapping[Path, str]

    def read(self, enlarge: int = 1) -> tuple[Pixels | None, list[Photo], list[SkippedFile]]:
        """Read all pictures of the scene.

        Args:
            enlarge: factor of the bicubic enlargement of inputs that are smaller by just this factor; 1 for none.

        Returns:
            The clean picture, None if it cannot be read; the pairs, which share its array; and the files left out.
        """
        try:
            clean = decode(self.target)
        except UnreadableImage as error:
            return None, [], [SkippedFile(name, f"its target: {error.reason}") for name in self.inputs.values()]
        whole = Fingerprint.of(clean)
        photos, skipped = [], []
        for path, name in self.inputs.items():
            try:
                photos.append(fitted_pair(name, clean, decode(path), whole, enlarge))
            except UnreadableImage as error:
                skipped.append(SkippedFile(name, error.reason))
            except ValueError as error:
                skipped.append(SkippedFile(name, str(error)))
        return clean, photos, skipped


def matched_scenes(inputs: Path, targets: Path) -> tuple[list[Scene], list[SkippedFile]]:
    """List the scenes of two folders whose names match (see `match_pairs`), and the files without a partner."""
    matched, problems = match_pairs(inputs, targets)
    sharing: defaultdict[Path, dict[Path, str]] = defaultdict(dict)
    for path, target in matched:
        sharing[target][path] = path.relative_to(inputs).as_posix()
    skipped = [SkippedFile(name, reason) for name, _, reason in (problem.partition(": ") for problem in problems)]
    return [Scene(target, names) for target, names in sharing.items()], skipped


def load_pairs(
    inputs: Path, targets: Path, *, memory: int | None = MEMORY, enlarge: int = 1, seed: int = 0
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
    scenes, skipped = matched_scenes(inputs, targets)
    scene_of = {scene.target: scene for scene in scenes}
    cut_names: list[str] = []

    def read(target: Path) -> PhotosAndSkipped:
        clean, photos, broken = scene_of[target].read(enlarge)
        cut_names.extend(photo.name for photo in photos if photo.pixels is not clean)
        return photos, broken

    counts = {scene.target: 1 + len(scene.inputs) for scene in scenes}
    photos, broken = load_within_memory(counts, read, targets, memory, seed)
    skipped += broken
    if not photos:
        first = f"; the first, {skipped[0].name}: {skipped[0].reason}" if skipped else ""
        raise UserError(f"{inputs} and {targets}: no pair can be used{first}")
    tell_of_cuts(targets, cut_names)
    return photos, skipped
