"""Parts by name: how a word on the command line or in a file becomes a method, a distortion or a backbone.

dil_sf                              a known name
dil_sf:inner_lr=1e-3                with settings
gaussian_noise:30                   the first setting without its name
gaussian_noise:[5,50],clip=false    a range, and a switch
my.module.MyMethod:strength=2       a dotted path to a class or function of one's own
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from jsonargparse import ArgumentError, ArgumentParser

from .errors import UserError

T = TypeVar("T")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint such as ` (did you mean 'seed'?)`, or nothing where no known word is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def name_of(spec: str) -> str:
    """The name in a spec, without its settings."""
    return spec.partition(":")[0].strip()


def resolve(name: str, known: Mapping[str, Callable[..., T]], field: str) -> Callable[..., T]:
    """The callable behind a known name or a dotted path. Raises UserError, naming `field`, if there is none."""
    if name in known:
        return known[name]
    module, _, attribute = name.rpartition(".")
    if not module:
        raise UserError(f"{field}: {name!r} is none of {', '.join(known)}{did_you_mean(name, known)}")
    try:
        part: Callable[..., T] = getattr(importlib.import_module(module), attribute)
        inspect.signature(part)
    except Exception as error:  # a module of the user's may raise anything while it is imported
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{field}: {name!r} cannot be imported as a class or function: {reason}") from error
    return part


def build(spec: str, known: Mapping[str, Callable[..., T]], field: str, kind: type[T]) -> T:
    """Make the part that `spec` describes, of a kind, its settings checked against the part's own signature.

    Raises UserError, naming `field`, for an unknown name or setting, for one that is given twice, for a value of the
    wrong type, for settings that the part cannot be made of, and for a part that is of another kind.
    """
    part = resolve(name_of(spec), known, field)
    parameters = inspect.signature(part).parameters
    settings = _settings(spec, list(parameters), field)
    missing = [name for name, p in parameters.items() if name not in settings and _is_needed(p)]
    if missing:
        raise UserError(f"{field}: {spec!r}: needs {', '.join(missing)}")
    parser = ArgumentParser(exit_on_error=False)
    add = parser.add_function_arguments if inspect.isfunction(part) else parser.add_class_arguments
    add(part, skip={name for name in parameters if name not in settings})  # the part's defaults are its own affair
    try:
        parsed = parser.parse_args([f"--{name}={value}" for name, value in settings.items()])
        values = {name: parsed[name] for name in settings}
        _refuse_base_60(settings, values, part)
        made = part(**values)
    except UserError:
        raise
    except ArgumentError as error:
        raise UserError(f"{field}: {spec!r}: {_one_line(str(error), settings, part)}") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{field}: {spec!r}: {' '.join(str(error).split())}") from error
    except Exception as error:  # code of others: torch alone raises RuntimeError for shapes that do not fit
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{field}: {spec!r} cannot be made: {reason}") from error
    if not isinstance(made, kind):
        raise UserError(f"{field}: {spec!r} makes a {type(made).__name__}, and no {kind.__name__}")
    return made


def settings_of(spec: str, known: Mapping[str, Callable[..., Any]], field: str) -> dict[str, str]:
    """The settings that a spec gives, by name, as they are written. Raises UserError as `build` does."""
    part = resolve(name_of(spec), known, field)
    return _settings(spec, list(inspect.signature(part).parameters), field)


def _is_needed(parameter: inspect.Parameter) -> bool:
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in several


def _settings(spec: str, parameters: list[str], field: str) -> dict[str, str]:
    text = spec.partition(":")[2].strip()
    settings: dict[str, str] = {}
    for i, item in enumerate(re.split(r",(?![^\[]*\])", text) if text else []):
        name, equals, value = item.strip().partition("=")
        if not equals:
            if i >= len(parameters):
                raise UserError(f"{field}: {spec!r} gives more settings than the part has ({len(parameters)})")
            name, value = parameters[i], name
        if name not in parameters:
            has = f"has {', '.join(parameters)}" if parameters else "has no settings"
            raise UserError(f"{field}: {spec!r}: no setting {name!r}{did_you_mean(name, parameters)}; it {has}")
        if name in settings:
            raise UserError(f"{field}: {spec!r}: {name} is given twice, as {settings[name]} and as {value}")
        settings[name] = value
    return settings


def _refuse_base_60(settings: Mapping[str, str], values: Mapping[str, Any], part: Callable[..., Any]) -> None:
    """The parser follows YAML 1.1, where 1:30 is ninety: what nobody means is not taken for a number."""
    for name, text in settings.items():
        if re.search(r"\d:\d", text) and _has_numbers(values[name]):
            raise ValueError(_unusable(name, text, part))


def _has_numbers(value: Any) -> bool:
    return any(map(_has_numbers, value)) if isinstance(value, list | tuple) else isinstance(value, int | float)


def _one_line(message: str, settings: Mapping[str, str], part: Callable[..., Any]) -> str:
    """jsonargparse explains itself over several lines; keep the setting, and say what it takes."""
    key = re.search(r'key "([^"]+)"', message)
    return _unusable(key[1], settings[key[1]], part) if key and key[1] in settings else " ".join(message.split())


def _unusable(name: str, value: str, part: Callable[..., Any]) -> str:
    try:
        kind = inspect.signature(part, eval_str=True).parameters[name].annotation
    except Exception:  # an annotation may name what is imported for type checkers alone
        return f"{name}={value!r} is not usable"
    near = did_you_mean(value, map(str, get_args(kind))) if get_origin(kind) is Literal else ""
    return f"{name}={value!r} is not usable, expected {kind_in_words(kind)}{near}"


def kind_in_words(kind: Any) -> str:
    """A type as it is said to people: `a number or a range [low, high]`, `one of 1, 2, 4`."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (Union, types.UnionType):
        return " or ".join(map(kind_in_words, inner))
    if inner == (float, float):
        return "a range [low, high]"
    if inner in ((int,), (int, ...)):
        return "whole numbers in brackets"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return words.get(kind) or str(getattr(kind, "__name__", kind))


def summary_line(part: Callable[..., Any]) -> str:
    """The first line of a part's docstring: what it is and where it comes from."""
    return (inspect.getdoc(part) or "").partition("\n\n")[0].replace("\n", " ")


def signature(part: Callable[..., Any]) -> str:
    """A part's settings with their defaults, as a spec would give them."""
    return ", ".join(
        name if p.default is p.empty else f"{name}={format_value(p.default)}"
        for name, p in inspect.signature(part).parameters.items()
    )


def format_value(value: Any) -> str:
    """A value as a spec gives it: true, null, [10,20]."""
    if isinstance(value, tuple | list):
        return f"[{','.join(map(format_value, value))}]"
    words = {"True": "true", "False": "false", "None": "null"}
    return words.get(str(value)) or str(getattr(value, "__name__", value))
