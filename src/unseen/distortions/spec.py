"""Build a distortion from its spec, such as `gaussian_blur:2 > jpeg:40`."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import factorial, prod

from .. import distortions
from ..core.errors import UserError
from ..core.registry import build, name_of
from . import DISTORTIONS, Distortion

PAIRS = "pairs"

MOST_COMPONENTS = 16
"""Most distortions that one spec joins."""

MOST_WAYS = 720
"""Most `alternatives` of a composition: all orders of six distortions."""

COMPOSITIONS: dict[str, Callable[[tuple[Distortion, ...]], Distortion]] = {
    " > ": distortions.Sequence,
    " & ": distortions.RandomOrder,
    " | ": distortions.Choice,
}
"""Sign → composition of the distortions it joins: in order, in an order drawn for each image, or one of them."""


def parse_distortion(spec: str, field: str) -> Distortion:
    """Build a distortion, or a composition of several, from a spec.

    Args:
        spec: `NAME:SETTINGS`, or several of that form joined by one of the signs in `COMPOSITIONS`.
        field: name of the option or field that holds the spec, for messages.

    Raises:
        UserError: naming `field`, for a spec that cannot be understood, joins distortions in two ways at once, or names
            recorded pairs.
    """
    padded = f" {spec} "  # so that a sign at either end is split off, too, and leaves an empty spec
    signs = [sign for sign in COMPOSITIONS if sign in padded]
    if not signs:
        return _single(spec, field)
    if len(signs) > 1:
        raise UserError(f"{field}: {spec!r:.100}: joins in two ways at once,{signs[0]}and{signs[1]}; keep to one")
    sign = signs[0].strip()
    specs = [one.strip() for one in re.split(rf"(?<= ){re.escape(sign)}(?= )", padded)]
    if not all(specs):
        raise UserError(f"{field}: {spec!r:.100}: a distortion is missing beside {sign}")
    components = tuple(_single(one, field) for one in specs[: MOST_COMPONENTS + 1])
    ways = prod(len(component.alternatives) for component in components) if sign != "|" else 1
    ways *= factorial(len(components)) if sign == "&" else 1
    if len(specs) > MOST_COMPONENTS or ways > MOST_WAYS:
        raise UserError(f"{field}: {spec!r:.100}: joins too many: at most {MOST_COMPONENTS}, with {MOST_WAYS} outcomes")
    try:
        return COMPOSITIONS[signs[0]](components)
    except ValueError as error:
        raise UserError(f"{field}: {spec!r:.100}: {error}") from error


def degree_unit(kind: str) -> str:
    """Return quantity and unit of a distortion's degree, for the axis of a chart.

    Args:
        kind: name of a distortion in results: of a built-in one, of a composition, a dotted path, or `pairs`.

    Returns:
        The distortion's `degree_unit`; empty for names other than `pairs` and those of `DISTORTIONS`.
    """
    return "set of recorded pairs" if kind == PAIRS else getattr(DISTORTIONS.get(kind), "degree_unit", "")


def _single(spec: str, field: str) -> Distortion:
    """Build one distortion, with a hint in the error where a sign lacks its spaces."""
    if name_of(spec) == PAIRS:
        raise UserError(f"{field}: {spec!r:.100}: recorded pairs cannot be made of other photographs")
    sign = next((sign for sign in COMPOSITIONS if sign.strip() in spec), None)
    if sign is None:
        return build(spec, DISTORTIONS, field, Distortion)
    hint = f"between distortions, put spaces around {sign.strip()}: one{sign}other"
    if sign.strip() in name_of(spec):
        raise UserError(f"{field}: {spec!r:.100}: {hint}")
    try:
        return build(spec, DISTORTIONS, field, Distortion)
    except UserError as error:  # not before: a setting of a distortion of the user's own may contain the sign
        raise UserError(f"{error}; {hint}") from error
