"""Mistakes in options that are found before PyTorch is imported, which takes seconds.

Names and settings of built-in components stand in built_ins.json, which is made from their signatures and compared with
them by a test. What only a component itself can refuse, such as a rate below zero, is found when it is built.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from inspect import Parameter
from typing import Any, Literal, TypeAlias

from ..core.registry import converted_settings, name_of, unknown_name
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
}
"""The types of settings by their names in built_ins.json, where a list is a choice of values."""


@cache
def built_ins(kind: Kind) -> Mapping[str, Mapping[str, Parameter]]:
    """Return the parameters of all built-in components of a kind, by the component's name and the parameter's."""
    table = json.loads(resources.files(__package__).joinpath("built_ins.json").read_text("utf-8"))
    return {
        name: {setting: _parameter(setting, **facts) for setting, facts in settings.items()}
        for name, settings in table[kind].items()
    }


def _parameter(name: str, type: str | list[Any], required: bool = False) -> Parameter:
    annotation = TYPES[type] if isinstance(type, str) else Literal[tuple(type)]
    default = Parameter.empty if required else None
    return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)


def check_component(spec: str, kind: Kind, field: str) -> None:
    """Check name, names of settings and their types in a spec; a dotted path is left to its import.

    Raises:
        UserError: as `build` does, for the same mistakes in the same words.
    """
    name, components = name_of(spec), built_ins(kind)
    if name in components:
        converted_settings(spec, components[name], field)
    elif not is_dotted(name):
        raise unknown_name(name, components, field)


def check_training_sources(options: TrainingOptions) -> None:
    """Check that the protocol and the folders of a training exist."""
    protocol_file(options.protocol)
    from ..data.sources import require_sources  # after what is checked without numpy

    require_sources(options.data, options.pairs)


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
