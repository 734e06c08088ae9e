"""Rows: what one trained network did to one image under one confounder.

A study is a flat list of rows, one JSON object a line; `summary` takes their means.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..core.atomic import write_text
from ..core.errors import UserError
from ..protocols.levels import SPLITS, Level, Split

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class ImageResult:
    """The result of one image under one confounder by one trained network.

    `protocol_hash` tells versions of a protocol apart, `data` is the digest of the training photographs, `convention`
    the hash of the metric convention. `budget` is what the training might cost, in words (`core.units`), `select`
    which of its weights are kept, `tuned` how many settings of the method were tried on held-out levels (0: none, they
    were given). PSNR is in dB (infinite for an exact restoration), SSIM at most 1; `invariance` is the mean PSNR
    between this restoration and those of the same content under the other levels, nan where there is no other.
    `degree` is the number on the curve's x axis, or a name where no single number tells the severity.
    """

    run: str
    protocol: str
    protocol_hash: str
    data: str
    convention: str
    method: str
    backbone: str
    seed: int
    budget: str
    select: str
    tuned: int
    split: Split
    distortion: str
    degree: str | float
    dataset: str
    image: str
    psnr: float
    ssim: float
    input_psnr: float
    input_ssim: float
    invariance: float

    @property
    def level(self) -> Level:
        """The confounder that this row measures, with its role in the protocol."""
        return Level(self.split, self.distortion, self.degree)


# Annotations are strings here (from __future__), so that the fields of Row are written down only once.
_KINDS = {field.name: str(field.type) for field in fields(ImageResult)}

_EXPECTED = {
    "str": "text",
    "int": "a whole number",
    "Split": f"one of {', '.join(SPLITS)}",
    "str | float": "text or a finite number",
    "float": 'a number, "inf" or null',
}


def write_results(path: Path, rows: Iterable[ImageResult]) -> None:
    """Write rows as JSON lines, atomically; infinity becomes the string "inf" and nan null.

    Raises UserError for a degree that is no finite number, which no axis could show, and where the file
    cannot be written.
    """
    write_text(path, "".join(_line(row) + "\n" for row in rows))


def read_results(path: Path) -> list[ImageResult]:
    """Read what `write_rows` wrote; blank lines are skipped.

    Raises UserError naming the file, and for a bad line its number and field.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a file of rows: not UTF-8 text at byte {error.start}") from error
    # Not splitlines(): JSON strings may hold U+2028 and its like, which it would cut at.
    lines = enumerate(text.split("\n"), start=1)
    return [_row(line, f"{path}, line {number}") for number, line in lines if line.strip()]


def _line(row: ImageResult) -> str:
    if not isinstance(row.degree, str) and not math.isfinite(row.degree):
        raise UserError(f"degree of {row.distortion}: {row.degree} is not a finite number")
    return json.dumps({name: _to_json(value) for name, value in asdict(row).items()}, allow_nan=False)


def _to_json(value: object) -> object:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def _row(line: str, where: str) -> ImageResult:
    try:
        values = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON ({error}); remove the line, and its run is tested again") from error
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected a JSON object of one row's fields")
    for name in values:
        if name not in _KINDS:
            raise UserError(f"{where}: unknown field {name!r}")
    read: dict[str, Any] = {}
    for name, kind in _KINDS.items():
        if name not in values:
            raise UserError(f"{where}: field {name!r} is missing")
        try:
            read[name] = _from_json(values[name], kind)
        except (ValueError, OverflowError) as error:
            raise UserError(f"{where}: field {name!r}: {error}, got {values[name]!r}") from None
    return ImageResult(**read)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON; write infinity as the string inf and nan as null")


def _from_json(value: object, kind: str) -> object:
    if isinstance(value, str):
        if kind in ("str", "str | float") or (kind == "Split" and value in SPLITS):
            return value
        if kind == "float" and value in ("inf", "-inf"):
            return float(value)
    elif value is None and kind == "float":
        return math.nan
    # bool is an int to Python, but `true` is no seed.
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if kind == "int" and isinstance(value, int):
            return value
        if kind in ("float", "str | float") and math.isfinite(value):
            return float(value)
    raise ValueError(f"expected {_EXPECTED[kind]}")
