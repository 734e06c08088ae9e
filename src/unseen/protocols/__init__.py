"""Named, versioned experiments: what is seen, held out and unseen, and how it is measured."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ..confounders import Confounder
from ..errors import UserError
from ..metrics import Convention
from ..parts import nearest
from ..rows import Split


@dataclass(frozen=True)
class Reported:
    """What the authors reported for this experiment, at their training scale: a table of its own."""

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Protocol:
    """One experiment.

    seen: the confounders that methods train on. held_out: for choosing checkpoints and settings, on
    photographs of the training side. unseen: only ever tested; the ceiling alone trains on them.
    convention: how PSNR and SSIM are taken. tests: the test sets it is usually reported on.
    """

    name: str
    version: int
    about: str
    seen: tuple[Confounder, ...]
    held_out: tuple[Confounder, ...]
    unseen: tuple[Confounder, ...]
    convention: Convention = field(default_factory=Convention)
    tests: tuple[str, ...] = ()
    reported: Reported | None = None

    def levels(self) -> list[tuple[Split, Confounder]]:
        """Every confounder with its split, seen first."""
        splits: list[tuple[Split, tuple[Confounder, ...]]] = [
            ("seen", self.seen),
            ("held-out", self.held_out),
            ("unseen", self.unseen),
        ]
        return [(split, confounder) for split, confounders in splits for confounder in confounders]

    def training_confounders(self, sees_unseen: bool) -> tuple[Confounder, ...]:
        """The seen ones; for the ceiling, every one."""
        return self.seen + self.held_out + self.unseen if sees_unseen else self.seen

    def hash(self) -> str:
        """Twelve hexadecimal digits that change with anything that changes a result."""
        names = [[c.name for c in group] for group in (self.seen, self.held_out, self.unseen)]
        text = json.dumps([self.name, self.version, names, self.convention.hash()])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def protocol_names() -> list[str]:
    """The protocols that come with the package."""
    folder = resources.files(__package__)
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def load_protocol(name: str) -> Protocol:
    """A protocol by name, or from a YAML file of one's own.

    Raises UserError, naming the file and the field, where it is missing, malformed, or leaks an unseen
    degree into the seen range.
    """
    if name in protocol_names():
        return _parse(resources.files(__package__).joinpath(f"{name}.yaml").read_text("utf-8"), name)
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        known = protocol_names()
        raise UserError(f"protocol: {name!r} is none of {', '.join(known)}{nearest(name, known)}, nor a .yaml file")
    try:
        return _parse(path.read_text("utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"protocol: {name}: cannot be read: {getattr(error, 'strerror', error)}") from error


def _parse(text: str, source: str) -> Protocol:
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    _check_keys(raw, Protocol, source)
    groups = {}
    for group in ("seen", "held_out", "unseen"):
        specs = raw[group]
        if not isinstance(specs, list) or not all(isinstance(spec, str) for spec in specs) or not specs:
            raise UserError(f"{source}: {group}: expected a list such as [gaussian_noise:5, gaussian_noise:10]")
        groups[group] = tuple(Confounder.parse(s, f"{source}: {group}[{i}]") for i, s in enumerate(specs))
    if not isinstance(raw.get("tests", []), list):
        raise UserError(f"{source}: tests: expected a list of names")
    if not isinstance(raw["version"], int):
        raise UserError(f"{source}: version: expected a whole number, not {raw['version']!r}")
    convention = raw.get("convention", {})
    _check_keys(convention, Convention, f"{source}: convention")
    reported = raw.get("reported")
    if reported is not None:
        _check_keys(reported, Reported, f"{source}: reported")
        rows = tuple(tuple(str(cell) for cell in row) for row in reported["rows"])
        reported = Reported(str(reported["source"]), tuple(map(str, reported["columns"])), rows)
        for i, row in enumerate(rows):
            if len(row) != len(reported.columns):
                raise UserError(f"{source}: reported.rows[{i}]: {len(row)} cells for {len(reported.columns)} columns")
    try:
        measure = Convention(**convention)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    protocol = Protocol(
        name=str(raw["name"]),
        version=raw["version"],
        about=str(raw["about"]),
        **groups,
        convention=measure,
        tests=tuple(raw.get("tests", ())),
        reported=reported,
    )
    levels = [(split, c.kind, c.degree) for split, c in protocol.levels()]
    if twice := next((level for level in levels if levels.count(level) > 1), None):
        raise UserError(f"{source}: {twice[0]}: {twice[1]} of degree {twice[2]} is there twice")
    _refuse_leaks(protocol, source)
    return protocol


def _check_keys(raw: Any, kind: type, source: str) -> None:
    """A mapping with the dataclass's fields: none unknown, none missing that has no default."""
    if not isinstance(raw, dict):
        raise UserError(f"{source}: expected fields and values")
    known = {f.name: f for f in fields(kind)}
    for key in raw:
        if key not in known:
            raise UserError(f"{source}: unknown field {key!r}{nearest(str(key), known)}")
    for name, f in known.items():
        if name not in raw and f.default is MISSING and f.default_factory is MISSING:
            raise UserError(f"{source}: field {name!r} is missing")


def _refuse_leaks(protocol: Protocol, source: str) -> None:
    """An unseen degree within the seen range of the same distortion, or held out, would make the claim empty."""
    for unseen in protocol.unseen:
        seen, held = (
            [c for c in group if type(c.distortion) is type(unseen.distortion)]
            for group in (protocol.seen, protocol.held_out)
        )
        span, spans = _span(unseen), [s for c in seen if (s := _span(c))]
        hull = [("seen range", min(s[0] for s in spans), max(s[1] for s in spans))] if spans else []
        for what, low, high in hull + [("held-out", *s) for c in held if (s := _span(c))]:
            if span and span[0] <= high and span[1] >= low:
                raise UserError(f"{source}: unseen: {unseen.name} overlaps the {what} {low:g} to {high:g}")
        if any(c.degree == unseen.degree for c in seen + held):  # degrees in words
            raise UserError(f"{source}: unseen: {unseen.name} is seen or held out as well")


def _span(confounder: Confounder) -> tuple[float, float] | None:
    """The lowest and highest degree; None where degrees are no numbers."""
    degree = confounder.distortion.degree
    if isinstance(degree, str):
        return None
    return degree if isinstance(degree, tuple) else (degree, degree)
