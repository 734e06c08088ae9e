"""The plan of `unseen restore`: from arguments of the command line to the photographs and the files to write."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import UserError
from ..core.outputs import names_a_file
from ..data.file_jobs import FileJob, jobs_for, refuse_outputs
from ..data.finding import list_folder, unread_kind
from ..data.reading import SkippedFile
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
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".pjpeg": "jpeg",
    ".dib": "bmp",
}
"""The suffixes of files that can be written, the usual one of each format first."""

NamedPhoto = tuple[Path, Path]
"""The path of a photograph, and its name below the output folder."""


@dataclass
class RestorePlan:
    """The photographs to restore, and their outputs.

    Attributes:
        jobs: the photographs, each with its output file.
        folder: folder of the outputs.
        format: format of all outputs; None for the format of each input.
        failed: inputs that cannot be used, each with the reason.
        left_out: pictures of kinds that are not read, each with its kind (`kind_of`).
    """

    jobs: list[FileJob]
    folder: Path
    format: FileFormat | None
    failed: list[SkippedFile] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)


def plan_restoration(inputs: Sequence[str], out: str | Path, format: Format) -> RestorePlan:
    """Decide for every photograph into which file it is restored.

    Args:
        inputs: files; folders, whose tree is kept, below the folder's name if there are several folders; and patterns,
            whose tree is kept from the first component with a wildcard on.
        out: a folder; or, if the input is a single file, the name of a file, whose suffix then decides the format. A
            slash at the end of a text makes a folder of what looks like a file.
        format: format of the outputs; `input` for the format of each input.

    Raises:
        UserError: an output would replace an input, two outputs would be one file, `format` contradicts `out`, or
            `out` is the name of a file that cannot be written, or cannot hold several photographs; the one input
            does not exist.
    """
    single = len(inputs) == 1 and os.path.isfile(inputs[0])
    to_file = names_a_file(os.fspath(out), any_suffix=single)
    out = Path(out)
    if to_file:
        _require_writable_name(out, inputs)
    plan = RestorePlan([], out, None if format == "input" else format)
    several = sum(os.path.isdir(word) for word in inputs) > 1
    named = [photo for word in inputs for photo in photos_of(word, several, plan)]
    named = list({os.path.normpath(path.absolute()): (path, name) for path, name in named}.values())
    folders = [Path(word) for word in inputs if os.path.isdir(word)]
    if to_file:
        out_format = FORMATS[out.suffix.lower()]
        if format not in ("input", out_format):
            raise UserError(f"format: {format}, but --out ends in {out.suffix}; leave one of them out")
        plan.jobs = [FileJob(path, name.as_posix(), out.name) for path, name in named]
        plan.folder, plan.format = out.parent, out_format
    else:
        ending = next((suffix for suffix, name in FORMATS.items() if name == format), "")
        plan.jobs = jobs_for(named, ending)
    refuse_outputs(folders, plan.jobs, plan.folder)
    return plan


def _require_writable_name(out: Path, inputs: Sequence[str]) -> None:
    """Refuse the name of a file of a kind that cannot be written, and that of one file for several photographs."""
    word = inputs[0] if len(inputs) == 1 else ""
    if word and not (os.path.lexists(word) or glob.has_magic(word)):
        raise UserError(f"photo: {word}: no such file or folder")
    if not os.path.isfile(word):
        raise UserError(f"out: {out} is the name of one file; several photographs need a folder, or a slash at its end")
    if out.suffix.lower() not in FORMATS:
        raise UserError(
            f"out: {out}: no {out.suffix} can be written; give {', '.join(list(FORMATS)[:5])}, or a slash for a folder"
        )


def photos_of(word: str, several: bool, plan: RestorePlan) -> list[NamedPhoto]:
    """Find the photographs that one argument of the command line names.

    Args:
        word: a file, a folder or a pattern.
        several: whether several of the arguments are folders.
        plan: the plan, to whose `failed` and `left_out` is appended what cannot be used.

    Raises:
        UserError: an empty word.
    """
    if not word:
        raise UserError("photo: an empty name; give a file, a folder or a pattern")
    if os.path.lexists(word) or not glob.has_magic(word):
        return photos_below(Path(word), Path(word).parent if several else None, plan)
    paths = [Path(name) for name in sorted(glob.glob(word, recursive=True))]  # noqa: PTH207 (absolute ones, too)
    if not paths:
        plan.failed.append(SkippedFile(word, "matches nothing"))
    base = fixed_folder(word)
    return [photo for path in paths for photo in photos_below(path, base, plan)]


def photos_below(path: Path, base: Path | None, plan: RestorePlan) -> list[NamedPhoto]:
    """Find one photograph, or all photographs of a folder.

    Args:
        path: a file or a folder.
        base: folder that names are relative to; None for the folder `path`, or the folder of the file.
        plan: the plan, as for `photos_of`.
    """
    try:
        if not os.path.lexists(path):
            raise UserError("no such file or folder")
        if kind := unread_kind(path):
            plan.left_out.append((path, kind))
            return []
        contents = list_folder(
            path, lambda error: plan.failed.append(SkippedFile(str(error.filename), "cannot be listed"))
        )
    except OSError as error:
        plan.failed.append(SkippedFile(str(path), error.strerror or str(error)))
        return []
    except UserError as error:
        plan.failed.append(SkippedFile(str(path), str(error).removeprefix(f"{path}: ")))
        return []
    plan.left_out += contents.left_out
    return [(photo, name if base is None else relative_name(photo, base)) for photo, name in contents.named_photos()]


def relative_name(photo: Path, base: Path) -> Path:
    """The path of a photograph relative to the folder `base`; its bare name if it is not below `base`."""
    inside = os.path.relpath(photo, base)
    return Path(photo.name if inside.startswith("..") else inside)


def fixed_folder(pattern: str) -> Path:
    """The folder before the first component of a pattern that holds a wildcard."""
    components = Path(pattern).parts
    first = next(i for i, component in enumerate(components) if glob.has_magic(component))
    return Path(*components[:first])
