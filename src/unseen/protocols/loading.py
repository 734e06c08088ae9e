"""Protocols from YAML files: every error names the file, the line and the field."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml.parser import ParserError

from ..core.errors import UserError, one_line
from ..core.registry import name_of
from ..core.text_file import read_text
from ..core.wording import did_you_mean
from ..core.yaml12 import fault, load
from ..distortions.distortion import degree_in_words, ends, meet
from .confounder import Confounder, Synthetic, gray_kept, parse_confounder
from .convention import Convention
from .files import protocol_file
from .protocol import Protocol, Reported

Span = tuple[float, float]
"""The lowest and the highest value."""


def load_protocol(name: str) -> Protocol:
    """Load a protocol by name, or from a YAML file of one's own.

    Raises:
        UserError: naming the file, the line and the field, where it is missing or malformed, and where an unseen degree
            lies in the seen range.
    """
    return _parse(protocol_text(name), name)


def protocol_text(name: str) -> str:
    """Read the YAML of a protocol by name, or of a file of one's own. Raises UserError where it cannot be read."""
    return read_text(protocol_file(name), "a protocol", f"protocol: {name}")


@dataclass(frozen=True)
class _Table:
    """A table of reported numbers, as a file states it."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    source: str
    columns: tuple[str | int | float, ...]
    rows: tuple[tuple[str | int | float, ...], ...]


@dataclass(frozen=True)
class _Fields:
    """The fields of a protocol as a file states them, of the right types."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    version: int
    about: str
    seen: tuple[Any, ...]
    held_out: tuple[Any, ...]
    unseen: tuple[Any, ...]
    convention: Convention = field(default_factory=Convention)
    scale: Annotated[int, Ge(1), Le(16)] = 1
    gray: bool = False
    gray_kept: bool = False
    tests: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reported: tuple[_Table, ...] = ()


MOST_ALTERNATIVES = 1000
"""Most distortions of one role that an image may get, all orders of a composition counted; pairs are compared."""

TRIAL_SIDE = 64
"""Side in pixels of the gray image on which the distortions of a gray protocol are tried."""

QUOTES = "brackets and commas need quotes around the whole, as in 'gaussian_noise:[5,30]'"


@cache
def _adapter() -> TypeAdapter[_Fields]:
    return TypeAdapter(_Fields)


SECTIONS = {"convention": Convention, "reported": _Table}
"""Fields of a file that have fields of their own."""

TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dataclass_type": "fields and values",
}
"""What was expected, by the error of pydantic."""


@dataclass(frozen=True)
class Source:
    """A file and its content, from which an error gets its line.

    Attributes:
        name: the name of the protocol or the path of the file.
        content: the content that `yaml12.load` returned.
    """

    name: str
    content: Any

    def line(self, *path: str | int) -> str:
        """Return `file, line 3` for a path of fields and places in lists; of an absent item, the line of its list."""
        here, line = self.content, 0
        for step in path:
            try:
                line, here = here.lc.data[step][0], here[step]
            except (AttributeError, TypeError, LookupError):
                break
        return f"{self.name}, line {line + 1}"

    def at(self, *path: str | int) -> str:
        """Return `file, line 3: seen[1]` for a path of fields and places in lists."""
        words = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        return self.line(*path) + (f": {words}" if words else "")


_content = lru_cache(maxsize=8)(load)
"""The content of a text, which nothing changes: reading YAML takes most of the time of loading a protocol."""


def _parse(text: str, name: str) -> Protocol:
    try:
        source = Source(name, _content(text))
        content = json.dumps(source.content)
    except Exception as error:  # not YAMLError alone: a thousand brackets, a tag that its text does not fit
        line, reason = fault(error)
        where = f", line {line}" if line else ""
        raise UserError(
            f"{name}{where}: not YAML: {reason}{'; ' + QUOTES if isinstance(error, ParserError) else ''}"
        ) from error
    try:
        stated = _adapter().validate_json(content, strict=True)  # as JSON, a list may become a tuple
    except ValidationError as error:
        raise UserError(_refusal(error, source)) from error
    except UserError as error:  # from Convention: two fields that do not fit together
        place, _, reason = str(error).partition(": ")
        raise UserError(f"{source.at(*place.split('.'))}: {reason}") from error
    groups = {group: _confounders(getattr(stated, group), source, group) for group in ("seen", "held_out", "unseen")}
    if stated.gray_kept:
        groups = {group: tuple(map(gray_kept, confounders)) for group, confounders in groups.items()}
    protocol = Protocol(
        name=stated.name,
        version=stated.version,
        about=stated.about,
        seen=groups["seen"],
        held_out=groups["held_out"],
        unseen=groups["unseen"],
        convention=stated.convention,
        scale=stated.scale,
        gray=stated.gray,
        gray_kept=stated.gray_kept,
        tests=stated.tests,
        notes=stated.notes,
        reported=tuple(_reported(table, source, i) for i, table in enumerate(stated.reported)),
    )
    _refuse_scales(protocol, source)
    if protocol.gray:
        _refuse_colour(protocol, source)
    _refuse_repetitions(protocol, source)
    _refuse_leaks(protocol, source)
    return protocol


