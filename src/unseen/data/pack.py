"""Packs: photographs or recorded pairs that were decoded once, mapped into memory in place of being read.

A pack is a folder: shards, which are safetensors files of 8-bit pictures, and an index of one line of JSON for each
photograph. What the index says of a photograph, names and digests and thumbnails, needs none of its pixels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

from ..core.errors import UserError
from ..core.jsonl import Count, Kind, read_lines
from ..core.units import bytes_in_words
from .pair_fit import fitted_pair, tell_of_cuts
from .photo import THUMBNAIL, Fingerprint, Photo
from .tensor_file import TensorFile

INDEX = "pack.jsonl"
"""The file of a pack that lists its photographs."""

UNFINISHED = "unfinished.jsonl"
"""The file of a pack that is not complete yet: an index of the shards that are."""

SHARD_NAME = re.compile(r"\d{5,9}\.safetensors")
"""The names of shards, such as `00012.safetensors`."""

_DIGEST = re.compile("[0-9a-f]{64}")

ShardName: TypeAlias = Annotated[
    str,
    Kind(
        "a name such as 00000.safetensors", lambda value: isinstance(value, str) and bool(SHARD_NAME.fullmatch(value))
    ),
]
"""The name of a shard: never a path to a file elsewhere."""

Digest: TypeAlias = Annotated[
    str, Kind("64 hexadecimal digits", lambda value: isinstance(value, str) and bool(_DIGEST.fullmatch(value)))
]
"""A SHA-256."""


@dataclass(frozen=True)
class PackedPhoto:
    """One photograph of a pack: a line of its index.

    Attributes:
        name: the name: path relative to the folder that was packed, with forward slashes; of a pair, that of the input.
        shard: the file that holds the arrays.
        clean: the name of the array of the clean picture in the shard; pairs may share one.
        thumbnail: the name of the array of the clean picture's thumbnail (`Fingerprint`).
        recorded: the name of the array of the distorted picture; empty where the photograph is no recorded pair.
        height: rows of the clean picture.
        width: columns of the clean picture.
        clean_digest: digest of the clean picture (`Fingerprint`).
        digest: digest of the photograph (`Photo.digest`).
        author: the author of the clean picture; empty where nothing said so.
        licence: the licence of the clean picture; empty where nothing said so.
        version: the version of this package that packed the photograph.
    """

    name: str
    shard: ShardName
    clean: str
    thumbnail: str
    recorded: str
    height: Count
    width: Count
    clean_digest: Digest
    digest: Digest
    author: str
    licence: str
    version: str


@dataclass(frozen=True)
class UnfinishedPhoto(PackedPhoto):
    """One photograph of a pack that is not complete yet: a line of `unfinished.jsonl`.

    Attributes:
        stamp: size and time of change of the files that it was read from; empty where they are not known.
    """

    stamp: str = ""

    def finished(self) -> PackedPhoto:
        """The line of the index of a finished pack."""
        return PackedPhoto(**{field.name: getattr(self, field.name) for field in fields(PackedPhoto)})


def is_pack(folder: Path) -> bool:
    """Whether a folder is a pack, finished or not."""
    return (folder / INDEX).is_file() or (folder / UNFINISHED).is_file()


def require_finished(pack: Path) -> None:
    """Raise UserError for a pack that is not complete yet."""
    if not (pack / INDEX).is_file():
        raise UserError(f"{pack}: is not complete; the `unseen pack` command that began it goes on where it stopped")


def read_pack(pack: Path) -> tuple[list[PackedPhoto], dict[str, TensorFile]]:
    """Read the index of a finished pack, and map its shards.

    Returns:
        The lines of the index, and the shards by their names.

    Raises:
        UserError: naming file and field, where the pack is incomplete, or index and shards do not agree.
    """
    require_finished(pack)
    return read_index(pack / INDEX, PackedPhoto)


Line = TypeVar("Line", bound=PackedPhoto)
"""A line of an index, of a finished pack or an unfinished one."""


def read_index(index: Path, kind: type[Line]) -> tuple[list[Line], dict[str, TensorFile]]:
    """Read an index as `read_pack` does, with lines of a kind: of a pack that need not be finished."""
    records = read_lines(index, kind)
    twice = [name for name, n in Counter(record.name for record in records).items() if n > 1]
    if twice:
        raise UserError(f"{index}: name: {twice[0]!r:.200} is in two lines")
    shards = {name: TensorFile(index.parent / name) for name in sorted({record.shard for record in records})}
    named: dict[str, set[str]] = {name: set() for name in shards}
    for record in records:
        _check_shapes(record, shards[record.shard], index)
        named[record.shard].update(_arrays(record))
    for name, shard in shards.items():
        if stray := shard.shapes.keys() - named[name]:
            raise UserError(f"{shard.path}: {min(stray)!r:.100} belongs to no line of {index.name}, which is cut short")
    return records, shards


def holds_pairs(pack: Path) -> bool:
    """Whether a finished pack holds recorded pairs. Raises UserError as `read_pack` does."""
    return any(record.recorded for record in read_pack(pack)[0])


def load_pack(pack: Path, *, enlarge: int = 1, memory: int | None = None) -> list[Photo]:
    """View all photographs of a pack, sorted by name, as if they were read from the folder that was packed.

    Args:
        pack: the folder of the pack.
        enlarge: factor of the bicubic enlargement of recorded inputs that are smaller by just this factor; 1 for none.
        memory: the largest number of bytes of all enlarged inputs together; None for any.

    Raises:
        UserError: as `read_pack` does; where a pair does not fit together; and where enlarged inputs take more than
            `memory` bytes, for they are no part of the pack.
    """
    return view_photos(pack, *read_pack(pack), enlarge=enlarge, memory=memory)


def view_photos(
    pack: Path,
    records: Sequence[PackedPhoto],
    shards: Mapping[str, TensorFile],
    *,
    enlarge: int = 1,
    memory: int | None = None,
) -> list[Photo]:
    """View the photographs of a pack as `load_pack` does, by what `read_pack` has read of it."""
    if not records:
        raise UserError(f"{pack / INDEX}: names no photograph")
    if stray := [path.name for path in pack.glob("*.safetensors") if path.name not in shards]:
        raise UserError(f"{pack / min(stray)}: belongs to no line of {INDEX}, which is cut short")
    records = sorted(records, key=lambda record: record.name)
    if enlarge > 1 and memory is not None:
        _require_memory_to_enlarge(records, shards, enlarge, memory, pack)
    fingerprints: dict[tuple[str, str], Fingerprint] = {}
    photos, cut_names = [], []
    for record in records:
        shard = shards[record.shard]
        whole = fingerprints.setdefault(
            (record.shard, record.clean), Fingerprint(shard.array(record.thumbnail), record.clean_digest)
        )
        photo = _photo(record, shard, whole, enlarge, pack)
        if photo.pixels.shape[:2] != (record.height, record.width):
            cut_names.append(record.name)
        photos.append(photo)
    tell_of_cuts(pack, cut_names)
    return photos


def _photo(record: PackedPhoto, shard: TensorFile, whole: Fingerprint, enlarge: int, pack: Path) -> Photo:
    clean = shard.array(record.clean)
    if not record.recorded:
        photo = Photo(record.name, clean, whole=whole)
        return replace(photo, stored_digest=record.digest, announce=_announcer(record, shard, 0))
    recorded = shard.array(record.recorded)
    try:
        photo = fitted_pair(record.name, clean, recorded, whole, enlarge)
    except ValueError as error:
        raise UserError(f"{pack / INDEX}: {record.name!r:.200}: {error}") from error
    if photo.recorded is not recorded:  # enlarged, and in memory
        return replace(photo, announce=_announcer(record, shard, 0))
    return replace(photo, stored_digest=record.digest, announce=_announcer(record, shard, photo.scale))


def _announcer(record: PackedPhoto, shard: TensorFile, scale: int) -> Callable[[int, int], None]:
    """The function that announces rows of a photograph.

    Args:
        record: the photograph.
        shard: the file of its arrays.
        scale: factor by which the recorded picture is smaller; 0 to announce the clean picture alone.
    """

    def announce(first: int, count: int) -> None:
        shard.announce(record.clean, first, count)
        if scale:
            shard.announce(record.recorded, first // scale, count // scale)

    return announce


def _arrays(record: PackedPhoto) -> Sequence[str]:
    return [record.clean, record.thumbnail, *([record.recorded] if record.recorded else [])]


def _check_shapes(record: PackedPhoto, shard: TensorFile, index: Path) -> None:
    """Raise UserError where a line of the index names no array of the shard, or one of another shape."""
    label = f"{index}: {record.name!r:.200}"
    for field, name in (("clean", record.clean), ("thumbnail", record.thumbnail), ("recorded", record.recorded)):
        if name and name not in shard.shapes:
            raise UserError(f"{label}: {field}: {record.shard} has no array {name!r:.100}")
    shape = tuple(shard.shapes[record.clean])
    if shape != (record.height, record.width, 3):
        raise UserError(f"{label}: height and width: {record.height} and {record.width}, and the array has {shape}")
    shape = tuple(shard.shapes[record.thumbnail])
    if len(shape) != 2 or max(shape) > THUMBNAIL:
        raise UserError(f"{label}: thumbnail: expected two sides of at most {THUMBNAIL}, and the array has {shape}")
    shape = tuple(shard.shapes[record.recorded]) if record.recorded else (1, 1, 3)
    if len(shape) != 3 or shape[2] != 3:
        raise UserError(f"{label}: recorded: expected rows, columns and 3 channels, and the array has {shape}")


def _require_memory_to_enlarge(
    records: Sequence[PackedPhoto], shards: Mapping[str, TensorFile], enlarge: int, memory: int, pack: Path
) -> None:
    smaller = [
        record
        for record in records
        if record.recorded and shards[record.shard].shapes[record.recorded][0] == record.height // enlarge
    ]
    needed = sum(3 * record.height * record.width for record in smaller)
    if needed > memory:
        raise UserError(
            f"enlarge: {pack}: enlarged inputs take {bytes_in_words(needed)}, more than --memory "
            f"{bytes_in_words(memory)}: give more, or pack inputs that are enlarged already"
        )
