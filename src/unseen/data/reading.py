"""Read photographs of any of the usual formats as 8-bit RGB."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..core.errors import UserError, one_line
from . import heif
from .claims import impossible_claim
from .file_kinds import READ, START, advice, kind_of_file
from .native_messages import silence_libtiff
from .photo import Photo, Pixels

# Without this list Pillow would open any format that it supports, whatever the suffix says, and some of these formats
# start other programs (EPS).
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")

_MOST_PIXELS = 178956970
"""The number of pixels above which a photograph is refused: twice Pillow's `MAX_IMAGE_PIXELS`, where Pillow refuses."""


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
    silence_libtiff()
    try:
        if _is_heif(path):
            header_size(path)
            return np.array(_to_rgb(heif.read_heif(path)), dtype=np.uint8)
        with Image.open(path, formats=_FORMATS) as image:
            _refuse_impossible(path, image)
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
        if _is_heif(path):
            picture = heif.open_heif(path)
            if picture.width * picture.height > _MOST_PIXELS:
                raise ValueError(_bomb_text(f"{picture.width}×{picture.height}"))
            return picture.height, picture.width
        with Image.open(path, formats=_FORMATS) as image:
            _refuse_impossible(path, image)
            return image.height, image.width
    except Exception as error:  # as in decode
        raise UnreadableImage(path, _reason(path, error)) from error


def unread_reason(kind: str) -> str:
    """Explain in one line why a file of a kind (`kind_of`) is not read."""
    if kind and kind not in READ:
        return f"{kind} is not read; {advice(kind)}"
    return "not a PNG, JPEG, TIFF, WebP or BMP image, or broken"


def _bomb_text(size: str) -> str:
    return f"claims {size} pixels, more than {_MOST_PIXELS}: a decompression bomb, or to be cut into parts"


def _is_heif(path: Path) -> bool:
    """Whether a file is AVIF or HEIC, of a kind that this machine decodes."""
    kind = _kind(path)
    return kind in heif.KINDS and heif.is_readable(kind)


def _refuse_impossible(path: Path, image: Image.Image) -> None:
    """Raise ValueError for a file that cannot hold the pixels that it claims."""
    with path.open("rb") as file:
        start = file.read(START)
    if reason := impossible_claim(path, kind_of_file(path, start), start, image.width, image.height):
        raise ValueError(reason)


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        return kind_of_file(path, file.read(START))


def _reason(path: Path, error: Exception) -> str:
    """Explain an error in one line without the path, in plain words where Pillow's are unclear."""
    if isinstance(error, UnidentifiedImageError):
        with suppress(OSError):  # gone in the meantime
            return "the file is empty" if path.stat().st_size == 0 else unread_reason(_kind(path))
    if isinstance(error, Image.DecompressionBombError):
        return _bomb_text("too many")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error)


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
