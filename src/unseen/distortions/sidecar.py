"""The sidecar of degraded copies: one JSON line a copy, from which it is made again bit for bit."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.errors import UserError
from ..core.registry import did_you_mean, name_of
from . import Distortion, Parameters
from .spec import COMPOSITIONS, parse_distortion

SIDECAR = "degradation.jsonl"


@dataclass(frozen=True)
class CopyRecord:
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


# ------------------------------------------------------------------------------------------ the sidecar


def append(path: Path, record: CopyRecord) -> None:
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


def read_sidecar(path: Path, confirmed: Collection[str]) -> dict[str, CopyRecord]:
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


def _record(line: str, where: str, confirmed: Collection[str]) -> CopyRecord:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected a JSON object of one copy's fields")
    names = [field.name for field in fields(CopyRecord)]
    if odd := [name for name in values if name not in names]:
        raise UserError(f"{where}: unknown field {odd[0]!r}{did_you_mean(odd[0], names)}")
    for name in names:
        if name not in values:
            raise UserError(f"{where}: field {name!r} is missing")
        kind, words = (dict, "names and numbers") if name == "parameters" else (str, "text")
        if not isinstance(values[name], kind) or not (values[name] or kind is dict):
            raise UserError(f"{where}: {name}: expected {words}, got {values[name]!r}")
    record = CopyRecord(**values)
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
