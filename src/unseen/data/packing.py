"""Write packs (`data.pack`): photographs are decoded once, a few at a time, into shards of bounded size."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from ..core.atomic import flush_names, replacing
from ..core.errors import UserError
from ..core.folder_lock import LOCK
from ..core.jsonl import write_lines
from ..core.progress import task
from ..core.units import bytes_in_words
from ..core.version import __version__
from .finding import list_folder
from .loading import in_threads, map_in_threads, size_or_error
from .manifest import Credit, credits_of
from .pack import INDEX, SHARD_NAME, UNFINISHED, UnfinishedPhoto, read_index
from .pairs import Scene, matched_scenes
from .photo import THUMBNAIL, Fingerprint, Photo, Pixels
from .reading import SkippedFile, UnreadableImage, decode, no_pillow_warnings
from .sources import expand_path, two_folders
from .tensor_file import ENTRY, LARGEST_HEADER, TensorWriter

SHARD = 2**30
"""Bytes of pictures after which a shard is closed; more in a large pack (see `_shard_limits`)."""

MOST_SHARDS = 256
"""The largest number of shards, which grow in a pack that would have more: a training keeps all their files open."""

MOST_ARRAYS = 6000
"""The number of arrays after which a shard is closed, so that headers stay below a mebibyte; more in a large pack."""

Reading = tuple[Pixels, list[tuple[Photo, str]]]
"""A clean picture, and the photographs that share it, each with its digest and the stamp of its files."""


@dataclass(frozen=True)
class PackSource:
    """The photographs that a pack is made of.

    Attributes:
        folder: the folder of the clean pictures.
        scenes: the clean pictures, each with its distorted ones: none in a folder of clean photographs.
        skipped: files that are known to be left out before any is read.
    """

    folder: Path
    scenes: Sequence[Scene]
    skipped: Sequence[SkippedFile]

    @classmethod
    def of(cls, source: str) -> PackSource:
        """List what a source names: a folder of photographs, or `INPUT_DIR:TARGET_DIR`, recorded pairs.

        Raises:
            UserError: for folders that are missing or hold nothing to pack.
        """
        folders = pack_folders(source)
        if len(folders) == 2:
            scenes, skipped = matched_scenes(*folders)
            return cls(folders[1], sorted(scenes, key=lambda scene: scene.target), skipped)
        contents = list_folder(folders[0])
        return cls(contents.folder, [Scene(path, {}) for path in contents.photos], contents.skipped())

    def name(self, scene: Scene) -> str:
        """The name of a scene's clean picture: its path relative to the folder."""
        return scene.target.relative_to(self.folder).as_posix()

    def names(self, scene: Scene) -> list[str]:
        """The names that a scene's photographs have in the pack."""
        return list(scene.inputs.values()) or [self.name(scene)]

    def stamps(self, scene: Scene) -> dict[str, str]:
        """Size and time of change of the files of a scene's photographs, by their names in the pack."""
        target = _stamp(scene.target)
        if not scene.inputs:
            return {self.name(scene): target}
        return {name: f"{_stamp(path)}; {target}" for path, name in scene.inputs.items()}

    def credits(self, licence: str) -> dict[str, Credit]:
        """The author and the licence of every photograph, by its name in the pack.

        Args:
            licence: the licence of all of them; empty to take what the manifest of the folder says.
        """
        stated = credits_of(self.folder)
        by_name = {name: stated.get(self.name(scene), Credit()) for scene in self.scenes for name in self.names(scene)}
        return {name: replace(credit, licence=licence or credit.licence) for name, credit in by_name.items()}

    def read(self, scene: Scene) -> tuple[Reading | None, list[SkippedFile]]:
        """Read a scene. Returns None where nothing of it can be used, and the files to leave out."""
        stamps = self.stamps(scene)  # before the files are read: what changes while they are is noticed later
        if scene.inputs:
            clean, photos, skipped = scene.read()
            pairs = [(replace(photo, stored_digest=photo.digest), stamps[photo.name]) for photo in photos]
            return (clean, pairs) if clean is not None and pairs else None, skipped
        try:
            clean = decode(scene.target)
        except UnreadableImage as error:
            return None, [SkippedFile(self.name(scene), error.reason)]
        whole = Fingerprint.of(clean)
        name = self.name(scene)
        return (clean, [(Photo(name, clean, whole=whole, stored_digest=whole.digest), stamps[name])]), []


def _stamp(path: Path) -> str:
    """Size and time of change of a file; that there is none."""
    try:
        state = path.stat()
    except OSError:
        return "no file"
    return f"{state.st_size} bytes, {state.st_mtime_ns} ns"


