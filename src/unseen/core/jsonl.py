"""Typed values out of JSON, and back."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeAlias

Kind: TypeAlias = type | UnionType

NUMBER: Kind = int | float
"""As JSON has them."""


def require_kinds(values: Mapping[str, Any], kinds: Mapping[str, Kind], of: str = "") -> None:
    """That fields out of JSON are there, and of these kinds; `of` goes before their names.

    Raises ValueError that names the field, also for truth values and for integers beyond floating point.
    """
    for name, kind in kinds.items():
        if name not in values:
            raise ValueError(f"{of}{name}: not told")
        value = values[name]
        beyond = isinstance(value, int) and abs(value) > sys.float_info.max
        if not isinstance(value, kind) or isinstance(value, bool) or beyond:
            raise ValueError(f"{of}{name}: {value!r:.40} is of another kind")


def _to_json(value: object) -> object:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)
