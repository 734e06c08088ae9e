"""The resolution of a picture, in the unit in which its file states it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from .ifd import RATIONAL, SHORT, Directory, Entry, Layout

Unit = Literal["none", "inch", "centimetre", "metre"]

X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
_TIFF_UNITS: dict[int, Unit] = {1: "none", 2: "inch", 3: "centimetre"}
_METRES: dict[Unit, Fraction] = {"inch": Fraction(254, 10_000), "centimetre": Fraction(1, 100), "metre": Fraction(1)}


@dataclass(frozen=True)
class Resolution:
    """Pixels per unit of length; with the unit `none` the two numbers give only the shape of pixels.

    Attributes:
        x: pixels per unit, across; above 0.
        y: pixels per unit, down; above 0.
        unit: the unit.
    """

    x: Fraction
    y: Fraction
    unit: Unit

    def per(self, *units: Unit) -> Resolution:
        """The same resolution in the first of `units`, unless its own unit is among them or is `none`."""
        if self.unit in units or self.unit == "none":
            return self
        factor = _METRES[units[0]] / _METRES[self.unit]
        return Resolution(self.x * factor, self.y * factor, units[0])


def resolution_of_entries(entries: Directory, layout: Layout) -> Resolution | None:
    """The resolution that a directory of TIFF or EXIF states; None without one."""
    values = []
    for tag in (X_RESOLUTION, Y_RESOLUTION):
        entry = entries.get(tag)
        if entry is None or entry.type != RATIONAL or len(entry.data) != 8:
            return None
        over, under = struct.unpack(f"{layout.order}II", entry.data)
        if not over or not under:
            return None
        values.append(Fraction(over, under))
    unit = entries.get(RESOLUTION_UNIT)
    number = (
        struct.unpack(f"{layout.order}H", unit.data)[0] if unit and unit.type == SHORT and len(unit.data) == 2 else 2
    )
    return Resolution(values[0], values[1], _TIFF_UNITS.get(number, "none"))


def entries_of_resolution(resolution: Resolution | None, layout: Layout) -> Directory:
    """The entries of TIFF and EXIF for a resolution; for None, those of square pixels of unknown size."""
    inner = (resolution or Resolution(Fraction(1), Fraction(1), "none")).per("centimetre", "inch")
    number = next(number for number, unit in _TIFF_UNITS.items() if unit == inner.unit)
    return {
        X_RESOLUTION: Entry(RATIONAL, _rational(inner.x, layout)),
        Y_RESOLUTION: Entry(RATIONAL, _rational(inner.y, layout)),
        RESOLUTION_UNIT: Entry(SHORT, layout.numbers("H", number)),
    }


def _rational(value: Fraction, layout: Layout) -> bytes:
    limited = value.limit_denominator(10_000)
    if not 0 < limited.numerator < 2**32:
        limited = Fraction(1)
    return layout.numbers("I", limited.numerator, limited.denominator)
