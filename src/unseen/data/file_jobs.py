"""The plan from photographs to output files: folders keep their tree, and no input is overwritten."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError


@dataclass(frozen=True)
class FileJob:
    """One photograph to read, and the file to write.

    Attributes:
        path: the photograph.
        source: the photograph's name, relative to the folder that the user named.
        file: the file to write, relative to the output folder.
    """

    path: Path
    source: str
    file: str


def jobs_for(photos: Sequence[tuple[Path, Path]], ending: str = "") -> list[FileJob]:
    """Make a job for every photograph.

    Args:
        photos: each photograph's path and name.
        ending: the ending of output files in place of the suffix, such as ".png". Of photographs in one folder that
            differ only in their suffix, those with another suffix than `ending` keep theirs before it (a.png and
            a.jpg.png). Without an ending, outputs have the photograph's name.

    Raises:
        UserError: where two photographs would still be written to one file. Names that differ only in case are one file
            on many machines, and count as one.
    """
    stems = Counter(str(name.with_suffix("")).casefold() for _, name in photos)
    jobs: dict[str, FileJob] = {}
    for path, name in photos:
        alone = ending.endswith(name.suffix.lower()) or stems[str(name.with_suffix("")).casefold()] == 1
        file = name.with_name((name.stem if alone else name.name) + ending if ending else name.name).as_posix()
        other = jobs.setdefault(file.casefold(), FileJob(path, name.as_posix(), file))
        if other.path is not path:
            raise UserError(f"{other.path} and {path} would both be written to {file}; give each an --out of its own")
    return list(jobs.values())


def refuse_outputs(photos: Sequence[Path], jobs: Sequence[FileJob], out: Path) -> None:
    """Check that no output would overwrite a photograph.

    Raises:
        UserError: where an output would overwrite one; and for an output folder among the photographs, since the next
            run would take the copies for photographs.
    """
    for folder in photos:
        if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"out: {out} is among the photographs in {folder}; give another --out")
    originals = {file_identity(job.path) for job in jobs if os.path.exists(job.path)}
    for path in existing_outputs(jobs, out):
        if file_identity(path) in originals:
            raise UserError(f"out: {path} is a photograph itself, and would be replaced; give another --out")


def existing_outputs(jobs: Sequence[FileJob], out: Path) -> list[Path]:
    """List the output files that exist already."""
    return [out / job.file for job in jobs if os.path.exists(out / job.file)]


def output_folders(jobs: Sequence[FileJob], out: Path) -> list[Path]:
    """List the output folder and those below it that outputs are written to, each once."""
    return list(dict.fromkeys([out, *((out / job.file).parent for job in jobs)]))


def refuse_existing(jobs: Sequence[FileJob], out: Path) -> None:
    """Raise UserError where any output file exists already."""
    if outputs := existing_outputs(jobs, out):
        more = f" (and {len(outputs) - 1} more)" if len(outputs) > 1 else ""
        raise UserError(f"out: {outputs[0]} is there already{more}; give --overwrite, or another --out")


def file_identity(path: Path) -> tuple[int, int]:
    """Return (device, inode): equal exactly when two paths name the same file."""
    status = path.stat()
    return status.st_dev, status.st_ino
