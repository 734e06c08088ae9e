"""Components by name: how a word on the command line or in a file becomes a method, a distortion or a backbone.

dil_sf                              a known name
dil_sf:inner_lr=1e-3                with settings
gaussian_noise:30                   the first setting without its name
gaussian_noise:[5,50],clip=false    a range, and a switch
my.module.MyMethod:strength=2       a dotted path to a class of one's own, which the user must trust (`core.trust`)
wne:plain:features=8                a wrapper, and the spec of the component that it wraps (`Wrapped`)
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, TypeVar, get_args

from .conversion import convert
from .errors import UserError, one_line
from .trust import OWN, is_dotted, require_trusted
from .wording import did_you_mean, format_value

T = TypeVar("T")

LONGEST = 4000
"""Most characters of a component and its settings."""

MOST_WRAPPERS = 8
"""Most wrappers around one another."""


@dataclass(frozen=True)
class WrappedComponent:
    """Marker in the annotation of the only setting of a wrapper; see `Wrapped`."""


Wrapped: TypeAlias = Annotated[Any, WrappedComponent()]
"""The annotation of a wrapper's only setting: another component of the same kind, whose spec is all that follows the
wrapper's name."""


def name_of(spec: str) -> str:
    """Return the name in a spec, without the settings."""
    return spec.partition(":")[0].strip()


def resolve(name: str, components: Mapping[str, Callable[..., T]], field: str, kind: type[T]) -> Callable[..., T]:
    """Find the component behind a known name, or the class behind a dotted path.

    A dotted path is imported only if the user trusts it (`trusting`). Classes of unseen itself need no trust, since
    nothing is imported for them: they are in a module that is loaded already.

    Args:
        name: the name or the path, without settings.
        components: the components of one kind by name.
        field: the option or the place in a file that the name comes from, for messages.
        kind: the class that a class behind a dotted path must be, or derive from.

    Raises:
        UserError: if there is no such component, the path is not trusted, or what it leads to is no class of the kind.
    """
    if name in components:
        return components[name]
    if not is_dotted(name):
        raise unknown_name(name, components, field)
    module, _, attribute = name.rpartition(".")
    own = name.startswith(OWN)
    require_trusted(name, field)
    try:
        component = getattr(sys.modules[module] if own else importlib.import_module(module), attribute)
    except Exception as error:  # a module of the user's may raise anything while it is imported
        reason = "no such module is loaded" if isinstance(error, KeyError) and own else one_line(error)
        raise UserError(f"{field}: {name!r} cannot be imported: {reason}") from error
    if not isinstance(component, type) or not issubclass(component, kind):
        raise UserError(f"{field}: {name!r} is {_what(component)}, and no class of {kind.__name__}")
    if own and not component.__module__.startswith(OWN):
        raise UserError(f"{field}: {name!r} is {component.__module__}.{component.__name__}; name it so, and trust it")
    return component


def _what(component: object) -> str:
    """What a dotted path leads to, in words."""
    return f"the class {component.__name__}" if isinstance(component, type) else f"a {type(component).__name__}"


def build(spec: str, components: Mapping[str, Callable[..., T]], field: str, kind: type[T]) -> T:
    """Make the component that a spec describes.

    Args:
        spec: a name or a dotted path, with settings or without.
        components: the components of one kind by name.
        field: the option or the place in a file that the spec comes from, for messages.
        kind: the class that the component must be an instance of; a class behind a dotted path is checked before it
            is called.

    Raises:
        UserError: for an unknown name or setting, a path that is not trusted, a setting given twice, a value that does
            not fit the annotation in the component's signature, settings that the component refuses, and a component
            of another kind.
    """
    *wrappers, inner = unwrapped(spec, lambda name: _parameters(resolve(name, components, field, kind)), field)
    component = resolve(name_of(inner), components, field, kind)
    instance = _made(component, converted_settings(inner, _parameters(component), field), inner, field, kind)
    for name in reversed(wrappers):
        wrapper = resolve(name, components, field, kind)
        (setting,) = _parameters(wrapper)
        instance = _made(wrapper, {setting: instance}, spec, field, kind)
    return instance


def _made(component: Callable[..., T], settings: Mapping[str, Any], spec: str, field: str, kind: type[T]) -> T:
    """Call a component with its settings. Raises UserError, naming field and spec, for what goes wrong in the call."""
    try:
        instance = component(**settings)
    except UserError:
        raise
    except (ValueError, TypeError) as error:
        raise UserError(f"{field}: {spec!r:.100}: {one_line(error)}") from error
    except Exception as error:  # other people's code: torch raises RuntimeError for shapes that do not fit
        reason = one_line(f"{type(error).__name__}: {error}")
        raise UserError(f"{field}: {spec!r:.100} cannot be made: {reason}") from error
    if not isinstance(instance, kind):
        raise UserError(f"{field}: {spec!r:.100} makes a {type(instance).__name__}, and no {kind.__name__}")
    return instance


