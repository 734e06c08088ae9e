"""Which photographs are restored, and where they go."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import UserError
from ..data.file_jobs import FileJob, jobs_for, photos_with_names, refuse_outputs
from ..data.reading import SUFFIXES, SkippedFile
from .config import Format
from .imagefiles.decode import FileFormat

FORMATS: dict[str, FileFormat] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".tif": "tiff",
    ".webp": "webp",
    ".bmp": "bmp",
    ".jpeg": "jpeg",
    ".tiff": "tiff",
}
"""Suffixes, the usual one of each format first."""

Named = tuple[Path, Path]
"""A photograph, and its name below the output folder."""


@dataclass
class RestorePlan:
    """What is to be restored: the jobs, the folder that they are written below, and what cannot be used of the inputs.

    format: of all outputs; None for that of each input.
    """

    jobs: list[FileJob]
    folder: Path
    format: FileFormat | None
    failed: list[SkippedFile] = field(default_factory=list)


def plan_restoration(inputs: Sequence[str], out: Path, format: Format) -> RestorePlan:
    """What is made of what was given on the command line.

    inputs: files; folders, whose tree is kept, of several below the name of each; and patterns, whose tree is kept from
    the first part that is one. out: a folder; with a single file given also the name of a file, whose suffix then says
    the format.
    Raises UserError where an output would replace an input, and where two would be written to one file.
    """
    failed: list[SkippedFile] = []
    several = sum(os.path.isdir(given) for given in inputs) > 1
    named = [one for given in inputs for one in photographs_of(given, several, failed)]
    named = list({os.path.normpath(path.absolute()): (path, name) for path, name in named}.values())
    folders = [Path(given) for given in inputs if os.path.isdir(given)]
    single = len(inputs) == 1 and os.path.isfile(inputs[0])
    if single and out.suffix.lower() in SUFFIXES and not os.path.isdir(out):
        wanted = FORMATS[out.suffix.lower()]
        if format not in ("input", wanted):
            raise UserError(f"format: {format}, but --out ends in {out.suffix}; leave one of them out")
        jobs, below = [FileJob(path, name.as_posix(), out.name) for path, name in named], out.parent
        found = RestorePlan(jobs, below, wanted, failed)
    else:
        ending = next((suffix for suffix, name in FORMATS.items() if name == format), "")
        found = RestorePlan(jobs_for(named, ending), out, None if format == "input" else format, failed)
    refuse_outputs(folders, found.jobs, found.folder)
    return found


def photographs_of(given: str, several: bool, failed: list[SkippedFile]) -> list[Named]:
    """The photographs of one word of the command line; what cannot be used is added to `failed`."""
    if not given:
        raise UserError("photo: an empty name; give a file, a folder or a pattern")
    if os.path.lexists(given) or not glob.has_magic(given):
        return named_in(Path(given), Path(given).parent if several else None, failed)
    paths = [Path(name) for name in sorted(glob.glob(given, recursive=True))]  # noqa: PTH207 (absolute ones, too)
    if not paths:
        failed.append(SkippedFile(given, "matches nothing"))
    base = fixed_part(given)
    return [one for path in paths for one in named_in(path, base, failed)]


def named_in(path: Path, base: Path | None, failed: list[SkippedFile]) -> list[Named]:
    """A photograph, or those of a folder, named from `base` on; without it from the folder that they are found in."""
    try:
        if not os.path.lexists(path):
            raise UserError("no such file or folder")
        found = photos_with_names(
            path, lambda error: failed.append(SkippedFile(str(error.filename), "cannot be listed"))
        )
    except OSError as error:
        failed.append(SkippedFile(str(path), error.strerror or str(error)))
        return []
    except UserError as error:
        failed.append(SkippedFile(str(path), str(error).removeprefix(f"{path}: ")))
        return []
    return [(photo, name if base is None else relative(photo, base)) for photo, name in found]


def relative(photo: Path, base: Path) -> Path:
    """The name of a photograph below a folder; a bare name where it is not below."""
    inside = os.path.relpath(photo, base)
    return Path(photo.name if inside.startswith("..") else inside)


def fixed_part(pattern: str) -> Path:
    """The folder before the first part that is a pattern."""
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first])