def pack_folders(source: str) -> list[Path]:
    """The folders that a source of a pack names: one, or inputs and targets; they need not be there."""
    inputs, targets = ("", "") if Path(source).exists() else two_folders(source)
    return [Path(expand_path(folder, "photos")) for folder in ([inputs, targets] if inputs else [source])]


def require_apart(folder: Path, out: Path) -> None:
    """Raise UserError where a folder to pack is the folder of the pack itself."""
    if out.exists() and folder.samefile(out):
        raise UserError(f"out: {out} is the folder to pack; give another --out")


@dataclass
class Packing:
    """A pack in the making.

    Attributes:
        out: the folder of the pack.
        overwrite: whether a pack that is there, finished or not, is replaced. It stays until the first picture is read.
        records: the photographs of all finished shards.
        skipped: files that were left out.
        interrupted: whether `write` was stopped before all was done.
    """

    out: Path
    overwrite: bool = False
    records: list[UnfinishedPhoto] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    interrupted: bool = False

    def write(self, source: PackSource, licence: str, stop: Event) -> None:
        """Write what finished shards do not hold yet, and the index at the end.

        Args:
            source: the photographs.
            licence: the licence of all of them; empty to take what a manifest says.
            stop: an event that ends the work after the picture in hand; what is done until then is kept.

        Raises:
            UserError: the disk is too small, nothing can be read, the pack was begun with other photographs, or its
                folder cannot take it (see `require_pack_folder`).
        """
        require_pack_folder(self.out, overwrite=self.overwrite)
        credits = source.credits(licence)
        if not self.overwrite and (self.out / UNFINISHED).is_file():
            begun = read_index(self.out / UNFINISHED, UnfinishedPhoto)[0]
            self.records = _with_credits(begun, credits, self.out)
            _require_unchanged(begun, source, self.out)
        done = {record.name for record in self.records}
        self.skipped += source.skipped
        for scene in source.scenes:
            if not done.isdisjoint(names := source.names(scene)):
                missing = [name for name in names if name not in done]
                self.skipped += [SkippedFile(name, "left out when its shard was written") for name in missing]
        rest = [scene for scene in source.scenes if done.isdisjoint(source.names(scene))]
        if rest:
            self._write_shards(source, rest, credits, stop)
        if self.interrupted:
            return
        if not self.records:
            first = self.skipped[0]
            raise UserError(f"{source.folder}: nothing can be packed; the first, {first.name}: {first.reason}")
        write_lines(self.out / INDEX, [record.finished() for record in self.records])
        (self.out / UNFINISHED).unlink(missing_ok=True)
        flush_names([self.out])

    def _write_shards(
        self, source: PackSource, scenes: Sequence[Scene], credits: Mapping[str, Credit], stop: Event
    ) -> None:
        """Write shards until all scenes are done or `stop` is set; each is in the index before the next begins.

        The room on the disk is checked for all pictures, those of pairs that turn out not to fit together among them.
        """
        paths = [path for scene in scenes for path in (scene.target, *scene.inputs)]
        with no_pillow_warnings():
            measured = dict(zip(paths, map_in_threads(size_or_error, paths, "measuring photographs"), strict=True))
        sizes = [measured[scene.target] for scene in scenes]
        needed = 3 * sum(size[0] * size[1] for size in measured.values() if isinstance(size, tuple))
        freed = sum(path.stat().st_size for path in _pack_files(self.out)) if self.overwrite else 0
        if needed > (free := shutil.disk_usage(self.out).free + freed):
            taken, left = bytes_in_words(needed), bytes_in_words(free)
            raise UserError(f"out: {self.out}: its photographs take {taken}, and {left} are free there")
        scene_arrays = 2 + max(len(scene.inputs) for scene in scenes)
        taken_shards = len({record.shard for record in self.records})
        with_thumbnails = needed + THUMBNAIL**2 * len(scenes)
        shard_size, arrays = _shard_limits(with_thumbnails, scenes, MOST_SHARDS - taken_shards)
        readings = self._readings(source, scenes, sizes, stop)
        for reading in readings:
            if not self.records:
                for old in _pack_files(self.out):
                    old.unlink()
            shard = len({record.shard for record in self.records})
            path = self.out / f"{shard:05}.safetensors"
            with replacing(path) as temporary, temporary.open("wb") as file:
                writer = TensorWriter(file, arrays)
                records = self._add(writer, path.name, reading, len(self.records), credits)
                while writer.size < shard_size and writer.arrays_left >= scene_arrays:
                    if (further := next(readings, None)) is None:
                        break
                    records += self._add(writer, path.name, further, len(self.records) + len(records), credits)
                writer.finish()
            self.records += records
            write_lines(self.out / UNFINISHED, self.records)

    def _readings(
        self,
        source: PackSource,
        scenes: Sequence[Scene],
        sizes: Sequence[tuple[int, int] | UnreadableImage],
        stop: Event,
    ) -> Iterator[Reading]:
        """Read scenes until `stop` is set, and note what is left out."""
        with (
            no_pillow_warnings(),
            task("packing photographs", len(source.scenes)) as bar,
            closing(in_threads(source.read, scenes, sizes)) as results,
        ):
            bar.skip(len(source.scenes) - len(scenes))
            for _ in scenes:
                if stop.is_set():
                    self.interrupted = True
                    return
                reading, skipped = next(results)
                self.skipped += skipped
                bar.advance()
                if reading is not None:
                    yield reading

    def _add(
        self, writer: TensorWriter, shard: str, reading: Reading, number: int, credits: Mapping[str, Credit]
    ) -> list[UnfinishedPhoto]:
        """Write the pictures of a scene into a shard.

        Args:
            writer: the writer of the shard.
            shard: the name of the shard.
            reading: the pictures.
            number: the number of photographs in the pack so far, by which arrays are named.
            credits: authors and licences by name.
        """
        clean, photos = reading
        writer.add(f"clean/{number}", clean)
        writer.add(f"thumbnail/{number}", photos[0][0].fingerprint.thumbnail)
        records = []
        for i, (photo, stamp) in enumerate(photos, start=number):
            if photo.recorded is not None:
                writer.add(f"recorded/{i}", photo.recorded)
            records.append(
                UnfinishedPhoto(
                    name=photo.name,
                    shard=shard,
                    clean=f"clean/{number}",
                    thumbnail=f"thumbnail/{number}",
                    recorded="" if photo.recorded is None else f"recorded/{i}",
                    height=clean.shape[0],
                    width=clean.shape[1],
                    clean_digest=photo.fingerprint.digest,
                    digest=photo.digest,
                    author=credits[photo.name].author,
                    licence=credits[photo.name].licence,
                    version=__version__,
                    stamp=stamp,
                )
            )
        return records