def _refusal(refusal: ValidationError, source: Source) -> str:
    """A message of one line about the first error."""
    error = refusal.errors(include_url=False)[0]
    place, kind = error["loc"], error["type"]
    if kind == "missing":
        return f"{source.at(*place[:-1])}: field {place[-1]!r} is missing"
    if kind == "unexpected_keyword_argument":
        names = [f.name for f in fields(SECTIONS[str(place[0])] if len(place) > 1 else _Fields)]
        section = "".join(f"{words}: " for words in source.at(*place[:-1]).split(": ")[1:])
        return f"{source.line(*place)}: {section}unknown field {place[-1]!r:.100}{did_you_mean(str(place[-1]), names)}"
    if kind == "greater_than_equal":
        return f"{source.at(*place)}: {error['input']} is below {error['ctx']['ge']}"
    if kind == "less_than_equal":
        return f"{source.at(*place)}: {error['input']} is above {error['ctx']['le']}"
    if kind == "literal_error":
        return f"{source.at(*place)}: {error['input']!r:.100} is not {error['ctx']['expected']}"
    return f"{source.at(*place)}: expected {TYPES.get(kind, 'text or a number')}, not {error['input']!r:.100}"


def _confounders(specs: Sequence[Any], source: Source, group: str) -> tuple[Confounder, ...]:
    if not specs:
        raise UserError(f"{source.at(group)}: expected a list such as [gaussian_noise:5, gaussian_noise:10]")
    for i, spec in enumerate(specs):
        if not isinstance(spec, str) or "=" in name_of(spec):
            raise UserError(
                f"{source.at(group, i)}: YAML reads {spec!r:.100} here; {QUOTES}, and no space stands after the colon"
            )
    confounders = tuple(parse_confounder(spec, source.at(group, i)) for i, spec in enumerate(specs))
    alternatives = sum(len(list(_alternatives(confounder))) for confounder in confounders)
    if alternatives > MOST_ALTERNATIVES:
        raise UserError(f"{source.at(group)}: {alternatives} ways to distort, more than {MOST_ALTERNATIVES}")
    return confounders


def _reported(table: _Table, source: Source, i: int) -> Reported:
    for j, row in enumerate(table.rows):
        if len(row) != len(table.columns):
            where = source.at("reported", i, "rows", j)
            raise UserError(f"{where}: {len(row)} cells for {len(table.columns)} columns")
    return Reported(table.source, tuple(map(str, table.columns)), tuple(tuple(map(str, row)) for row in table.rows))


def _refuse_scales(protocol: Protocol, source: Source) -> None:
    """Raise UserError for a synthetic distortion that does not shrink by the protocol's scale."""
    for key, group in _groups(protocol).items():
        for i, c in enumerate(group):
            if isinstance(c, Synthetic) and c.distortion.scale != protocol.scale:
                raise UserError(
                    f"{source.at(key, i)}: {c.name} shrinks by {c.distortion.scale}, and the protocol's scale is "
                    f"{protocol.scale}"
                )


def _refuse_colour(protocol: Protocol, source: Source) -> None:
    """Raise UserError for what a gray protocol cannot have: a luma of colours, and distortions of colours alone."""
    if protocol.convention.channels == "y":
        raise UserError(f"{source.at('convention', 'channels')}: a gray photograph is its luma already; give rgb")
    for key, group in _groups(protocol).items():
        for i, c in enumerate(group):
            if isinstance(c, Synthetic):
                side = TRIAL_SIDE // protocol.scale * protocol.scale
                try:
                    c.pair(torch.full((1, 1, side, side), 0.5), torch.Generator().manual_seed(0))
                except (ValueError, RuntimeError) as error:
                    raise UserError(f"{source.at(key, i)}: {c.name} on gray photographs: {one_line(error)}") from error


def _refuse_repetitions(protocol: Protocol, source: Source) -> None:
    """Raise UserError for two confounders of a split with equal kind and degree, by which results name them."""
    for key, group in _groups(protocol).items():
        named: dict[tuple[str, float | str], Confounder] = {}
        for i, c in enumerate(group):
            first = named.setdefault((c.kind, c.degree), c)
            if first is c:
                continue
            if first.name == c.name:
                raise UserError(f"{source.at(key, i)}: {c.name} is listed twice")
            raise UserError(
                f"{source.at(key, i)}: {c.name} would be one with {first.name} in the results, which name both "
                f"{c.kind} of degree {degree_in_words(c.degree)}: change a degree, or join the two by ' | '"
            )


def _refuse_leaks(protocol: Protocol, source: Source) -> None:
    """Raise UserError for an unseen degree that is held out, or within the seen range of the same distortion."""
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
    """The ranges from the lowest to the highest seen degree, by distortion; one range per setting of a composition."""
    ranges: dict[Hashable, list[Span]] = {}
    for c in seen:
        for alike, spans in _alternatives(c):
            pairs = zip(ranges.get(alike, spans), spans, strict=True)
            ranges[alike] = [(min(low, lowest), max(high, highest)) for (low, high), (lowest, highest) in pairs]
    return ranges


def _alternatives(confounder: Confounder) -> Iterator[tuple[Hashable, list[Span]]]:
    """Each distortion that an image may get: families and words, which must be equal to compare, and ranges."""
    for links in confounder.distortion.alternatives if isinstance(confounder, Synthetic) else ():
        spans = [span for link in links for span in link.spans]
        words = tuple(span for span in spans if isinstance(span, str))
        yield (tuple(link.family for link in links), words), [ends(span) for span in spans if not isinstance(span, str)]


def _groups(protocol: Protocol) -> dict[str, tuple[Confounder, ...]]:
    """The confounders by the names that their lists have in a file."""
    return {"seen": protocol.seen, "held_out": protocol.held_out, "unseen": protocol.unseen}
