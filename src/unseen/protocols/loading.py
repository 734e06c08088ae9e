"""Protocols from YAML files: every error names the file, the line and the field."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import UserError
from ..core.registry import did_you_mean, name_of
from ..core.yaml12 import PlainLoader, load_plain
from ..distortions.distortion import degree_in_words, ends, meet
from .confounder import Confounder, Synthetic, parse_confounder
from .convention import Convention
from .protocol import Protocol, Reported

DERIVED = ("enlarged_by",)
"""Fields of a protocol that no file states: `Protocol.enlarged` sets them."""
Span = tuple[float, float]
"""The lowest and the highest value."""


def protocol_names() -> list[str]:
    """The protocols that come with the package."""
    folder = resources.files(__package__)
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def load_protocol(name: str) -> Protocol:
    """A protocol by name, or from a YAML file of one's own.

    Raises UserError, naming the file, the line and the field, where it is missing, malformed, or leaks an unseen
    degree into the seen range.
    """
    if name in protocol_names():
        return _parse(resources.files(__package__).joinpath(f"{name}.yaml").read_text("utf-8"), name)
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        known = protocol_names()
        raise UserError(
            f"protocol: {name!r} is none of {', '.join(known)}{did_you_mean(name, known)}, nor a .yaml file"
        )
    try:
        return _parse(path.read_text("utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"protocol: {name}: cannot be read: {getattr(error, 'strerror', error)}") from error


@dataclass(frozen=True)
class Source:
    """A file and the lines of its fields, so that an error can say where it is."""

    name: str
    lines: dict[tuple[str | int, ...], int]

    def at(self, *path: str | int) -> str:
        """`file, line 3: seen[1]` for a path of names and places; the nearest line that there is."""
        known = next((self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines), 1)
        words = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        return f"{self.name}, line {known}" + (f": {words}" if words else "")


def _parse(text: str, name: str) -> Protocol:
    try:
        tree, raw = yaml.compose(text, PlainLoader), load_plain(text)
    except Exception as error:  # not YAMLError alone: a thousand brackets, a tag that its text does not fit
        raise UserError(f"{name}: not YAML: {' '.join(str(error).split())}") from error
    source = Source(name, _lines(tree, name))
    _check_keys(raw, Protocol, source)
    for key, kind, words in (
        ("name", str, "text"),
        ("about", str, "text"),
        ("version", int, "a whole number"),
        ("scale", int, "a whole number"),
    ):
        if type(raw.get(key, kind())) is not kind:  # `true` is an int as well
            raise UserError(f"{source.at(key)}: expected {words}, not {raw[key]!r}")
    groups = {group: _confounders(raw[group], source, group) for group in ("seen", "held_out", "unseen")}
    protocol = Protocol(
        name=raw["name"],
        version=raw["version"],
        about=raw["about"],
        seen=groups["seen"],
        held_out=groups["held_out"],
        unseen=groups["unseen"],
        convention=_convention(raw.get("convention", {}), source),
        scale=raw.get("scale", 1),
        tests=_texts(raw.get("tests", []), source, "tests"),
        notes=_texts(raw.get("notes", []), source, "notes"),
        reported=_reported(raw.get("reported", []), source),
    )
    _refuse_scales(protocol, source)
    _refuse_repetitions(protocol, source)
    _refuse_leaks(protocol, source)
    return protocol


def _lines(tree: yaml.Node | None, name: str) -> dict[tuple[str | int, ...], int]:
    """The line of every field and element, counted from 1, by its path.

    Raises UserError for what YAML lets pass: a field that is there twice, and an alias within what it stands for.
    """
    found: dict[tuple[str | int, ...], int] = {}

    def visit(node: yaml.Node, path: tuple[str | int, ...], above: tuple[yaml.Node, ...]) -> None:
        line = found.setdefault(path, node.start_mark.line + 1)
        if node in above:
            raise UserError(f"{name}, line {line}: an alias stands for what it is part of")
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                field = (*path, str(key.value))
                line = key.start_mark.line + 1
                if field in found:
                    raise UserError(f"{name}, line {line}: field {key.value!r} is there twice")
                found[field] = line
                visit(value, field, (*above, node))
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                visit(value, (*path, i), (*above, node))

    if tree is not None:
        visit(tree, (), ())
    return found


def _confounders(specs: Any, source: Source, group: str) -> tuple[Confounder, ...]:
    if not isinstance(specs, list) or not specs:
        raise UserError(f"{source.at(group)}: expected a list such as [gaussian_noise:5, gaussian_noise:10]")
    for i, spec in enumerate(specs):
        if not isinstance(spec, str) or "=" in name_of(spec):
            raise UserError(
                f"{source.at(group, i)}: YAML reads {spec!r} here; brackets and commas need quotes around the whole, "
                "as in 'gaussian_noise:[5,30]', and no space stands after the colon"
            )
    return tuple(parse_confounder(spec, source.at(group, i)) for i, spec in enumerate(specs))


def _texts(values: Any, source: Source, key: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise UserError(f"{source.at(key)}: expected a list of texts")
    return tuple(values)


def _convention(raw: Any, source: Source) -> Convention:
    _check_keys(raw, Convention, source, "convention")
    try:
        return Convention(**raw)
    except UserError as error:
        key, _, reason = str(error).removeprefix("convention.").partition(": ")
        line = source.at("convention", key).partition(": ")[0]
        raise UserError(f"{line}: convention: {key}: {reason}") from error


def _reported(raw: Any, source: Source) -> tuple[Reported, ...]:
    """One table or several."""
    if not isinstance(raw, list):
        raise UserError(f"{source.at('reported')}: expected a list of tables, each with source, columns and rows")
    tables = []
    for i, table in enumerate(raw):
        _check_keys(table, Reported, source, "reported", i)
        columns, rows = table["columns"], table["rows"]
        for key in ("columns", "rows"):
            if not isinstance(table[key], list):
                raise UserError(f"{source.at('reported', i, key)}: expected a list")
        for j, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != len(columns):
                cells = f"{len(row)} cells" if isinstance(row, list) else "no list of cells"
                raise UserError(f"{source.at('reported', i, 'rows', j)}: {cells} for {len(columns)} columns")
        tables.append(
            Reported(str(table["source"]), tuple(map(str, columns)), tuple(tuple(map(str, row)) for row in rows))
        )
    return tuple(tables)


def _check_keys(raw: Any, kind: type, source: Source, *path: str | int) -> None:
    """A mapping with the dataclass's fields: none unknown, none missing that has no default."""
    if not isinstance(raw, dict):
        raise UserError(f"{source.at(*path)}: expected fields and values")
    known = {f.name: f for f in fields(kind) if f.name not in DERIVED}
    for key in raw:
        if key not in known:
            line = source.at(*path, str(key)).partition(": ")[0]
            where = source.at(*path).partition(": ")[2]
            raise UserError(
                f"{line}: {where + ': ' if where else ''}unknown field {key!r}{did_you_mean(str(key), known)}"
            )
    for name, f in known.items():
        if name not in raw and f.default is MISSING and f.default_factory is MISSING:
            raise UserError(f"{source.at(*path)}: field {name!r} is missing")


