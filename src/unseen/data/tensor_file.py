"""Safetensors files of 8-bit arrays: written array by array, and mapped into memory in place of being read."""

from __future__ import annotations

import json
import mmap
import stat
from collections.abc import Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..core.errors import UserError
from .photo import Pixels

LARGEST_HEADER = 2**25
"""Most bytes of the header of a file that is read."""

ENTRY = 160
"""Bytes that the entry of one array takes in a header, at the most; names may have 30 characters."""


class TensorWriter:
    """The writer of a file, which holds one array at a time in memory: the header's room is kept at the beginning.

    Args:
        file: the file, open for writing and empty.
        arrays: the number of arrays that the header shall have room for.

    Attributes:
        size: bytes of all arrays so far.
    """

    def __init__(self, file: BinaryIO, arrays: int):
        self.file = file
        self.room = ENTRY * (arrays + 1)  # a multiple of 8, as readers like it
        self.entries: dict[str, Any] = {}
        self.size = 0
        file.seek(8 + self.room)

    @property
    def arrays_left(self) -> int:
        """The number of arrays that the header has room for."""
        return self.room // ENTRY - len(self.entries) - 1

    def add(self, name: str, pixels: Pixels) -> None:
        """Append an array."""
        self.file.write(np.ascontiguousarray(pixels).data)
        offsets = [self.size, self.size + pixels.size]
        self.entries[name] = {"dtype": "U8", "shape": pixels.shape, "data_offsets": offsets}
        self.size += pixels.size

    def finish(self) -> None:
        """Write the header."""
        header = json.dumps(self.entries, separators=(",", ":")).encode()
        self.file.seek(0)
        self.file.write(self.room.to_bytes(8, "little") + header.ljust(self.room))


class TensorFile:
    """A file of 8-bit arrays, mapped into memory for reading.

    Its pages belong to the system's page cache, which gives them up where memory is short.

    Args:
        path: the file.

    Attributes:
        shapes: the shape of every array, by its name.

    Raises:
        UserError: naming the file and the array, for all else than a whole file of such arrays.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would block, and a link leads elsewhere
                raise UserError(f"{path}: is no regular file")
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header = file.read(length) if length <= LARGEST_HEADER else b""
                self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: an empty file
            raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if len(header) < length or not header:
            raise UserError(f"{path}: its header has {length} bytes: larger than {LARGEST_HEADER}, or cut short")
        start = 8 + length
        entries = _entries(path, header)
        self.shapes = {name: shape for name, (shape, _) in entries.items()}
        self._starts = {name: start + first for name, (_, first) in entries.items()}
        end = start
        for name in sorted(self._starts, key=self._starts.__getitem__):
            if self._starts[name] != end:
                begins, ended = self._starts[name] - start, end - start
                raise UserError(f"{path}: {name!r:.100}: data_offsets: begins at {begins}, and expected is {ended}")
            end += prod(self.shapes[name])
        if end != len(self.map):
            raise UserError(f"{path}: has {len(self.map)} bytes, and its header describes {end}: cut short, or damaged")

    def array(self, name: str) -> Pixels:
        """View an array without reading it; its pages are read when they are looked at. It cannot be written to."""
        shape = self.shapes[name]
        return np.frombuffer(self.map, np.uint8, prod(shape), self._starts[name]).reshape(shape)

    def announce(self, name: str, first: int, count: int) -> None:
        """Let the system read rows of an array from the disk, without waiting for them.

        Args:
            name: the array.
            first: the first row.
            count: the number of rows.
        """
        if hasattr(self.map, "madvise"):  # not on Windows
            row = prod(self.shapes[name][1:])
            start = self._starts[name] + first * row
            page = start - start % mmap.PAGESIZE
            self.map.madvise(mmap.MADV_WILLNEED, page, start + count * row - page)


def _object(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of a header. Raises UserError where it has a key twice."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise UserError(f"{path}: its header names {key!r:.100} twice")
        made[key] = value
    return made


def _entries(path: Path, header: bytes) -> dict[str, tuple[Sequence[int], int]]:
    """The shape and the first byte, counted from the end of the header, of every array that a header describes."""
    try:
        described = json.loads(header, object_pairs_hook=partial(_object, path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: its header is no JSON") from error
    if not isinstance(described, dict):
        raise UserError(f"{path}: its header is no object of JSON")
    described.pop("__metadata__", None)
    entries: dict[str, tuple[Sequence[int], int]] = {}
    for name, entry in described.items():
        fields = entry if isinstance(entry, dict) else {}
        if fields.get("dtype") != "U8":
            raise UserError(f"{path}: {name!r:.100}: dtype: expected 'U8', got {fields.get('dtype')!r:.40}")
        shape, offsets = _counts(fields.get("shape")), _counts(fields.get("data_offsets"))
        if not all(shape):
            raise UserError(
                f"{path}: {name!r:.100}: shape: expected two or three sides, got {fields.get('shape')!r:.60}"
            )
        if len(offsets) != 2 or offsets[1] - offsets[0] != prod(shape):
            raise UserError(f"{path}: {name!r:.100}: data_offsets: expected {prod(shape):.4g} bytes for its shape")
        entries[name] = (shape, offsets[0])
    return entries


def _counts(value: object) -> tuple[int, ...]:
    """A list of JSON of two or three whole numbers from 0 on, each of a size that files have; anything else is (0,)."""
    if isinstance(value, list) and len(value) in (2, 3) and all(type(n) is int and 0 <= n < 2**48 for n in value):
        return tuple(value)
    return (0,)