def _require_unchanged(records: Sequence[UnfinishedPhoto], source: PackSource, out: Path) -> None:
    """Raise UserError where a file that was packed into an unfinished pack is another one by now."""
    stamps = {name: stamp for scene in source.scenes for name, stamp in source.stamps(scene).items()}
    for record in records:
        if record.stamp != stamps[record.name]:
            raise UserError(
                f"out: {record.name!r:.200} has changed since {out} was begun with it; give --overwrite, or another "
                "--out"
            )


def _with_credits(
    records: Sequence[UnfinishedPhoto], credits: Mapping[str, Credit], out: Path
) -> list[UnfinishedPhoto]:
    """Take over the photographs of a pack that was begun, with the credits that hold now.

    Raises:
        UserError: the pack holds a photograph that is none of those to pack.
    """
    for record in records:
        if record.name not in credits:
            raise UserError(
                f"out: {out} was begun with other photographs, {record.name!r:.200} among them; give --overwrite, or "
                "another --out"
            )
    return [
        replace(record, author=credits[record.name].author, licence=credits[record.name].licence) for record in records
    ]


def _shard_limits(size: int, scenes: Sequence[Scene], shards: int) -> tuple[int, int]:
    """Bytes and arrays after which a shard is closed, so that scenes fill no more than a number of shards.

    Half of the shards may be closed for their bytes, and half for their arrays.

    Args:
        size: bytes of all pictures and thumbnails.
        scenes: the scenes.
        shards: the number of shards; a pack that was stopped very often may have used them up, and gets two more.
    """
    half = max(shards // 2, 1)
    counts = [2 + len(scene.inputs) for scene in scenes]
    arrays = max(
        MOST_ARRAYS, -(-sum(counts) // half) + max(counts)
    )  # a shard is closed where one scene more may not fit
    return max(SHARD, -(-size // half)), min(arrays, max(counts) * len(scenes), LARGEST_HEADER // ENTRY - 1)


def _pack_files(out: Path) -> list[Path]:
    """The files of a pack in a folder, its indices first."""
    indices = [path for path in (out / INDEX, out / UNFINISHED) if path.is_file()]
    return indices + sorted(path for path in out.iterdir() if SHARD_NAME.fullmatch(path.name))


def require_pack_folder(out: Path, *, overwrite: bool) -> None:
    """Check that a folder can take a pack, and change nothing there.

    Args:
        out: the folder.
        overwrite: whether a finished pack there may be replaced.

    Raises:
        UserError: for a finished pack without `overwrite`, and for a folder that holds anything else.
    """
    for path in sorted(out.iterdir()):
        if path.name not in (INDEX, UNFINISHED, LOCK) and not SHARD_NAME.fullmatch(path.name):
            raise UserError(f"out: {out} holds {path.name}, which is no file of a pack; give another --out")
    if not overwrite and (out / INDEX).exists():
        raise UserError(f"out: {out} holds a pack; give --overwrite, or another --out")
