"""Amounts that a user writes with a unit, memory and the budget of a training run, and ranges of pixel values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from .errors import UserError

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
"""Bytes in a unit, by the unit in capitals."""

SECONDS = {"s": 1, "sec": 1, "min": 60, "h": 3600}
"""Seconds in a unit of time."""

ValueRange: TypeAlias = Literal["auto", "0-1", "0-255", "-1-1"]
"""Black and white of the images that a network takes and makes; `auto` where they are to be found by trials."""


def parse_bytes(text: str, name: str) -> int:
    """Read an amount of memory such as `512MiB` or `2GB`, in bytes.

    Raises:
        UserError: naming the field `name`, for anything else.
    """
    match = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)\s*([A-Za-z]*)", text.strip())
    try:
        amount = int(float(match[1]) * UNITS[match[2].upper()]) if match else 0
    except (ValueError, KeyError, OverflowError):
        amount = 0
    if amount <= 0:
        raise UserError(f"{name}: {text!r} is no amount of memory; give one such as 512MiB or 2GiB")
    return amount


def is_memory(text: str) -> bool:
    """Return True for an amount that `parse_bytes` reads; raise its UserError, of the field `memory`, for others."""
    return parse_bytes(text, "memory") > 0


def bytes_in_words(amount: int) -> str:
    """Write an amount of memory as `parse_bytes` reads it: in the largest unit that leaves 1 or more, as 1.5GiB."""
    unit = next((unit for unit in ("GiB", "MiB", "KiB") if amount >= UNITS[unit.upper()]), "B")
    return f"{amount / UNITS[unit.upper()]:.4g}{unit}"


@dataclass(frozen=True)
class Budget:
    """The budget of a training run: a number of gradient evaluations, or of seconds of training.

    A gradient evaluation is a forward and a backward pass of one batch; a batch of another size counts in proportion
    to its images. Seconds are those of the training steps, including the drawing of their images, without validation.
    """

    amount: float
    unit: Literal["evaluations", "seconds"] = "evaluations"

    @classmethod
    def parse(cls, value: int | str) -> Self:
        """Read a budget such as 40000, "40000", "90s", "30min" or "2h".

        Raises:
            UserError: for anything else, and for less than one gradient evaluation or one second.
        """
        match = re.fullmatch(r"(-?\d+(?:\.\d+)?) ?([a-z]*)", str(value).strip())
        number, unit = (float(match[1]), match[2]) if match else (0.0, "")
        if match is None or (unit and unit not in SECONDS) or (not unit and number % 1):
            raise UserError(f"budget: {value!r} is no whole number of gradient evaluations, and no time such as 30min")
        if number * SECONDS.get(unit, 1) < 1:
            raise UserError(f"budget: {value} is below 1" + " s" * bool(unit))
        return cls(number * SECONDS[unit], "seconds") if unit else cls(number)

    @classmethod
    def accepts(cls, value: int | str) -> bool:
        """Return True for what `parse` reads, and raise the UserError of `parse` for anything else."""
        return cls.parse(value) is not None

    def __str__(self) -> str:
        """Return the budget as tables print it: `40000 gradient evaluations`, `30 min`, `90 s`."""
        if self.unit == "evaluations":
            return f"{self.amount:.0f} gradient evaluations"
        whole_minutes = self.amount >= 60 and self.amount % 60 == 0
        return f"{self.amount / 60:g} min" if whole_minutes else f"{self.amount:g} s"