def _refuse_scales(protocol: Protocol, source: Source) -> None:
    """Every made distortion shrinks by what the network enlarges by."""
    if protocol.scale < 1:
        raise UserError(f"{source.at('scale')}: {protocol.scale} is below 1")
    for key, group in _groups(protocol).items():
        for i, c in enumerate(group):
            if isinstance(c, Synthetic) and c.distortion.scale != protocol.scale:
                raise UserError(
                    f"{source.at(key, i)}: {c.name} shrinks by {c.distortion.scale}, and the protocol's scale is "
                    f"{protocol.scale}"
                )


def _refuse_repetitions(protocol: Protocol, source: Source) -> None:
    """Results name a confounder by its kind and degree alone: two of a split that share both would be one."""
    for key, group in _groups(protocol).items():
        named: dict[tuple[str, float | str], Confounder] = {}
        for i, c in enumerate(group):
            first = named.setdefault((c.kind, c.degree), c)
            if first is c:
                continue
            if first.name == c.name:
                raise UserError(f"{source.at(key, i)}: {c.name} is there twice")
            raise UserError(
                f"{source.at(key, i)}: {c.name} would be one with {first.name} in the results, which name both "
                f"{c.kind} of degree {degree_in_words(c.degree)}: change a degree, or join the two by ' | '"
            )


def _refuse_leaks(protocol: Protocol, source: Source) -> None:
    """An unseen degree within the seen range of the same distortion, or held out, would make the claim empty."""
    ranges = _seen_ranges(protocol.seen)
    for i, unseen in enumerate(protocol.unseen):
        where = f"{source.at('unseen', i)}: {unseen.name}"
        for key, group in (("seen", protocol.seen), ("held_out", protocol.held_out)):
            for c in group:
                if unseen.overlaps(c):
                    raise UserError(f"{where} overlaps {c.name}, which is {key.replace('_', '-')}")
        for alike, spans in _alternatives(unseen):
            if alike in ranges and all(map(meet, spans, ranges[alike])):
                words = ", ".join(f"{low:g} to {high:g}" for low, high in ranges[alike])
                raise UserError(f"{where} overlaps the seen range {words}")


def _seen_ranges(seen: Sequence[Confounder]) -> dict[Hashable, list[Span]]:
    """From the lowest to the highest of all that is alike, in each place of a composition by itself."""
    ranges: dict[Hashable, list[Span]] = {}
    for c in seen:
        for alike, spans in _alternatives(c):
            pairs = zip(ranges.get(alike, spans), spans, strict=True)
            ranges[alike] = [(min(low, lowest), max(high, highest)) for (low, high), (lowest, highest) in pairs]
    return ranges


def _alternatives(confounder: Confounder) -> Iterator[tuple[Hashable, list[Span]]]:
    """Of all that an image may get, the families and words, which must be alike to be compared, and the ranges."""
    for links in confounder.distortion.alternatives if isinstance(confounder, Synthetic) else ():
        spans = [span for link in links for span in link.spans]
        words = tuple(span for span in spans if isinstance(span, str))
        yield (tuple(link.family for link in links), words), [ends(span) for span in spans if not isinstance(span, str)]


def _groups(protocol: Protocol) -> dict[str, tuple[Confounder, ...]]:
    """The confounders under the names that they have in a file."""
    return {"seen": protocol.seen, "held_out": protocol.held_out, "unseen": protocol.unseen}
