"""Load folders of photographs, whole or in windows, within a bound of memory."""

from __future__ import annotations

import hashlib
import math
import os
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..core.errors import UserError
from ..core.progress import track
from ..core.terminal import tell
from ..core.units import bytes_in_words
from .finding import list_folder
from .pack import is_pack, load_pack
from .photo import Photo
from .reading import (
    PhotosAndSkipped,
    SkippedFile,
    UnreadableImage,
    decode,
    header_size,
    no_pillow_warnings,
)
from .shrinking import bytes_of_copies, shrunk

T = TypeVar("T")

R = TypeVar("R")

MOST_DECODED = 2**27
"""Pixels that are decoded at a time: Pillow takes up to 16 bytes for each while it converts, two gibibytes in all."""
MEMORY = 2 * 2**30
"""Bytes of the pixels of one folder that are held in memory, unless an option says another number."""
SMALLEST_WINDOW = 64
"""Side in pixels below which windows are refused: the usual training patch would no longer fit in one."""


def numpy_generator(seed: int, name: str) -> np.random.Generator:
    """Return a generator that depends on (seed, name) alone: not on other names, nor on their order."""
    # Names of files need not be valid UTF-8; hash() is no choice, it differs from process to process.
    digest = hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


# --------------------------------------------------------------------------------------------- loading


def load_photos(folder: Path, *, memory: int | None = MEMORY, seed: int = 0, shrink: float = 1) -> PhotosAndSkipped:
    """Read all photographs of `folder` (see `list_folder`) into at most `memory` bytes, or view those of a pack.

    If the whole photographs would take more than `memory` bytes, a window of each takes the photograph's place, at
    random but fixed by (seed, name): every photograph is used, and none is decoded a second time during training. All
    windows have the same side, the largest that fits; a photograph that is narrower or lower than this side keeps its
    full extent in that direction, so that only the other windows are square. That is told. The photographs of a pack
    are always whole.

    Args:
        folder: a folder, a single photograph, or a pack.
        memory: the largest number of bytes of all pixels together; None to read all photographs whole.
        seed: seed of the windows' places.
        shrink: the largest factor by which photographs and windows are shrunk (see `shrunk`).

    Returns:
        The photographs and the files that could not be read, both sorted by name; thereafter, as one, the pictures of
        kinds that are not read.

    Raises:
        UserError: if nothing can be read, if windows would be narrower than `SMALLEST_WINDOW` once they are shrunk, if
            the whole photographs would not fit into the memory of this machine, for a pack of recorded pairs, and for
            any pack that is to be shrunk.
    """
    if is_pack(folder):
        refuse_to_shrink_pack(folder, shrink)
        packed = load_pack(folder)
        if any(photo.recorded is not None for photo in packed):
            raise UserError(f"{folder}: is a pack of recorded pairs; give a folder or a pack of clean photographs")
        return packed, []
    contents = list_folder(folder)

    def read(path: Path) -> PhotosAndSkipped:
        name = path.relative_to(contents.folder).as_posix()
        try:
            return [Photo(name, decode(path))], []
        except UnreadableImage as error:
            return [], [SkippedFile(name, error.reason)]

    photos, skipped = load_within_memory(dict.fromkeys(contents.photos, 1), read, contents.folder, memory, seed, shrink)
    if not photos:
        first = skipped[0]
        count = f"none of {len(skipped)} photographs can be read"
        raise UserError(f"{folder}: {count}; the first, {first.name}: {first.reason}")
    return photos, skipped + contents.skipped()


def refuse_to_shrink_pack(folder: Path, shrink: float) -> None:
    """Raise UserError for a pack that is to be shrunk: its pixels stay in its files, as large as they are."""
    if shrink > 1 and is_pack(folder):
        raise UserError(f"shrink: {folder}: a pack is used as it is; give the folder of its photographs in its place")


def load_within_memory(
    pictures: Mapping[Path, int],
    read: Callable[[Path], PhotosAndSkipped],
    folder: Path,
    memory: int | None,
    seed: int,
    shrink: float = 1,
) -> PhotosAndSkipped:
    """Read photographs whole, or one window of each where the whole would not fit into `memory`.

    Args:
        pictures: clean pictures within `folder`, each with the number of arrays of its size that `read` makes of it.
        read: a function that returns the photographs that share a clean picture, and the files to leave out. All these
            photographs get the same window.
        folder: the common folder of the pictures.
        memory: the largest number of bytes of all pixels together; None to read all photographs whole.
        seed: seed of the windows' places.
        shrink: the largest factor by which photographs, clean ones alone, are shrunk as they are read (see `shrunk`).

    Returns:
        Photographs, sorted by name, and files left out.

    Raises:
        UserError: as `load_photos` does.
    """
    paths = list(pictures)
    with no_pillow_warnings():
        sizes = map_in_threads(size_or_error, paths, "measuring photographs")
        counts = zip(sizes, pictures.values(), strict=True)  # unreadable files are reported below
        arrays = [size for size, n in counts if isinstance(size, tuple) for _ in range(n)]
        if memory is None:
            _require_machine_memory(arrays, folder)
        side = None if memory is None else _window_side(arrays, memory, folder, shrink)
        if side is not None:
            tell(_windows_text(arrays, memory or 0, side, folder, shrink))

        def read_windows(path: Path) -> PhotosAndSkipped:
            photos, skipped = read(path)
            if side is not None and photos:
                photos = _windows(photos, side, numpy_generator(seed, path.relative_to(folder).as_posix()))
            return [shrunk(photo, shrink) for photo in photos], skipped

        results = map_in_threads(read_windows, paths, "reading photographs", sizes)
    photos = [photo for batch, _ in results for photo in batch]
    return sorted(photos, key=lambda photo: photo.name), [one for _, skipped in results for one in skipped]


