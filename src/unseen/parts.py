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
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from jsonargparse import ArgumentError, ArgumentParser

from .errors import UserError

T = TypeVar("T")


def nearest(word: str, known: Iterable[str]) -> str:
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
        raise UserError(f"{field}: {name!r} is none of {', '.join(known)}{nearest(name, known)}")
    try:
        part: Callable[..., T] = getattr(importlib.import_module(module), attribute)
        inspect.signature(part)
    except Exception as error:  # a module of the user's may raise anything while it is imported
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{field}: {name!r} cannot be imported as a class or function: {reason}") from error
    return part


def build(spec: str, known: Mapping[str, Callable[..., T]], field: str, kind: type[T]) -> T:
    """Make the part that `spec` describes, of a kind, its settings checked against the part's own signature.

    Raises UserError, naming `field`, for an unknown name or setting, for a value of the wrong type, and for a
    part that is of another kind.
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
        values = parser.parse_args([f"--{name}={value}" for name, value in settings.items()])
        made = part(**{name: values[name] for name in settings})
    except ArgumentError as error:
        raise UserError(f"{field}: {spec!r}: {_one_line(str(error))}") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{field}: {spec!r}: {' '.join(str(error).split())}") from error
    if not isinstance(made, kind):
        raise UserError(f"{field}: {spec!r} makes a {type(made).__name__}, and no {kind.__name__}")
    return made


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
            raise UserError(f"{field}: {spec!r}: no setting {name!r}{nearest(name, parameters)}; it {has}")
        settings[name] = value
    return settings


def _one_line(message: str) -> str:
    """jsonargparse explains itself over several lines; keep what names the setting and the value."""
    key = re.search(r'key "([^"]+)"', message)
    value = re.search(r"[vV]alue: (.*)", message)
    expected = re.search(r"Expected an? (.*?)(\. Got|$)", message, re.MULTILINE)
    if key and value:
        kind = f", expected {expected[1]}" if expected else ""
        return f"{key[1]}={value[1].strip()!r} is not usable{kind}".replace("<class '", "").replace("'>", "")
    return " ".join(message.split())


def about(part: Callable[..., Any]) -> str:
    """The first line of a part's docstring: what it is and where it comes from."""
    return (inspect.getdoc(part) or "").partition("\n\n")[0].replace("\n", " ")


def signature(part: Callable[..., Any]) -> str:
    """A part's settings with their defaults, as a spec would give them."""
    return ", ".join(
        name if p.default is p.empty else f"{name}={getattr(p.default, '__name__', p.default)}"
        for name, p in inspect.signature(part).parameters.items()
    )
