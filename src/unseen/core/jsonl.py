"""Typed records as JSON: one line each in a file, or one text; strict in both directions.

A record is a dataclass. Its annotations say what JSON may hold: `str`, `list[...]`, `dict[str, Any]`, `Literal`, other
records, and for numbers the kinds below, since JSON has neither infinity nor nan, and Python takes `true` for a 1.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

from .atomic import write_text
from .errors import UserError
from .wording import did_you_mean

if TYPE_CHECKING:  # importing pydantic takes a third of a second, and most commands read no record
    from _typeshed import DataclassInstance
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class Kind:
    """A kind of JSON value, as metadata of an annotation: `Annotated[int, Kind("a whole number", ...)]`.

    Attributes:
        words: the kind in words, for messages.
        accepts: function that returns whether a JSON value is of this kind.
        convert: function from the JSON value to the value in the record.
    """

    words: str
    accepts: Callable[[Any], bool]
    convert: Callable[[Any], Any] = lambda value: value

    def __get_pydantic_core_schema__(self, *_: Any) -> Any:
        """The schema by which pydantic checks an annotation with this metadata."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self.checked)

    def checked(self, value: Any) -> Any:
        """The value of a record. Raises ValueError where `value` is of another kind."""
        if not self.accepts(value):
            raise ValueError(f"expected {self.words}")
        return self.convert(value)


