"""Conversion of options, YAML values and settings of specs to the type and the range that an annotation states.

pydantic converts and checks; its structured errors become one line each. Ranges stand in the annotation as the markers
of annotated_types: `Annotated[int, Ge(1), "images in a batch"]`. Importing pydantic and ruamel.yaml waits until the
first conversion.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from .text_file import LARGEST
from .wording import bare_type, did_you_mean, format_value, type_in_words

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError


def convert(value: object, annotation: Any, name: str) -> Any:
    """Convert a value to the type of an annotation, and check its range.

    Args:
        value: a text from the command line, a spec or a file, or a typed value out of YAML. A text is read as YAML
            first (`1e-3`, `[5,50]`, `false`, `null`), and taken as it stands where the annotation wants text. A typed
            value must have the type already; only a whole number may stand for a number.
        annotation: a type, a Literal, a union, a list or tuple of these, or any of them in Annotated.
        name: the option or setting, for messages.

    Raises:
        ValueError: one line that starts with the name and says what is allowed.
    """
    from pydantic import PydanticUserError, ValidationError

    refusal: ValidationError | None = None
    try:
        adapter = _adapter(annotation)
        typed = _typed(value) if isinstance(value, str) else None
        if typed is not None:
            try:
                return adapter.validate_json(typed, strict=True)  # as JSON, a list may become a tuple
            except ValidationError as error:
                refusal = error
        return adapter.validate_python(value, strict=True)
    except ValidationError as error:
        raise ValueError(_message(refusal or error, value, annotation, name)) from None
    except PydanticUserError:  # an annotation that pydantic knows nothing of
        raise ValueError(f"{name}: expected {type_in_words(annotation)}, got {_shown(value)}") from None


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))


def _typed(text: str) -> str | None:
    """The JSON of the number, truth value, null or list that a text is in YAML; None for any other text."""
    if len(text) > LARGEST:
        return None
    return _read(text) if len(text) <= SHORT else _read.__wrapped__(text)


SHORT = 100
"""Most characters of a text whose reading is kept: each option is checked several times."""


@lru_cache(maxsize=1024)
def _read(text: str) -> str | None:
    from .yaml12 import load

    try:
        value = load(text)
        return None if isinstance(value, str | dict) else json.dumps(value)
    except Exception:  # text need not be YAML
        return None


RANGES = {
    "greater_than_equal": ("ge", "below"),
    "greater_than": ("gt", "not above"),
    "less_than_equal": ("le", "above"),
    "less_than": ("lt", "not below"),
}
"""pydantic's errors of range: the name of the limit, and the words between the value and the limit."""


def _message(refusal: ValidationError, value: object, annotation: Any, name: str) -> str:
    details = refusal.errors(include_url=False)
    error = next((error for error in details if error["type"] in RANGES), details[0])
    kind = bare_type(annotation)
    if get_origin(kind) is list and error["loc"]:
        name = f"{name} element {int(error['loc'][0]) + 1}"
        value, kind = error["input"], get_args(kind)[0]
    if error["type"] in RANGES:
        limit, words = RANGES[error["type"]]
        return f"{name}: {format_value(value):.100} is {words} {error['ctx'][limit]:g}"
    if error["type"] == "too_short":
        return f"{name}: none given"
    if get_origin(kind) is Literal:
        choices = list(map(str, get_args(kind)))
        return f"{name}: {str(value)!r:.100} is none of {', '.join(choices)}{did_you_mean(str(value), choices)}"
    if get_origin(kind) is list:
        return f"{name}: expected a list" + (f", such as [{value:.100}]" if isinstance(value, str) else "")
    return f"{name}: expected {type_in_words(kind)}, got {_shown(value)}"


def _shown(value: object) -> str:
    """A wrong value in a message; of a list or mapping only the kind, as it may be large."""
    if isinstance(value, str):
        return f"{value!r:.100}"
    kinds = {list: "a list", dict: "a mapping"}
    return next((words for kind, words in kinds.items() if isinstance(value, kind)), f"{format_value(value):.100}")
