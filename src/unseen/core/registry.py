"""Components by name: how a word on the command line or in a file becomes a method, a distortion or a backbone.

dil_sf                              a known name
dil_sf:inner_lr=1e-3                with settings
gaussian_noise:30                   the first setting without its name
gaussian_noise:[5,50],clip=false    a range, and a switch
my.module.MyMethod:strength=2       a dotted path to a class or function of one's own
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .conversion import convert
from .errors import UserError, one_line
from .wording import did_you_mean, format_value

T = TypeVar("T")


def name_of(spec: str) -> str:
    """Return the name in a spec, without the settings."""
    return spec.partition(":")[0].strip()


def resolve(name: str, components: Mapping[str, Callable[..., T]], field: str) -> Callable[..., T]:
    """Find the class or function behind a known name or a dotted path.

    Args:
        name: the name or the path, without settings.
        components: the components of one kind by name.
        field: the option or the place in a file that the name comes from, for messages.

    Raises:
        UserError: if there is no such component.
    """
    if name in components:
        return components[name]
    module, _, attribute = name.rpartition(".")
    if not module:
        raise UserError(f"{field}: {name!r} is none of {', '.join(components)}{did_you_mean(name, components)}")
    try:
        component: Callable[..., T] = getattr(importlib.import_module(module), attribute)
        inspect.signature(component)
    except Exception as error:  # a module of the user's may raise anything while it is imported
        raise UserError(f"{field}: {name!r} cannot be imported as a class or function: {one_line(error)}") from error
    return component


def build(spec: str, components: Mapping[str, Callable[..., T]], field: str, kind: type[T]) -> T:
    """Make the component that a spec describes.

    Args:
        spec: a name or a dotted path, with settings or without.
        components: the components of one kind by name.
        field: the option or the place in a file that the spec comes from, for messages.
        kind: the class that the component must be an instance of.

    Raises:
        UserError: for an unknown name or setting, a setting given twice, a value that does not fit the annotation in
            the component's signature, settings that the component refuses, and a component of another kind.
    """
    component = resolve(name_of(spec), components, field)
    parameters = _parameters(component)
    settings = _settings(spec, list(parameters), field)
    missing = [name for name, p in parameters.items() if name not in settings and _is_required(p)]
    if missing:
        raise UserError(f"{field}: {spec!r}: needs {', '.join(missing)}")
    try:
        instance = component(**{name: convert(text, _kind(parameters[name]), name) for name, text in settings.items()})
    except UserError:
        raise
    except (ValueError, TypeError) as error:
        raise UserError(f"{field}: {spec!r}: {one_line(error)}") from error
    except Exception as error:  # other people's code: torch raises RuntimeError for shapes that do not fit
        reason = one_line(f"{type(error).__name__}: {error}")
        raise UserError(f"{field}: {spec!r} cannot be made: {reason}") from error
    if not isinstance(instance, kind):
        raise UserError(f"{field}: {spec!r} makes a {type(instance).__name__}, and no {kind.__name__}")
    return instance


def settings_of(spec: str, components: Mapping[str, Callable[..., Any]], field: str) -> dict[str, str]:
    """Return the settings that a spec gives, by name, as they are written. Raises UserError as `build` does."""
    component = resolve(name_of(spec), components, field)
    return _settings(spec, list(inspect.signature(component).parameters), field)


def _parameters(component: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters, their annotations evaluated if all names in them can be found at run time."""
    try:
        return inspect.signature(component, eval_str=True).parameters
    except Exception:  # an annotation may name what is imported for type checkers alone
        return inspect.signature(component).parameters


def _kind(parameter: inspect.Parameter) -> Any:
    """The type that a setting is converted to; without a usable annotation, whatever YAML makes of the text."""
    unknown = parameter.annotation is inspect.Parameter.empty or isinstance(parameter.annotation, str)
    return Any if unknown else parameter.annotation


def _is_required(parameter: inspect.Parameter) -> bool:
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in several


def _settings(spec: str, parameters: list[str], field: str) -> dict[str, str]:
    text = spec.partition(":")[2].strip()
    settings: dict[str, str] = {}
    for i, item in enumerate(re.split(r",(?![^\[]*\])", text) if text else []):
        name, equals, value = item.strip().partition("=")
        if not equals:
            if i >= len(parameters):
                raise UserError(f"{field}: {spec!r} gives more settings than there are ({len(parameters)})")
            name, value = parameters[i], name
        if name not in parameters:
            has = f"has {', '.join(parameters)}" if parameters else "has no settings"
            raise UserError(f"{field}: {spec!r}: no setting {name!r}{did_you_mean(name, parameters)}; it {has}")
        if name in settings:
            raise UserError(f"{field}: {spec!r}: {name} is given twice, as {settings[name]} and as {value}")
        settings[name] = value
    return settings


def summary_line(component: Callable[..., Any]) -> str:
    """Return the first paragraph of a component's docstring as one line: what it is and where it comes from."""
    return (inspect.getdoc(component) or "").partition("\n\n")[0].replace("\n", " ")


def signature(component: Callable[..., Any]) -> str:
    """Return a component's settings with their defaults, as a spec would give them."""
    return ", ".join(
        name if p.default is p.empty else f"{name}={format_value(p.default)}"
        for name, p in inspect.signature(component).parameters.items()
    )
