"""Photographs in, degraded copies out, with a sidecar from which every copy can be made again bit for bit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from .. import __version__
from ..core.atomic import replacing
from ..core.errors import UserError
from ..core.progress import track
from ..core.randomness import generator
from ..core.registry import name_of, nearest
from ..data.file_jobs import Job, found_in, jobs_for
from ..data.patches import to_tensor
from ..data.photo import Pixels, Skipped, UnreadableImage, read_photo
from ..evaluation.evaluate import to_pixels
from ..protocols.confounder import COMPOSITIONS, parse_distortion
from . import Distortion, Parameters

SIDECAR = "degradation.jsonl"


@dataclass(frozen=True)
class Record:
    """One line of the sidecar: how one copy was made.

    file: the copy, relative to the sidecar's folder. source: the photograph, relative to the folder that was given.
    source_sha256, sha256: of the photograph's and the copy's pixels, see `digest`. distortion: as it was given.
    version: of unseen. parameters: all that was drawn, by name, a number or nested lists of them: whole numbers
        exactly, the others in as many digits as tell float64 apart.
    """

    file: str
    source: str
    source_sha256: str
    sha256: str
    distortion: str
    version: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How many files were written of how many, and the photographs that could not be used."""

    written: int
    wanted: int
    skipped: list[Skipped]


# ------------------------------------------------------------------------------------------ one photograph


def digest(pixels: Pixels) -> str:
    """SHA-256, in hexadecimal digits, of the shape such as "(480, 640, 3)" and then the bytes, row by row, as RGB."""
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def degrade(
    pixels: Pixels, distortion: Distortion, draws: torch.Generator, device: str = "cpu"
) -> tuple[Pixels, Parameters]:
    """A degraded copy of a photograph, and what was drawn for it.

    pixels: uint8 (H, W, 3) RGB. The copy is rounded to the same, (H', W', 3), smaller where the distortion shrinks:
    the photograph is then cut to a multiple of its scale at right and bottom.
    Raises ValueError where the distortion cannot be applied to a photograph of this size.
    """
    parameters = distortion.sample(draws, 1)
    return to_pixels(applied(distortion, pixels, parameters, device)), parameters


