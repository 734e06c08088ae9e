"""Folders of photographs: find them, read any of the usual formats as 8-bit RGB, hold them in memory."""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ..core.errors import UserError
from ..core.progress import track

Pixels = NDArray[np.uint8]
T = TypeVar("T")
R = TypeVar("R")

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
# Without this list Pillow would believe the content rather than the suffix, and among all that it
# knows are formats that start other programs (EPS).
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")

SMALLEST_WINDOW = 64
"""Side in pixels below which windows are refused: the usual training patch would no longer fit in one."""

THUMBNAIL = 96
"""The longest that a side of a thumbnail is, in pixels."""


class UnreadableImage(UserError):  # noqa: N818 (it says what is wrong, as UserError says whose it is)
    """One file is not an image that can be used; the message is "<path>: <reason>".

    `reason` is the message without the path.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is kept of a whole clean picture, to know it again where only a part of it is in memory.

    thumbnail: uint8 (h, w), its gray values averaged over boxes; both sides at most `THUMBNAIL`, and never enlarged.
    digest: hexadecimal digits of its size and pixels (SHA-256), the same for the same pixels alone.
    """

    thumbnail: Pixels
    digest: str

    @classmethod
    def of(cls, pixels: Pixels) -> Fingerprint:
        """From uint8 (H, W, 3)."""
        gray = Image.fromarray(pixels).convert("L")
        small = gray.resize((min(gray.width, THUMBNAIL), min(gray.height, THUMBNAIL)), Image.Resampling.BOX)
        return cls(np.array(small), hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest())


@dataclass(frozen=True, eq=False)
class Photo:
    """One photograph in memory.

    name: path relative to the folder it was found in, with forward slashes; the bare name if embedded.
    pixels: uint8 (H, W, 3), RGB, 0 to 255.
    recorded: the same scene as it was really recorded, distorted; as large, or smaller by a whole factor. None
        where the distortion is made.
    whole: what is kept of the picture that this is a part of; None where it is all of it.

    Two photographs are equal only if they are the same object: arrays have no single truth value.
    """

    name: str
    pixels: Pixels
    recorded: Pixels | None = None
    whole: Fingerprint | None = None

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Of the whole clean picture."""
        return self.whole or Fingerprint.of(self.pixels)

    @property
    def scale(self) -> int:
        """By how much the recorded picture is smaller than the clean one."""
        return 1 if self.recorded is None else self.pixels.shape[0] // self.recorded.shape[0]

    def window(self, top: int, left: int, height: int, width: int) -> Photo:
        """A part of it, at most so large, the recorded picture with it; corner and size in steps of `scale`."""
        s = self.scale
        top, left, height, width = (value // s for value in (top, left, height, width))
        clean = self.pixels[top * s : (top + height) * s, left * s : (left + width) * s]
        recorded = None if self.recorded is None else self.recorded[top : top + height, left : left + width]
        return Photo(self.name, clean, recorded, self.fingerprint)

    def centre(self, size: int) -> Photo:
        """The middle, at most `size` pixels a side."""
        top, left = (max(0, (side - size) // 2) for side in self.pixels.shape[:2])
        return self.window(top, left, size, size)


@dataclass(frozen=True)
class Skipped:
    """One file that could not be used, and why (one line)."""

    name: str
    reason: str


Found = tuple[list[Photo], list[Skipped]]


def generator_for(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on (seed, name) alone: not on what else there is, nor on the order."""
    # Names of files need not be valid UTF-8; hash() is no choice, it differs from process to process.
    digest = hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


# --------------------------------------------------------------------------------------------- finding