def map_in_threads(
    work: Callable[[T], R],
    items: Sequence[T],
    description: str,
    sizes: Sequence[tuple[int, int] | UnreadableImage] = (),
) -> list[R]:
    """Apply `work` to every item in threads, in order, with a progress bar (see `in_threads`)."""
    return list(track(in_threads(work, items, sizes), description, total=len(items)))


def in_threads(
    work: Callable[[T], R], items: Sequence[T], sizes: Sequence[tuple[int, int] | UnreadableImage] = ()
) -> Generator[R, None, None]:
    """Apply `work` to every item in threads, and yield the results in order; a few are held ready, and no more.

    Threads help since Pillow's decoders release the interpreter lock.

    Args:
        work: the function.
        items: arguments of the function.
        sizes: height and width of the pictures that the function decodes. The larger they are, the fewer at a time, for
            a thread keeps memory that it has once had.
    """
    largest = max((size[0] * size[1] for size in sizes if isinstance(size, tuple)), default=1)
    workers = max(1, min(16, (os.cpu_count() or 1) + 1, MOST_DECODED // max(largest, 1)))
    pool = ThreadPoolExecutor(max_workers=workers)
    ahead: deque[Future[R]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        # Without this an interrupt from the keyboard would first wait for every photograph.
        pool.shutdown(cancel_futures=True)


def size_or_error(path: Path) -> tuple[int, int] | UnreadableImage:
    """Read height and width from a header, as `header_size` does; the error of a file without one."""
    try:
        return header_size(path)
    except UnreadableImage as error:
        return error


def _windows(photos: Sequence[Photo], side: int, generator: np.random.Generator) -> list[Photo]:
    """Copy one window, at most side x side, at a random place of the clean picture that all the photographs share."""
    step = math.lcm(*(photo.scale for photo in photos))
    # Pictures that share a clean one may have cut it to multiples of their own.
    height, width = (min(photo.pixels.shape[axis] for photo in photos) for axis in (0, 1))
    top, left = (int(generator.integers(max(length - side, 0) + 1)) // step * step for length in (height, width))
    side = max(side // step, 1) * step
    sides = [min(side, max(length // step, 1) * step) for length in (height, width)]
    windows = [photo.window(top, left, *sides) for photo in photos]
    clean = windows[0].pixels.copy()  # a view would keep the whole picture in memory
    return [
        replace(window, pixels=clean, recorded=None if window.recorded is None else window.recorded.copy())
        for window in windows
    ]


def _require_machine_memory(sizes: Sequence[tuple[int, int]], folder: Path) -> None:
    """Raise UserError where whole photographs take more than the memory of this machine."""
    needed = sum(3 * height * width for height, width in sizes)
    available = machine_memory()
    if needed > available:
        raise UserError(
            f"{folder}: its photographs take {needed / 2**30:.1f} GiB of memory together, and this machine has "
            f"{available / 2**30:.1f} GiB; give fewer"
        )


def machine_memory() -> int:
    """Bytes of memory that this machine has; more than anything needs where the system does not say."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**63


def _window_side(sizes: Sequence[tuple[int, int]], memory: int, folder: Path, shrink: float) -> int | None:
    """Return the largest side at which one window of each photograph fits; None if the whole photographs do."""

    def total(side: int) -> int:
        return sum(bytes_of_copies(min(side, height), min(side, width), shrink) for height, width in sizes)

    low, high = 0, max((max(size) for size in sizes), default=0)
    if total(high) <= memory:
        return None
    while high - low > 1:  # total(low) fits and total(high) does not
        middle = (low + high) // 2
        low, high = (middle, high) if total(middle) <= memory else (low, middle)
    smallest = math.ceil(SMALLEST_WINDOW * shrink)
    if low < smallest:
        least = -(-total(smallest) // 2**20)
        or_pack = ", or let `unseen pack` make a pack of them, which needs none" if shrink == 1 else ""
        raise UserError(
            f"{folder}: {memory} bytes of memory leave a window of {low} pixels for each of {len(sizes)} "
            f"photographs; allow at least {least} MiB{or_pack}"
        )
    return low


def _windows_text(sizes: Sequence[tuple[int, int]], memory: int, side: int, folder: Path, shrink: float) -> str:
    """Say in one line how much of the photographs will be used, and how to use all."""
    whole = sum(bytes_of_copies(height, width, shrink) for height, width in sizes)
    share = sum(bytes_of_copies(min(side, height), min(side, width), shrink) for height, width in sizes) / whole
    shrunk_first, whole_in = ("", "; `unseen pack` makes a pack, used whole") if shrink == 1 else (", shrunk,", "")
    return (
        f"{folder}: its pictures{shrunk_first} take {bytes_in_words(whole)}, more than --memory "
        f"{bytes_in_words(memory)}: one window of each, at most {side} pixels a side, is used, {share:.0%} of all"
        f"{whole_in}"
    )
