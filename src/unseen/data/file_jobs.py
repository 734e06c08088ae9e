"""Which file becomes which: the tree is kept, and nothing that was given is written over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from .reading import find_photos


@dataclass(frozen=True)
class FileJob:
    """One photograph to read, by path and by name, and the file to write, relative to the output folder."""

    path: Path
    source: str
    file: str


def photos_with_names(given: Path, unlisted: Callable[[OSError], object] | None = None) -> list[tuple[Path, Path]]:
    """The photographs of a folder, or the single one, each with its name there (see `find_photos`)."""
    root = given if given.is_dir() else given.parent
    return [(path, path.relative_to(root)) for path in find_photos(given, unlisted)]


def jobs_for(found: Sequence[tuple[Path, Path]], ending: str = "") -> list[FileJob]:
    """A job for every photograph, given with its name; copies have the same name.

    With an `ending` such as ".png" they have it in place of the suffix. Of photographs in one folder that differ in
    nothing but the suffix, those that have another one keep it (a.png and a.jpg.png).
    Raises UserError where two would still be written to one file. Names that differ in nothing but case are one file
    on many machines, and count as one.
    """
    stems = Counter(str(name.with_suffix("")).casefold() for _, name in found)
    jobs: dict[str, FileJob] = {}
    for path, name in found:
        alone = ending.endswith(name.suffix.lower()) or stems[str(name.with_suffix("")).casefold()] == 1
        file = name.with_name((name.stem if alone else name.name) + ending if ending else name.name).as_posix()
        other = jobs.setdefault(file.casefold(), FileJob(path, name.as_posix(), file))
        if other.path is not path:
            raise UserError(f"{other.path} and {path} would both be written to {file}; give each an --out of its own")
    return list(jobs.values())


def refuse_outputs(photos: Sequence[Path], jobs: Sequence[FileJob], out: Path) -> None:
    """Raises UserError where a photograph that was given would be written over.

    Also for an output folder among the photographs: the next run would take the copies for photographs.
    """
    for folder in photos:
        if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"out: {out} is among the photographs in {folder}; give another --out")
    originals = {file_identity(job.path) for job in jobs if os.path.exists(job.path)}
    for path in existing_outputs(jobs, out):
        if file_identity(path) in originals:
            raise UserError(f"out: {path} is a photograph itself, and would be replaced; give another --out")


def existing_outputs(jobs: Sequence[FileJob], out: Path) -> list[Path]:
    """The files that are there already."""
    return [out / job.file for job in jobs if os.path.exists(out / job.file)]


def refuse_existing(jobs: Sequence[FileJob], out: Path) -> None:
    """Raises UserError where any output is there already."""
    if there := existing_outputs(jobs, out):
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise UserError(f"out: {there[0]} is there already{more}; give --overwrite, or another --out")


def file_identity(path: Path) -> tuple[int, int]:
    """What is equal for two names of one file alone."""
    status = path.stat()
    return status.st_dev, status.st_ino
