"""Records: what one finished training was and what it took, a line each in the study's runs.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..core.atomic import write_text
from ..core.errors import UserError

RUNS = "runs.jsonl"


@dataclass(frozen=True)
class RunRecord:
    """A training: what was asked for, what came of it, and what it cost.

    run, method, backbone, seed: as in its rows. spec, lr: the method with the settings that it was trained with, and
    the outer learning rate; they differ from what was asked for where settings were tuned. evaluations, steps: how
    much it trained. seconds: of these steps. memory: the most that it took at once (`core.memory`), MiB, 0 where that
    is not known. machine: in words. curve: the lines of its log.jsonl, the learning curve against `evaluations` and
    `seconds`. diagnoses: the lines of its diagnostics.jsonl.
    """

    run: str
    method: str
    backbone: str
    seed: int
    spec: str
    lr: float
    evaluations: float
    steps: int
    seconds: float
    memory: float
    machine: str
    curve: list[dict[str, Any]]
    diagnoses: list[dict[str, Any]]


_NUMBER = (int, float)
_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("run", "method", "backbone", "spec", "machine"), str),
    **dict.fromkeys(("seed", "steps"), int),
    **dict.fromkeys(("lr", "evaluations", "seconds", "memory"), _NUMBER),
    **dict.fromkeys(("curve", "diagnoses"), list),
}


def write_runs(path: Path, records: Iterable[RunRecord]) -> None:
    """Write records as JSON lines, atomically."""
    write_text(path, "".join(json.dumps(asdict(record)) + "\n" for record in records))


def read_runs(path: Path) -> list[RunRecord]:
    """What `write_records` wrote, none where the file is missing. Raises UserError naming file, line and field."""
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if line.strip():
            found.append(_record(line, f"{path}, line {number}"))
    return found


def _record(line: str, where: str) -> RunRecord:
    try:
        values: Mapping[str, Any] = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not valid JSON; remove the line, and the run is looked at again") from error
    if not isinstance(values, dict) or values.keys() != _KINDS.keys():
        odd = sorted(_KINDS.keys() ^ set(values)) if isinstance(values, dict) else sorted(_KINDS)
        raise UserError(f"{where}: field {odd[0]!r} is missing, or none of a record's")
    for name, kind in _KINDS.items():
        if not isinstance(values[name], kind) or isinstance(values[name], bool):
            raise UserError(f"{where}: field {name!r} is not usable: {values[name]!r}; remove the line")
    return RunRecord(**values)
