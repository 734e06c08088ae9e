"""Find the photographs of a folder, and name what the folder holds of other pictures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from . import heif
from .file_kinds import READ, START, advice, kind_of_file
from .reading import SkippedFile, unread_reason

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".bmp", ".dib", ".tif", ".tiff", ".webp")
"""The suffixes of photographs: files under such names are read whatever their first bytes are."""
_COPIES = ("_original", "~", ".bak", ".crdownload", ".part", ".thm", ".tmp")
"""Endings of files that are other programs' copies, downloads in hand, and previews."""
_COUNTED = "a photograph (PNG, JPEG, TIFF, WebP, BMP, AVIF, and HEIC where libvips has it)"


@dataclass(frozen=True)
class FolderContents:
    """The pictures in a folder and below it.

    Attributes:
        folder: the folder that names are relative to; of a single photograph, the folder that the photograph is in.
        photos: the photographs, sorted by name.
        left_out: pictures of kinds that are not read, each with its kind (`kind_of`), sorted by name.
    """

    folder: Path
    photos: list[Path]
    left_out: list[tuple[Path, str]]

    def named_photos(self) -> list[tuple[Path, Path]]:
        """List every photograph with its name, the path relative to the folder."""
        return [(path, path.relative_to(self.folder)) for path in self.photos]

    def skipped(self) -> list[SkippedFile]:
        """List the folder as skipped in part, with the number of pictures left out; nothing if all are read."""
        if not self.left_out:
            return []
        return [SkippedFile(self.folder.name or str(self.folder), left_out_text(self.left_out))]


def left_out_text(pictures: Sequence[tuple[Path, str]]) -> str:
    """Count pictures that are left out by their kinds, in one line that says what to do.

    Args:
        pictures: the path and the kind of each picture.
    """
    counts = Counter(kind for _, kind in pictures)
    tally = ", ".join(f"{n} {kind}" for kind, n in counts.most_common())
    files = "1 file" if len(pictures) == 1 else f"{len(pictures)} files"
    return f"{files} left out: {tally} (first: {pictures[0][0].name}); {advice(*counts)}"


def find_photos(folder: Path, unlisted: Callable[[OSError], object] | None = None) -> list[Path]:
    """List the photographs of a folder, as `list_folder` does."""
    return list_folder(folder, unlisted).photos


def list_folder(folder: Path, unlisted: Callable[[OSError], object] | None = None) -> FolderContents:
    """List all photographs in `folder` and below, and the pictures of other kinds.

    Photographs are files with a suffix in `SUFFIXES`, in upper or lower case, and all others whose first bytes are of a
    kind that is read, whatever their names. Hidden files and folders are left out. Links to folders are followed, each
    folder once, so that a loop of links ends.

    Args:
        folder: a folder, or a single image file.
        unlisted: a function to call with the error of a folder that cannot be listed; None to raise UserError.

    Raises:
        UserError: if `folder` is missing, is neither a folder nor an image file, or holds no photograph; and for a
            folder that cannot be listed, if `unlisted` is None.
    """
    if folder.is_file():
        if kind := unread_kind(folder):
            raise UserError(f"{folder}: {unread_reason(kind)}")
        if not _kind(folder):
            raise UserError(f"{folder}: neither a folder nor {_COUNTED}")
        return FolderContents(folder.parent, [folder], [])
    require_folder(folder)
    kinds = [(path, _kind(path)) for path in _walk(folder, unlisted or _refuse) if _may_be_file(path)]
    kinds.sort(key=lambda pair: pair[0].relative_to(folder).as_posix())
    photos = [path for path, kind in kinds if is_read(kind)]
    contents = FolderContents(folder, photos, [(path, kind) for path, kind in kinds if kind and not is_read(kind)])
    if not photos:
        rest = left_out_text(contents.left_out) if contents.left_out else f"counted is {_COUNTED}; hidden files are not"
        raise UserError(f"{folder}: holds no photograph; {rest}")
    return contents


def require_folder(folder: Path) -> None:
    """Raise UserError where there is no such folder."""
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {state}; give a folder of photographs")


def unread_kind(path: Path) -> str:
    """The kind (`kind_of`) of a file that is a picture of a kind that is not read; empty for all else."""
    kind = _kind(path) if path.is_file() else ""
    return "" if is_read(kind) else kind


def is_read(kind: str) -> bool:
    """Whether files of a kind (`kind_of`) are read on this machine."""
    return kind in READ or (kind in heif.KINDS and heif.is_readable(kind))


def _kind(path: Path) -> str:
    """The kind of a file: by its suffix if that is of photographs, else by its first bytes; empty for no picture."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return "jpeg"  # for all that is read
    if path.name.lower().endswith(_COPIES):
        return ""
    try:
        with path.open("rb") as file:
            return kind_of_file(path, file.read(START))
    except OSError:
        return ""


def _walk(folder: Path, unlisted: Callable[[OSError], object]) -> Iterator[Path]:
    """Yield every file below `folder` that is not hidden; each folder once, by its real path if that is below, too."""
    visited: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=unlisted, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        # Links last: a folder that a link points to, too, keeps its own name, on every file system.
        folders[:] = [name for name in folders if not name.startswith(".")]
        folders.sort(key=lambda name: (Path(parent, name).is_symlink(), name))
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _refuse(error: OSError) -> None:
    """Raise UserError for a folder that cannot be listed: training on half the photographs unnoticed is worse."""
    raise UserError(f"{error.filename}: cannot be listed ({error.strerror}); make it readable or move it away")


def _may_be_file(path: Path) -> bool:
    """Return False for pipes and devices, which would block; True for a dangling link, which is then reported."""
    return path.is_file() or not path.exists()
