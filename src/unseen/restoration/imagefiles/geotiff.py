"""The tags of GeoTIFF, which say where on the earth a picture lies (OGC, GeoTIFF 1.1, 2019)."""

from __future__ import annotations

import struct

from .ifd import DOUBLE, SHORT, Directory, Entry, Layout

_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, _KEYS = 33550, 33922, 34264, 34735
_AS_THEY_ARE = (_KEYS, 34736, 34737, 42112, 42113)
"""Keys with their numbers and texts, and GDAL's metadata and value of no data."""
GEO_TAGS = (_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, *_AS_THEY_ARE)
_RASTER_TYPE, _PIXEL_IS_POINT = 1025, 2


def geo_entries(entries: Directory, layout: Layout, scale: int) -> Directory:
    """The entries that say where a picture lies, made true of a picture that is larger by a factor.

    Args:
        entries: the entries of the page.
        layout: the byte order of the entries.
        scale: factor by which the restored picture is larger.

    Returns:
        The entries in little-endian order.
    """
    shift = (scale - 1) / 2 if _is_point(entries, layout) else 0.0
    result: Directory = {}
    for tag in GEO_TAGS:
        entry = entries.get(tag)
        if entry is None:
            continue
        if tag in (_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION):
            if entry.type != DOUBLE:
                continue
            values = list(struct.unpack(f"{layout.order}{len(entry.data) // 8}d", entry.data))
            result[tag] = Entry(DOUBLE, struct.pack(f"<{len(values)}d", *_scaled(tag, values, scale, shift)))
        elif entry.type in (SHORT, DOUBLE):
            kind = "H" if entry.type == SHORT else "d"
            count = len(entry.data) // struct.calcsize(kind)
            result[tag] = Entry(
                entry.type, struct.pack(f"<{count}{kind}", *struct.unpack(f"{layout.order}{count}{kind}", entry.data))
            )
        else:
            result[tag] = entry
    return result


def _is_point(entries: Directory, layout: Layout) -> bool:
    """Whether coordinates belong to the centres of pixels, not to their upper left corners."""
    keys = entries.get(_KEYS)
    if keys is None or keys.type != SHORT:
        return False
    numbers = struct.unpack(f"{layout.order}{len(keys.data) // 2}H", keys.data)
    rows = [numbers[at : at + 4] for at in range(4, len(numbers) - 3, 4)]
    return any(row[0] == _RASTER_TYPE and row[1] == 0 and row[3] == _PIXEL_IS_POINT for row in rows)


def _scaled(tag: int, values: list[float], scale: int, shift: float) -> list[float]:
    """The numbers of an entry for a picture in which the old pixel (i, j) is at (scale i + shift, scale j + shift)."""
    if tag == _PIXEL_SCALE:
        return [value / scale for value in values[:2]] + values[2:]
    if tag == _TIE_POINTS:
        return [value * scale + shift if i % 6 < 2 else value for i, value in enumerate(values)]
    rows = [values[at : at + 4] for at in range(0, len(values), 4)]
    return [
        number
        for row in rows
        for number in (
            row if len(row) < 4 else
            [row[0] / scale, row[1] / scale, row[2], row[3] - shift * (row[0] + row[1]) / scale]
        )
    ]  # fmt: skip