def find_photos(folder: Path, unlisted: Callable[[OSError], object] | None = None) -> list[Path]:
    """All photographs in `folder` and below, sorted by relative path.

    Counted are the suffixes in `SUFFIXES`, in either case. Hidden files and folders are not. Links to
    folders are followed, each folder once, so that a loop of links ends. A single image file may be given
    in place of a folder. Raises UserError if `folder` is missing, is neither, or holds no photograph, and for a folder
    that cannot be listed, unless that is told to `unlisted`.
    """
    if folder.is_file():
        if folder.suffix.lower() not in SUFFIXES:
            raise UserError(f"{folder}: neither a folder nor a photograph ({_suffix_list()})")
        return [folder]
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {state}; give a folder of photographs ({_suffix_list()})")
    found = [
        path for path in _walk(folder, unlisted or _refuse) if path.suffix.lower() in SUFFIXES and _may_be_file(path)
    ]
    if not found:
        raise UserError(f"{folder}: holds no photograph; counted are {_suffix_list()}, hidden files are not")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _suffix_list() -> str:
    return " ".join(SUFFIXES)


def _walk(folder: Path, unlisted: Callable[[OSError], object]) -> Iterator[Path]:
    """Every file below `folder` that is not hidden; each folder once, under its real name if that is here."""
    visited: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=unlisted, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        # Links last: a folder that can be reached both ways keeps its own name, on every file system.
        folders[:] = [name for name in folders if not name.startswith(".")]
        folders.sort(key=lambda name: (Path(parent, name).is_symlink(), name))
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _refuse(error: OSError) -> None:
    """Stop at a folder that cannot be listed: training on half the photographs unawares is worse."""
    raise UserError(f"{error.filename}: cannot be listed ({error.strerror}); make it readable or move it away")


def _may_be_file(path: Path) -> bool:
    """False for pipes and devices, which would block; true for a dangling link, which is then reported."""
    return path.is_file() or not path.exists()


# --------------------------------------------------------------------------------------------- reading


def read_photo(path: Path) -> Pixels:
    """Read one photograph as uint8 (H, W, 3) RGB, as a viewer would show it.

    Gray is replicated to three channels; 16-bit gray is scaled (not clipped) to 8 bits; palettes and CMYK are
    converted; the EXIF orientation is applied; of several frames the first is taken. Colour profiles are
    not applied. Transparency is composited over white: what lies under transparent pixels is arbitrary
    (often black, sometimes leftovers), and white is the page on which such pictures are made to be seen.

    Raises UnreadableImage for a file that is broken, cut short, too large to be honest (Pillow's limit on
    decompression bombs), or whose pixels have no known white (32-bit integers, floats).
    """
    with no_pillow_warnings():
        return decode(path)


@contextmanager
def no_pillow_warnings() -> Iterator[None]:
    # The filters belong to the whole process: enter this outside of a thread pool, never within.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode(path: Path) -> Pixels:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            image.load()
            return np.array(_to_rgb(_upright(image)), dtype=np.uint8)
    except Exception as error:  # a broken file makes Pillow's parsers raise nearly anything
        raise UnreadableImage(path, _reason(path, error)) from error


def header_size(path: Path) -> tuple[int, int]:
    """Height and width from the header alone; the EXIF orientation may yet exchange the two."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return image.height, image.width
    except Exception as error:  # as in decode
        raise UnreadableImage(path, _reason(path, error)) from error


def _reason(path: Path, error: Exception) -> str:
    """One line without the path, in words that help more than Pillow's where those are poor."""
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


# --------------------------------------------------------------------------------------------- loading


def load_photos(folder: Path, *, memory: int = 2 * 2**30, seed: int = 0) -> Found:
    """Read all photographs of `folder` (see `find_photos`) into at most `memory` bytes of pixels.

    Returns the photographs and the files that could not be read, both sorted by name. If the whole
    photographs would take more than `memory` bytes, each gives one window in their place, at random but fixed
    by (seed, name): every photograph takes part, and none is decoded a second time during training. All
    windows have the same side, the largest that fits; a photograph that is narrower or lower than this
    keeps its full extent in that direction, so that only the others are square.

    Raises UserError if nothing can be read, or if windows would be narrower than `SMALLEST_WINDOW`.
    """
    root = folder.parent if folder.is_file() else folder

    def read(path: Path) -> Found:
        name = path.relative_to(root).as_posix()
        try:
            return [Photo(name, decode(path))], []
        except UnreadableImage as error:
            return [], [Skipped(name, error.reason)]

    photos, skipped = load_fitting(dict.fromkeys(find_photos(folder), 1), read, root, memory, seed)
    if not photos:
        first = skipped[0]
        count = f"none of {len(skipped)} photographs can be read"
        raise UserError(f"{folder}: {count}; the first, {first.name}: {first.reason}")
    return photos, skipped


