"""Find photographs in folders and read any of the usual formats as 8-bit RGB."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..core.errors import UserError
from .photo import Photo, Pixels

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

# Without this list Pillow would open any format that it supports, whatever the suffix says, and some of these formats
# start other programs (EPS).
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")


class UnreadableImage(UserError):  # noqa: N818 (it says what is wrong, as UserError says whose it is)
    """Error for a file that is not a usable image; the message is "<path>: <reason>".

    Attributes:
        reason: the message without the path.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class SkippedFile:
    """One file that could not be used.

    Attributes:
        name: the file's name, relative to the folder that the user named.
        reason: the reason, in one line.
    """

    name: str
    reason: str


PhotosAndSkipped = tuple[list[Photo], list[SkippedFile]]

# --------------------------------------------------------------------------------------------- finding


def find_photos(folder: Path, unlisted: Callable[[OSError], object] | None = None) -> list[Path]:
    """List all photographs in `folder` and below, sorted by relative path.

    Photographs are files with a suffix in `SUFFIXES`, in upper or lower case. Hidden files and folders are left out.
    Links to folders are followed, each folder once, so that a loop of links ends.

    Args:
        folder: a folder, or a single image file.
        unlisted: a function to call with the error of a folder that cannot be listed; None to raise UserError.

    Raises:
        UserError: if `folder` is missing, is neither a folder nor an image file, or holds no photograph; and for a
            folder that cannot be listed, if `unlisted` is None.
    """
    if folder.is_file():
        if folder.suffix.lower() not in SUFFIXES:
            raise UserError(f"{folder}: neither a folder nor a photograph ({_suffix_list()})")
        return [folder]
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {state}; give a folder of photographs ({_suffix_list()})")
    photos = [
        path for path in _walk(folder, unlisted or _refuse) if path.suffix.lower() in SUFFIXES and _may_be_file(path)
    ]
    if not photos:
        raise UserError(f"{folder}: holds no photograph; counted are {_suffix_list()}, hidden files are not")
    return sorted(photos, key=lambda path: path.relative_to(folder).as_posix())


def _suffix_list() -> str:
    return " ".join(SUFFIXES)


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


# --------------------------------------------------------------------------------------------- reading


def read_photo(path: Path) -> Pixels:
    """Read one photograph as uint8 (H, W, 3) RGB, as a viewer would show it.

    Gray is replicated to three channels; 16-bit gray is scaled (not clipped) to 8 bits; palettes and CMYK are
    converted; the EXIF orientation is applied; of several frames the first is taken. Colour profiles are not applied.
    Transparency is composited over white: the colour under transparent pixels is arbitrary (often black, sometimes
    leftovers), and white is the page on which such pictures are made to be seen.

    Raises:
        UnreadableImage: for a file that is broken, cut short, too large to be honest (Pillow's limit on decompression
            bombs), or whose pixels have no known white (32-bit integers, floats).
    """
    with no_pillow_warnings():
        return decode(path)


@contextmanager
def no_pillow_warnings() -> Iterator[None]:
    """Silence Pillow's warnings, for all threads of the process; enter outside of a thread pool, never in a thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode(path: Path) -> Pixels:
    """Read a photograph as `read_photo` does, but without silencing warnings: for threads, in `no_pillow_warnings`."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            image.load()
            return np.array(_to_rgb(_upright(image)), dtype=np.uint8)
    except Exception as error:  # a broken file makes Pillow's parsers raise nearly anything
        raise UnreadableImage(path, _reason(path, error)) from error


def header_size(path: Path) -> tuple[int, int]:
    """Read height and width from the header alone, before the EXIF orientation, which may exchange the two.

    Raises:
        UnreadableImage: as `read_photo` does, as far as the header shows a fault.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return image.height, image.width
    except Exception as error:  # as in decode
        raise UnreadableImage(path, _reason(path, error)) from error


def _reason(path: Path, error: Exception) -> str:
    """Explain an error in one line without the path, in plain words where Pillow's are unclear."""
    if isinstance(error, UnidentifiedImageError):
        try:
            empty = path.stat().st_size == 0
        except OSError:
            empty = False
        return "the file is empty" if empty else "not a PNG, JPEG, BMP, TIFF or WebP image, or broken"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF is no reason to lose a photograph whose pixels are sound
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    # Pillow's own conversion of 16-bit gray clips at 255: nearly every pixel would come out white.
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.int64)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        kind = "32-bit integer" if image.mode == "I" else "floating-point"
        raise ValueError(f"{kind} pixels have no known white; save it with 8 or 16 bits")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
