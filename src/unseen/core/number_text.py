"""Numbers as text for readers: with a true minus and ∞, and zero without a sign."""

from __future__ import annotations

import math


def number(value: float, form: str = ".2f") -> str:
    """Write a number by a format specification, with a true minus and ∞; empty for nan."""
    return "" if math.isnan(value) else format(value, form).replace("-", "−").replace("inf", "∞")


def signed(value: float, decimals: int = 2) -> str:
    """Write a difference with its sign; what rounds to zero has none. Empty for nan."""
    text = number(value, f"+.{decimals}f")
    return text if any(digit in text for digit in "123456789∞") else text[1:]


def percent(share: float) -> str:
    """Write a share of 1 in whole percent. Empty for nan."""
    return "" if math.isnan(share) else f"{number(round(100 * share), 'd')} %"


def duration(seconds: float) -> str:
    """Write a time as `53.2 s`, `12 min 05 s` or `1 h 03 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def rough_duration(seconds: float) -> str:
    """Write an estimated time as `40 s`, `12 min` or `1 h 05 min`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