def load_fitting(
    pictures: Mapping[Path, int], read: Callable[[Path], Found], folder: Path, memory: int, seed: int
) -> Found:
    """Photographs, sorted by name, and files left out; windows in place of the whole where `memory` asks for them.

    pictures: clean pictures within `folder`, each with the number of arrays of its size that `read` makes of it.
    read: the photographs that share this clean picture, and the files to leave out. Their windows are of one place.
    Raises UserError as `load_photos` does.
    """
    paths = list(pictures)
    with no_pillow_warnings():
        sizes = in_threads(try_header, paths, "measuring photographs")
        counted = zip(sizes, pictures.values(), strict=True)  # what cannot be read is told below
        side = _window_side([size for size, n in counted if isinstance(size, tuple) for _ in range(n)], memory, folder)

        def read_windows(path: Path) -> Found:
            photos, skipped = read(path)
            if side is not None and photos:
                photos = _windows(photos, side, generator_for(seed, path.relative_to(folder).as_posix()))
            return photos, skipped

        found = in_threads(read_windows, paths, "reading photographs")
    photos = [photo for some, _ in found for photo in some]
    return sorted(photos, key=lambda photo: photo.name), [one for _, skipped in found for one in skipped]


def in_threads(work: Callable[[T], R], items: Sequence[T], description: str) -> list[R]:
    """Map in order; Pillow's decoders release the interpreter lock."""
    pool = ThreadPoolExecutor(max_workers=min(16, (os.cpu_count() or 1) + 1))
    try:
        return list(track(pool.map(work, items), description, total=len(items)))
    finally:
        # Without this an interrupt from the keyboard would first wait for every photograph.
        pool.shutdown(cancel_futures=True)


def try_header(path: Path) -> tuple[int, int] | UnreadableImage:
    try:
        return header_size(path)
    except UnreadableImage as error:
        return error


def _windows(photos: Sequence[Photo], side: int, generator: np.random.Generator) -> list[Photo]:
    """Copies, at most side x side, of one place anywhere in the clean picture that all the photographs share."""
    step = math.lcm(*(photo.scale for photo in photos))
    height, width = photos[0].pixels.shape[:2]
    top, left = (int(generator.integers(max(length - side, 0) + 1)) // step * step for length in (height, width))
    side = max(side // step, 1) * step
    parts = [photo.window(top, left, side, side) for photo in photos]
    clean = parts[0].pixels.copy()  # a view would keep the whole alive
    return [
        replace(part, pixels=clean, recorded=None if part.recorded is None else part.recorded.copy()) for part in parts
    ]


def _window_side(sizes: Sequence[tuple[int, int]], memory: int, folder: Path) -> int | None:
    """The largest side at which one window of each photograph fits; None if the whole photographs do."""

    def total(side: int) -> int:
        return sum(3 * min(side, height) * min(side, width) for height, width in sizes)

    low, high = 0, max((max(size) for size in sizes), default=0)
    if total(high) <= memory:
        return None
    while high - low > 1:  # total(low) fits and total(high) does not
        middle = (low + high) // 2
        low, high = (middle, high) if total(middle) <= memory else (low, middle)
    if low < SMALLEST_WINDOW:
        least = -(-total(SMALLEST_WINDOW) // 2**20)
        raise UserError(
            f"{folder}: {memory} bytes of memory leave a window of {low} pixels for each of {len(sizes)} "
            f"photographs; allow at least {least} MiB, or give fewer photographs"
        )
    return low
