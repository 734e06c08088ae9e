"""Hints, types and values in words, for messages and help texts."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """A hint such as ` (did you mean 'seed'?)`: up to three words that are about equally near; nothing if none is."""
    word = word[:100]
    near = difflib.get_close_matches(word, list(words), n=3)
    likeness = [difflib.SequenceMatcher(None, candidate, word).ratio() for candidate in near]
    close = [repr(name) for name, ratio in zip(near, likeness, strict=True) if ratio > likeness[0] - 0.05]
    listed = " or ".join(filter(None, [", ".join(close[:-1]), *close[-1:]]))
    return f" (did you mean {listed}?)" if close else ""


def format_value(value: Any) -> str:
    """A value as a spec gives it: true, null, [10,20]."""
    if isinstance(value, tuple | list):
        return f"[{','.join(map(format_value, value))}]"
    words = {"True": "true", "False": "false", "None": "null"}
    return words.get(str(value)) or str(getattr(value, "__name__", value))


def bare_type(annotation: Any) -> Any:
    """The type in an Annotated, or the annotation itself."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def type_in_words(annotation: Any) -> str:
    """A type in words: `a number or a range [low, high]`, `one of 1, 2, 4`."""
    kind = bare_type(annotation)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (Union, types.UnionType):
        return " or ".join(map(type_in_words, arguments))
    if arguments == (float, float):
        return "a range [low, high]"
    if arguments in ((int,), (int, ...)):
        return "whole numbers in brackets"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return words.get(kind) or str(getattr(kind, "__name__", kind))
