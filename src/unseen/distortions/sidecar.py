"""The sidecar of degraded copies: one JSON line per copy, from which the copy is made again bit for bit."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.errors import UserError
from ..core.jsonl import read_lines, to_json
from . import Distortion, Parameters, ends
from .composition import Composition, unprefixed
from .spec import parse_distortion

SIDECAR = "degradation.jsonl"


@dataclass(frozen=True)
class CopyRecord:
    """The record from which one copy can be made again: one line of the sidecar.

    Attributes:
        file: the copy's path, relative to the sidecar's folder.
        source: the photograph's path, relative to the folder that the user named.
        source_sha256: SHA-256 of the photograph's pixels, see `digest`.
        sha256: SHA-256 of the copy's pixels, see `digest`.
        distortion: the spec as the user wrote it.
        version: the version of unseen.
        parameters: the drawn parameters by name: a number or nested lists of numbers. Whole numbers are exact; the
            others have enough digits for every float64.
    """

    file: str
    source: str
    source_sha256: str
    sha256: str
    distortion: str
    version: str
    parameters: dict[str, Any]


def to_parameters(values: Mapping[str, Any], distortion: Distortion) -> Parameters:
    """Convert recorded numbers to the tensors that the distortion draws.

    Raises:
        ValueError: naming the parameter that is unknown, missing or of the wrong type.
    """
    drawn = distortion.sample(torch.Generator().manual_seed(0), 1)  # for names and types
    if odd := sorted(values.keys() ^ drawn.keys()):
        raise ValueError(f"parameters: {odd[0]!r} is {'unknown' if odd[0] in values else 'missing'}")
    return {name: _to_tensor(name, values[name], like) for name, like in drawn.items()}


def _to_tensor(name: str, value: Any, like: Tensor) -> Tensor:
    kind = float if like.is_floating_point() else bool if like.dtype == torch.bool else int
    wrong = ValueError(f"parameters: {name!r}: expected {kind.__name__} values, got {json.dumps(value):.100}")
    if not all(type(number) in ({float, int} if kind is float else {kind}) for number in _numbers(value)):
        raise wrong
    try:
        tensor = torch.tensor([value], dtype=like.dtype)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # lists of unequal length; above 63 bits
        raise wrong from error
    if tensor.shape != like.shape:
        raise ValueError(f"parameters: {name!r}: {list(tensor.shape[1:])} values, expected {list(like.shape[1:])}")
    return tensor


def refuse_outside(parameters: Parameters, distortion: Distortion) -> None:
    """Check that recorded numbers lie in the ranges that the distortion draws from: others could ask for huge work.

    Raises:
        ValueError: naming the first parameter that does not.
    """
    if isinstance(distortion, Composition):
        for i, component in enumerate(distortion.parts):
            refuse_outside(unprefixed(str(i), parameters), component)
        return
    for name, value in parameters.items():
        limits = getattr(distortion, name, None)
        if isinstance(limits, int | float | tuple) and not isinstance(limits, bool):
            low, high = ends(limits)
            slack = 1e-6 * max(abs(low), abs(high))  # of a range that is drawn by its logarithm
            if not (low - slack <= value.min() and value.max() <= high + slack):
                raise ValueError(f"parameters: {name!r}: {value.flatten()[0]:g} is not within {low:g} to {high:g}")


def _numbers(value: Any) -> list[Any]:
    return [number for item in value for number in _numbers(item)] if isinstance(value, list) else [value]


# ------------------------------------------------------------------------------------------ the sidecar


def append_record(path: Path, record: CopyRecord) -> None:
    """Append a record's line to the sidecar at once, so that a killed run loses no finished copy's line.

    Raises:
        UserError: where the file cannot be written.
    """
    line = json.dumps(to_json(record), allow_nan=False).encode() + b"\n"
    try:
        with path.open("a+b") as file:
            if file.tell():
                file.seek(-1, 2)
                line = line if file.read(1) == b"\n" else b"\n" + line  # a full disk may have cut the last line
            file.write(line)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_sidecar(path: Path, confirmed: Collection[str]) -> dict[str, CopyRecord]:
    """Read the records of a sidecar by file; of two records for one file (written with --overwrite), the last counts.

    Args:
        path: the sidecar.
        confirmed: distortions that the user named, which must be in the sidecar. Code of the user's own must be
            trusted (`core.trust`): it is never imported only because a file names it.

    Raises:
        UserError: naming the file, the line and the field.
    """
    records = {r.file: r for r in read_lines(path, CopyRecord, check=_check)}
    if not records:
        raise UserError(f"{path}: holds no record")
    unused = next((spec for spec in confirmed if all(r.distortion != spec for r in records.values())), None)
    if unused is not None:
        raise UserError(f"distortion: {unused!r} is not in {path}; a replay takes the distortions that are")
    return records


def _check(record: CopyRecord) -> None:
    """Raise ValueError or UserError for a record that cannot be replayed or could write or import anything."""
    file = Path(record.file)
    if file.is_absolute() or file.drive or ".." in file.parts or file.suffix != ".png":
        raise ValueError(f"file: {record.file!r} is no .png below the sidecar's folder")
    to_parameters(record.parameters, recorded_distortion(record.distortion))


@cache
def recorded_distortion(spec: str) -> Distortion:
    """Build a record's distortion, once per spec.

    Most records have the same spec, and parsing it may take longer than applying the distortion.
    """
    return parse_distortion(spec, "distortion")