def applied(distortion: Distortion, pixels: Pixels, parameters: Parameters, device: str) -> Tensor:
    """The degraded photograph before it is rounded, float32 (1, 3, H', W') on the CPU. Raises as `degrade` does."""
    scale = distortion.scale
    height, width = (side // scale * scale for side in pixels.shape[:2])
    if not height * width:
        raise ValueError(f"smaller than {scale}×{scale} pixels, which become one")
    return distortion.apply(to_tensor(pixels[:height, :width]).to(device), parameters).cpu()


def replay(pixels: Pixels, record: Record, device: str = "cpu") -> Pixels:
    """The copy that a record describes, from its parameters alone.

    Raises ValueError where the photograph is another, where the parameters are not those of the distortion, and where
    the copy does not come out as recorded: it is either the same, bit for bit, or none. UserError for an unknown
    distortion.
    """
    if digest(pixels) != record.source_sha256:
        raise ValueError("has changed since it was degraded: its pixels have another SHA-256")
    distortion = _parsed(record.distortion)
    parameters = to_parameters(record.parameters, distortion)
    try:
        copy = to_pixels(applied(distortion, pixels, parameters, device))
    except Exception as error:  # numbers that someone changed may make a distortion raise nearly anything
        raise ValueError(f"{record.distortion} cannot be applied with the recorded parameters: {error}") from error
    if digest(copy) != record.sha256:
        raise ValueError(
            f"comes out otherwise than recorded, by unseen {record.version} (this is {__version__}); versions, devices "
            "and numbers of threads may differ in the last bit"
        )
    return copy


def to_parameters(values: Mapping[str, Any], distortion: Distortion) -> Parameters:
    """Recorded numbers as the tensors that the distortion draws. Raises ValueError, naming the wrong one."""
    drawn = distortion.sample(torch.Generator().manual_seed(0), 1)  # for names and types
    if odd := sorted(values.keys() ^ drawn.keys()):
        raise ValueError(f"parameters: {odd[0]!r} is {'unknown' if odd[0] in values else 'missing'}")
    return {name: _to_tensor(name, values[name], like) for name, like in drawn.items()}


def _to_tensor(name: str, value: Any, like: Tensor) -> Tensor:
    kind = float if like.is_floating_point() else bool if like.dtype == torch.bool else int
    wrong = ValueError(f"parameters: {name!r}: expected {kind.__name__} values, got {json.dumps(value)}")
    if not all(type(number) in ({float, int} if kind is float else {kind}) for number in _numbers(value)):
        raise wrong
    try:
        return torch.tensor([value], dtype=like.dtype)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # lists of unequal length; above 63 bits
        raise wrong from error


def _numbers(value: Any) -> list[Any]:
    return [number for item in value for number in _numbers(item)] if isinstance(value, list) else [value]


# ------------------------------------------------------------------------------------------ many of them


def plan(photos: Sequence[Path], ending: str = ".png") -> list[Job]:
    """A job for every photograph in folders and files, the tree kept; raises UserError as `jobs_for` does."""
    return jobs_for([found for given in photos for found in found_in(given)], ending)


def make_copies(jobs: Sequence[Job], spec: str, out: Path, seed: int, device: str, stop: Event) -> Outcome:
    """Write a degraded copy of each photograph and its line of the sidecar; fewer if `stop` was set.

    What a photograph gets depends on the seed and its name alone, not on what else there is.
    Raises UserError for a spec that is none, and where `out` cannot be written.
    """
    distortion = parse_distortion(spec, "distortion")

    def make(job: Job) -> None:
        pixels = read_photo(job.path)
        copy, drawn = degrade(pixels, distortion, draws_of(job.source, seed), device)
        parameters = {name: value[0].tolist() for name, value in drawn.items()}
        record = Record(job.file, job.source, digest(pixels), digest(copy), spec, __version__, parameters)
        _write(out, record, copy)

    return one_by_one(jobs, make, stop)


def draws_of(source: str, seed: int) -> torch.Generator:
    """The generator from which the photograph of this name is degraded."""
    return generator(seed, "degrade", source)


def replay_copies(jobs: Sequence[Job], records: Mapping[str, Record], out: Path, device: str, stop: Event) -> Outcome:
    """Write every copy again, and its line of a new sidecar; fewer if `stop` was set.

    jobs: one for each record that has a photograph, its `file` the record's. Those that have none, photographs that
    have changed, and copies that do not come out bit for bit are among the skipped.
    """

    def make(job: Job) -> None:
        _write(out, records[job.file], replay(read_photo(job.path), records[job.file], device))

    outcome = one_by_one(jobs, make, stop)
    there = {job.file for job in jobs}
    absent = [
        Skipped(r.source, "is recorded, and not among the photographs") for r in records.values() if r.file not in there
    ]
    return Outcome(outcome.written, len(records), outcome.skipped + absent)


def plan_replay(photos: Sequence[Path], records: Mapping[str, Record]) -> list[Job]:
    """A job for each record whose photograph is in folders and files, found by its name."""
    paths = {job.source: job.path for job in plan(photos)}
    return [Job(paths[r.source], r.source, r.file) for r in records.values() if r.source in paths]


def one_by_one(jobs: Sequence[Job], make: Callable[[Job], None], stop: Event) -> Outcome:
    """Do all jobs, leaving out what is unreadable (UnreadableImage) or does not fit (ValueError)."""
    written, skipped = 0, []
    for job in track(jobs, "degrading"):
        if stop.is_set():
            break
        try:
            make(job)
        except UnreadableImage as error:
            skipped.append(Skipped(job.source, error.reason))
        except ValueError as error:
            skipped.append(Skipped(job.source, " ".join(str(error).split())))
        else:
            written += 1
    return Outcome(written, len(jobs), skipped)


def _write(out: Path, record: Record, copy: Pixels) -> None:
    """The copy, then its line: one that is described is there."""
    path = out / record.file
    with replacing(path) as temporary:
        Image.fromarray(copy).save(temporary, format="PNG")
    append(out / SIDECAR, record)


# ------------------------------------------------------------------------------------------ the sidecar


def append(path: Path, record: Record) -> None:
    """Add a line; a run that is killed keeps those that it wrote."""
    line = json.dumps(asdict(record), allow_nan=False).encode() + b"\n"
    try:
        with path.open("a+b") as file:
            if file.tell():
                file.seek(-1, 2)
                line = line if file.read(1) == b"\n" else b"\n" + line  # a full disk may have cut the last one
            file.write(line)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_records(path: Path, confirmed: Collection[str]) -> dict[str, Record]:
    """The records of a sidecar by file; of two for one file (written twice, with --overwrite) the last.

    confirmed: distortions outside of unseen that may be imported; code that a file names is not, on its word alone.
    Raises UserError that names the file, the line and the field.
    """
    try:
        lines = path.read_bytes().decode().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UserError(f"replay: {path}: cannot be read: {reason}") from error
    places = ((f"{path}, line {i}", line) for i, line in enumerate(lines, start=1) if line.strip())
    records = {record.file: record for record in (_record(line, where, confirmed) for where, line in places)}
    if not records:
        raise UserError(f"replay: {path}: holds no record")
    unused = next((spec for spec in confirmed if all(r.distortion != spec for r in records.values())), None)
    if unused is not None:
        raise UserError(f"distortion: {unused!r} is not in {path}; a replay takes the distortions that are")
    return records


def _record(line: str, where: str, confirmed: Collection[str]) -> Record:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected a JSON object of one copy's fields")
    names = [field.name for field in fields(Record)]
    if odd := [name for name in values if name not in names]:
        raise UserError(f"{where}: unknown field {odd[0]!r}{nearest(odd[0], names)}")
    for name in names:
        if name not in values:
            raise UserError(f"{where}: field {name!r} is missing")
        kind, words = (dict, "names and numbers") if name == "parameters" else (str, "text")
        if not isinstance(values[name], kind) or not (values[name] or kind is dict):
            raise UserError(f"{where}: {name}: expected {words}, got {values[name]!r}")
    record = Record(**values)
    file = Path(record.file)
    if file.is_absolute() or file.drive or ".." in file.parts or file.suffix != ".png":
        raise UserError(f"{where}: file: {record.file!r} is no .png below the sidecar's folder")
    if _imports(record.distortion) and record.distortion not in confirmed:
        raise UserError(f"{where}: distortion: {record.distortion!r} would be imported; confirm it with --distortion")
    try:
        to_parameters(record.parameters, _parsed(record.distortion))
    except (UserError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error
    return record


@cache
def _parsed(spec: str) -> Distortion:
    """A record's distortion; most records have the same, and parsing may take longer than applying."""
    return parse_distortion(spec, "distortion")


def _imports(spec: str) -> bool:
    """Whether a spec names code by a dotted path, which would be imported."""
    signs = "|".join(map(re.escape, COMPOSITIONS))
    return any("." in name_of(part) for part in re.split(signs, spec))