def wraps(parameters: Mapping[str, inspect.Parameter]) -> bool:
    """Whether these are the parameters of a wrapper: one alone, a component of the same kind (`Wrapped`)."""
    return len(parameters) == 1 and all(WrappedComponent() in get_args(_kind(p)) for p in parameters.values())


def unwrapped(spec: str, parameters: Callable[[str], Mapping[str, inspect.Parameter]], field: str) -> list[str]:
    """Split a spec into the names of its wrappers, from the outermost, and the spec of what they wrap.

    `wne:plain:features=8` becomes `wne` and `plain:features=8`; a spec without a wrapper stays as it is, alone.

    Args:
        spec: the spec.
        parameters: function from a component's name to its parameters by name.
        field: the option or the place in a file that the spec comes from, for messages.

    Raises:
        UserError: nothing follows a wrapper, there are more than `MOST_WRAPPERS`, and what `parameters` raises.
    """
    wrappers: list[str] = []
    inner = spec
    while wraps(parameters(name := name_of(inner))):
        wrappers.append(name)
        inner = inner.partition(":")[2].strip()
        if not inner:
            raise UserError(f"{field}: {spec!r:.100}: wraps another, whose name must follow: {name:.100}:NAME")
        if len(wrappers) > MOST_WRAPPERS:
            raise UserError(f"{field}: {spec!r:.100}: more than {MOST_WRAPPERS} wrappers around one another")
    return [*wrappers, inner]


def innermost(spec: str, components: Mapping[str, Callable[..., Any]], field: str) -> str:
    """Return the spec of what the known wrappers of a spec wrap. Raises UserError as `unwrapped` does."""
    return unwrapped(spec, lambda name: _parameters(components[name]) if name in components else {}, field)[-1]


def unknown_name(name: str, components: Iterable[str], field: str) -> UserError:
    """Make the error for a name that is no component."""
    return UserError(f"{field}: {name!r:.100} is none of {', '.join(components)}{did_you_mean(name, components)}")


def converted_settings(spec: str, parameters: Mapping[str, inspect.Parameter], field: str) -> dict[str, Any]:
    """Read the settings of a spec, converted to the types of a component's parameters.

    Args:
        spec: the name of the component, with settings or without.
        parameters: the parameters of the component by name.
        field: the option or the place in a file that the spec comes from, for messages.

    Raises:
        UserError: for an unknown setting, a setting given twice, one that is missing, and a value of another type.
    """
    settings = _settings(spec, list(parameters), field)
    missing = [name for name, p in parameters.items() if name not in settings and _is_required(p)]
    if missing:
        raise UserError(f"{field}: {spec!r:.100}: needs {', '.join(missing)}")
    try:
        return {name: convert(text, _kind(parameters[name]), name) for name, text in settings.items()}
    except ValueError as error:
        raise UserError(f"{field}: {spec!r:.100}: {one_line(error)}") from error


def settings_of(spec: str, components: Mapping[str, Callable[..., T]], field: str, kind: type[T]) -> dict[str, str]:
    """Return the settings that a spec gives, by name, as they are written. Raises UserError as `build` does."""
    component = resolve(name_of(spec), components, field, kind)
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
    if len(spec) > LONGEST:
        raise UserError(f"{field}: {spec!r:.100}: longer than {LONGEST} characters")
    text = spec.partition(":")[2].strip()
    settings: dict[str, str] = {}
    for i, item in enumerate(re.split(r",(?![^\[]*\])", text) if text else []):
        name, equals, value = item.strip().partition("=")
        if not equals:
            if i >= len(parameters):
                raise UserError(f"{field}: {spec!r:.100} gives more settings than there are ({len(parameters)})")
            name, value = parameters[i], name
        if name not in parameters:
            has = f"has {', '.join(parameters)}" if parameters else "has no settings"
            raise UserError(
                f"{field}: {spec!r:.100}: no setting {name!r:.100}{did_you_mean(name, parameters)}; it {has}"
            )
        if name in settings:
            raise UserError(
                f"{field}: {spec!r:.100}: {name} is given twice, as {settings[name]:.100} and as {value:.100}"
            )
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
