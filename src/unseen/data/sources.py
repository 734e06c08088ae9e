"""Where photographs come from: folders of the user's, alone or in pairs, the embedded ones, dead leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..parts import nearest
from .dead_leaves import dead_leaves_photos
from .embedded import embedded_photos
from .pairs import expanded, load_pairs, split_source
from .photographs import Photo, Skipped, load_photos


@dataclass(frozen=True)
class Clean:
    """Clean photographs of the training side, split once and for all; and the files that could not be read.

    The validation photographs are never trained on, and never test images.
    """

    train: list[Photo]
    validation: list[Photo]
    skipped: list[Skipped]

    def digest(self) -> str:
        """Twelve hexadecimal digits that change with any photograph, its name, or its side of the split."""
        parts = [_content(photo) + photo.name for part in (self.train, self.validation) for photo in [*part, _END]]
        return hashlib.sha256("/".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def training_photos(sources: Sequence[str]) -> Clean:
    """Every source's photographs together.

    sources: folders; `embedded`; `dead_leaves` or `dead_leaves:COUNT`. Of a folder, every tenth photograph
    (one at least) validates, chosen by its name alone, so that every seed and method has the same split.
    Dead leaves alone are validated on the embedded validation photograph: what counts is how training on
    them carries over. Raises UserError, naming the source, where there is nothing to train on.
    """
    train: list[Photo] = []
    validation: list[Photo] = []
    skipped: list[Skipped] = []
    for source in sources:
        kind, _, count = source.partition(":")
        if kind == "embedded":
            train += embedded_photos("train")
        elif kind == "dead_leaves":
            train += dead_leaves_photos(_count(count, source))
        else:
            photos, broken = load_photos(Path(expanded(source, "data")))
            if len(photos) < 2:
                raise UserError(f"data: {source}: needs two photographs at least, one of them to validate on")
            parts = _split(photos)
            train, validation, skipped = train + parts[0], validation + parts[1], skipped + broken
    if not validation or any(source == "embedded" for source in sources):
        validation += embedded_photos("validation")
    held_contents = {_content(photo) for photo in validation}  # a photograph given twice must not sit on both sides
    train = [photo for photo in train if _content(photo) not in held_contents]
    if not train:
        raise UserError(f"data: {', '.join(sources)}: all photographs are the same; one must be left to validate on")
    return Clean(train, validation, skipped)


def training_pairs(sources: Sequence[str], wanted: Collection[str], scale: int, enlarge: int) -> dict[str, Clean]:
    """Recorded pairs to train on by the name of their set, each split as a folder of photographs is.

    sources: `NAME=INPUT_DIR:TARGET_DIR`. wanted: the sets that are trained on. scale: by how much their inputs are
    smaller. Raises UserError for one that is not given, not wanted, or of another scale.
    """
    given = {name: (inputs, targets) for name, inputs, targets in (split_source(s, "pairs") for s in sources)}
    for name in given:
        if name not in wanted:
            known = ", ".join(wanted) if wanted else "none"
            raise UserError(f"pairs: {name!r} is no set that this trains on; it wants {known}{nearest(name, wanted)}")
    found = {}
    for name in wanted:
        if name not in given:
            raise UserError(f"pairs: {name} is trained on; give --pairs {name}=INPUT_DIR:TARGET_DIR")
        photos, skipped = load_pairs(*given[name], enlarge=enlarge)
        if len(photos) < 2:
            raise UserError(f"pairs: {name}: needs two pairs at least, one of them to validate on")
        _require_scale(photos, scale, f"pairs: {name}")
        found[name] = Clean(*_split(photos), skipped)
    return found


def load_test_set(source: str, scale: int = 1, enlarge: int = 1) -> tuple[str, list[Photo], list[Skipped]]:
    """A test set's name, photographs and files left out.

    source: `NAME=DIR` or a folder, clean; `NAME=INPUT_DIR:TARGET_DIR`, recorded pairs; or `embedded`.
    scale: by how much inputs are smaller; clean photographs are cut to a multiple of it at right and bottom.
    """
    if source == "embedded":
        return source, trimmed(embedded_photos("test"), scale), []
    source = expanded(source, "test")
    name, equals, folder = ("", "", source) if Path(source).exists() else source.partition("=")
    if not source or (equals and not (name and folder)):
        raise UserError(f"test: {source!r}: expected NAME=DIR, NAME=INPUT_DIR:TARGET_DIR, a folder, or embedded")
    if equals and ":" in folder and not Path(folder).exists():
        name, inputs, targets = split_source(source, "test")
        photos, skipped = load_pairs(inputs, targets, memory=2**40, enlarge=enlarge)
        _require_scale(photos, scale, f"test: {name}")
        return name, photos, skipped
    path = Path(folder or name)
    photos, skipped = load_photos(path, memory=2**40)  # test images are never cut
    return (name if equals else path.resolve().name), trimmed(photos, scale), skipped


def _split(photos: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    """Every tenth photograph validates, one at least, chosen by its name alone."""
    held = set(sorted(range(len(photos)), key=lambda i: _order(photos[i].name))[: max(1, len(photos) // 10)])
    return (
        [photo for i, photo in enumerate(photos) if i not in held],
        [photo for i, photo in enumerate(photos) if i in held],
    )


def _require_scale(photos: Sequence[Photo], scale: int, field: str) -> None:
    for photo in photos:
        if photo.scale != scale:
            given = f"its input is smaller by {photo.scale}, and the network is to enlarge by {scale}"
            raise UserError(f"{field}: {photo.name}: {given}; --enlarge true takes inputs of equal size")


def trimmed(photos: Sequence[Photo], scale: int) -> list[Photo]:
    """Cut to a multiple of `scale` at right and bottom."""
    return [
        photo.window(0, 0, photo.pixels.shape[0] // scale * scale, photo.pixels.shape[1] // scale * scale)
        for photo in photos
    ]


def _count(text: str, source: str) -> int:
    if not text:
        return 200
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"data: {source!r}: expected dead_leaves:COUNT, such as dead_leaves:500")
    return int(text)


def _content(photo: Photo) -> str:
    pictures = [photo.pixels] if photo.recorded is None else [photo.pixels, photo.recorded]
    return hashlib.sha256(b"".join(str(p.shape).encode() + p.tobytes() for p in pictures)).hexdigest()


_END = Photo("", np.zeros((0, 0, 3), dtype=np.uint8))  # stands between the two parts in a digest


def _order(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
