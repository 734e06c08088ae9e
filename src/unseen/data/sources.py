"""Where clean photographs come from: folders of the user's, the embedded ones, dead leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError
from .dead_leaves import dead_leaves_photos
from .embedded import embedded_photos
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
            photos, broken = load_photos(Path(source))
            if len(photos) < 2:
                raise UserError(f"data: {source}: needs two photographs at least, one of them to validate on")
            held = set(sorted(range(len(photos)), key=lambda i: _order(photos[i].name))[: max(1, len(photos) // 10)])
            train += [photo for i, photo in enumerate(photos) if i not in held]
            validation += [photo for i, photo in enumerate(photos) if i in held]
            skipped += broken
    if not validation or any(source == "embedded" for source in sources):
        validation += embedded_photos("validation")
    held_contents = {_content(photo) for photo in validation}  # a photograph given twice must not sit on both sides
    train = [photo for photo in train if _content(photo) not in held_contents]
    if not train:
        raise UserError(f"data: {', '.join(sources)}: all photographs are the same; one must be left to validate on")
    return Clean(train, validation, skipped)


def load_test_set(source: str) -> tuple[str, list[Photo], list[Skipped]]:
    """A test set's name, photographs and unreadable files; `NAME=DIR`, a folder, or `embedded`."""
    if source == "embedded":
        return source, embedded_photos("test"), []
    name, equals, folder = ("", "", source) if Path(source).exists() else source.partition("=")
    if not source or (equals and not (name and folder)):
        raise UserError(f"test: {source!r}: expected NAME=DIR, a folder, or embedded")
    path = Path(folder or name)
    photos, skipped = load_photos(path, memory=2**40)  # test images are never cut
    return (name if equals else path.resolve().name), photos, skipped


def _count(text: str, source: str) -> int:
    if not text:
        return 200
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"data: {source!r}: expected dead_leaves:COUNT, such as dead_leaves:500")
    return int(text)


def _content(photo: Photo) -> str:
    return hashlib.sha256(str(photo.pixels.shape).encode() + photo.pixels.tobytes()).hexdigest()


_END = Photo("", np.zeros((0, 0, 3), dtype=np.uint8))  # stands between the two parts in a digest


def _order(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
