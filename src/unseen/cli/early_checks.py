"""Mistakes in options that are found before PyTorch is imported, which takes seconds.

Names and settings of built-in components, and what each is, stand in built_ins.json, which is made from their
signatures and docstrings and compared with them by a test. What only a component itself can refuse, such as a rate
below zero, is found when it is built.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from inspect import Parameter
from typing import Any, Literal, TypeAlias

from ..core.registry import Wrapped, converted_settings, name_of, unknown_name, unwrapped
from ..core.trust import is_dotted
from ..evaluation.config import EvaluationOptions
from ..protocols.files import protocol_file
from ..training.config import TrainingOptions

Kind: TypeAlias = Literal["methods", "distortions", "backbones"]

TYPES = {
    "whole number": int,
    "whole number or null": int | None,
    "whole numbers": Sequence[int],
    "number": float,
    "range": float | tuple[float, float],
    "truth value": bool,
    "component": Wrapped,
}
"""The types of settings by their names in built_ins.json, where a list is a choice of values."""


@cache
def described(kind: Kind) -> Mapping[str, Any]:
    """Return what built_ins.json says of all built-in components of a kind, by name: `about` and `settings`."""
    table: Mapping[str, Mapping[str, Any]] = json.loads(
        resources.files(__package__).joinpath("built_ins.json").read_text("utf-8")
    )
    return table[kind]


@cache
def built_ins(kind: Kind) -> Mapping[str, Mapping[str, Parameter]]:
    """Return the parameters of all built-in components of a kind, by the component's name and the parameter's."""
    return {
        name: {setting: _parameter(setting, **facts) for setting, facts in component["settings"].items()}
        for name, component in described(kind).items()
    }


def signature_of(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the settings of a built-in component with their defaults, as a spec would give them."""
    return ", ".join(f"{name}={facts['default']}" if "default" in facts else name for name, facts in settings.items())


def _parameter(name: str, type: str | list[Any], default: str | None = None) -> Parameter:
    """A parameter without its default value, which only the component itself knows: None stands for any."""
    annotation = TYPES[type] if isinstance(type, str) else Literal[tuple(type)]
    shown = Parameter.empty if default is None else None
    return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=shown, annotation=annotation)


def check_component(spec: str, kind: Kind, field: str) -> None:
    """Check name, names of settings and their types in a spec; a dotted path is left to its import.

    Raises:
        UserError: as `build` does, for the same mistakes in the same words.
    """
    components = built_ins(kind)
    inner = unwrapped(spec, lambda name: components.get(name, {}), field)[-1]
    name = name_of(inner)
    if name in components:
        converted_settings(inner, components[name], field)
    elif not is_dotted(name):
        raise unknown_name(name, components, field)


def check_training_sources(options: TrainingOptions) -> None:
    """Check that the protocol and the folders of a training exist."""
    protocol_file(options.protocol)
    from ..data.sources import require_sources  # after what is checked without numpy

    require_sources(options.data, options.pairs, shrink=options.shrink)


def check_test_sources(options: EvaluationOptions) -> None:
    """Check that the folders of a test exist."""
    from ..data.sources import require_sources

    require_sources(tests=options.test)


def check_distortions(specs: Iterable[str], field: str) -> None:
    """Check the distortions in specs of one or several; what is joined in a wrong way is left to the parser."""
    singles = [single.strip() for spec in specs for single in re.split(r" [>&|] ", spec)]
    for single in singles:
        if single and not set(single) & set(">&|") and name_of(single) != "pairs":
            check_component(single, "distortions", field)