def _is_whole(value: Any) -> bool:
    # A truth value is an int to Python; integers beyond floating point would fail later than here.
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_finite(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _is_measured(value: Any) -> bool:
    return value is None or isinstance(value, float) or _is_whole(value)


Whole: TypeAlias = Annotated[int, Kind("a whole number", _is_whole)]
"""A whole number within the range of floating point."""

Count: TypeAlias = Annotated[int, Kind("a whole number of 1 or more", lambda value: _is_whole(value) and value >= 1)]
"""A count of at least one."""

WholeOrText: TypeAlias = Annotated[
    int | str, Kind("text or a whole number", lambda value: isinstance(value, str) or _is_whole(value))
]
"""A whole number, or words."""

Natural: TypeAlias = Annotated[int, Kind("a whole number of 0 or more", lambda value: _is_whole(value) and value >= 0)]
"""A count, or nothing counted yet."""

Amount: TypeAlias = Annotated[
    float, Kind("a finite number of 0 or more", lambda value: _is_finite(value) and value >= 0)
]
"""A finite number that is not below zero."""

Score: TypeAlias = Annotated[
    float, Kind("a number", lambda value: _is_whole(value) or (isinstance(value, float) and not math.isnan(value)))
]
"""A number or infinity, as Python's JSON has it."""

Measured: TypeAlias = Annotated[Any, Kind("a number or null", lambda value: _is_measured(value))]
"""Any float, nan and infinity as Python's JSON has them; None where nothing was measured."""

MeasuredByName: TypeAlias = Annotated[
    Any,
    Kind(
        "a number, null, or numbers by name",
        lambda value: all(map(_is_measured, value.values())) if isinstance(value, dict) else _is_measured(value),
    ),
]
"""One measured value, or several by name."""

Finite: TypeAlias = Annotated[float, Kind("a finite number", _is_finite)]
"""A finite number."""

FiniteOrText: TypeAlias = Annotated[
    float | str, Kind("text or a finite number", lambda value: isinstance(value, str) or _is_finite(value))
]
"""A finite number, or words where no number describes the value."""

Number: TypeAlias = Annotated[
    float,
    Kind(
        'a number, "inf" or null',
        lambda value: value in (None, "inf", "-inf") or _is_finite(value),
        lambda value: math.nan if value is None else float(value) if isinstance(value, str) else value,
    ),
]
"""Any float: infinity is the string "inf" in JSON, and nan is null."""


IF_ANY: Mapping[str, bool] = {"if_any": True}
"""Metadata of a field that JSON lacks where its value is empty: a later addition, unknown to older files."""


def to_json(record: DataclassInstance) -> dict[str, Any]:
    """The fields of a record for `json.dumps`: infinite ones as the string "inf" or "-inf", nan as null."""
    empty = {f.name for f in fields(record) if f.metadata.get("if_any") and not getattr(record, f.name)}
    return {name: _number_to_json(value) for name, value in asdict(record).items() if name not in empty}


def from_json(text: str, cls: type[T], extra: Literal["forbid", "ignore"] = "forbid") -> T:
    """Read a record from a JSON object.

    Args:
        text: the JSON.
        cls: the record's dataclass.
        extra: whether fields that `cls` does not have are refused or passed over.

    Raises:
        ValueError: in one line that names the field, for anything else than such an object: a field that is missing,
            unknown, or of another kind; nothing is converted.
    """
    from pydantic import ValidationError

    surrogates = "\\ud" in text
    try:
        text = _hidden(text) if surrogates else text
        record: T = _adapter(cls).validate_json(text, strict=True, extra=extra)
    except ValidationError as error:
        raise ValueError(_in_words(error, cls)) from error
    if surrogates:
        record = _translated(record, SHOWN)
    return record


def to_lines(records: Iterable[DataclassInstance]) -> str:
    """Records as JSON, each on a line of its own."""
    return "".join(json.dumps(to_json(record)) + "\n" for record in records)


def write_lines(path: Path, records: Iterable[DataclassInstance]) -> None:
    """Write records as JSON lines, atomically. Raises UserError where the file cannot be written."""
    write_text(path, to_lines(records))


LONGEST = 2**20
"""Most bytes of a line of JSON, unless its record may hold more."""


def read_lines(
    path: Path, cls: type[T], hint: str = "", check: Callable[[T], None] = lambda record: None, longest: int = LONGEST
) -> list[T]:
    """Read the records of a file of `write_lines`; blank lines are skipped.

    Args:
        path: the file.
        cls: the records' dataclass.
        hint: advice on an unusable line, for the end of the message.
        check: further check of a record, which raises UserError or ValueError without naming the line.
        longest: most bytes of a line.

    Raises:
        UserError: naming the file, and for a bad line its number and field.
    """
    records = []
    for number, line in enumerate(_lines(path, longest), start=1):
        try:
            text = line.decode()
            if text.strip():
                records.append(from_json(text, cls))
                check(records[-1])
        except UnicodeDecodeError as error:
            raise UserError(f"{path}, line {number}: not JSON lines: not UTF-8 text at byte {error.start}") from error
        except (ValueError, UserError) as error:
            raise UserError(f"{path}, line {number}: {error}{hint and f'; {hint}'}") from error
    return records


def _lines(path: Path, longest: int) -> Iterator[bytes]:
    """The lines of a file, which end at a line feed alone: JSON strings may hold U+2028 and its like."""
    try:
        with path.open("rb") as file:
            for number in count(1):
                line = file.readline(longest + 1)
                if len(line) > longest:
                    raise UserError(f"{path}, line {number}: longer than {longest // 2**20} MiB")
                if not line:
                    return
                yield line
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def _number_to_json(value: object) -> object:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


EXPECTED = {
    "string_type": "expected text",
    "dict_type": "expected an object",
    "dataclass_type": "expected an object",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
}
"""Messages of pydantic by their type, in the words of JSON."""


def _in_words(error: ValidationError, cls: type[Any]) -> str:
    """The first of the errors in one line, with the field."""
    first = error.errors(include_url=False, include_context=False)[0]
    kind, message = first["type"], first["msg"].removeprefix("Value error, ")
    if kind == "json_invalid":
        return f"not valid JSON ({message.removeprefix('Invalid JSON: ').replace(' at line 1 column', ' at column')})"
    if not first["loc"]:
        return f"expected a JSON object, got {first['input']!r:.40}"
    name = ".".join(map(str, first["loc"]))
    if kind == "missing":
        return f"field {name!r:.100} is missing"
    if kind == "unexpected_keyword_argument":
        return f"unknown field {name!r:.100}{did_you_mean(name, [field.name for field in fields(cls)])}"
    expected = EXPECTED.get(kind) or message.replace("Input should be", "expected")
    return f"field {name!r:.100}: {expected}, got {first['input']!r:.40}"


SHOWN = {0x10DC80 + byte: 0xDC80 + byte for byte in range(128)}
HIDDEN = {surrogate: private for private, surrogate in SHOWN.items()}
"""Bytes of a file name that are no text are lone surrogates in Python and in the JSON that it writes. pydantic refuses
them, so that they are characters of a private plane while it reads."""


def _hidden(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False).translate(HIDDEN)
    except (ValueError, RecursionError):
        return text  # for pydantic to say what is wrong


def _translated(value: Any, table: Mapping[int, int]) -> Any:
    """A copy of a record in which every string is translated."""
    if isinstance(value, str):
        return value.translate(table)
    if isinstance(value, dict):
        return {_translated(name, table): _translated(member, table) for name, member in value.items()}
    if isinstance(value, list | tuple):
        make = getattr(value, "_make", type(value))  # of a named tuple
        return make(_translated(member, table) for member in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _translated(getattr(value, f.name), table) for f in fields(value)})
    return value
