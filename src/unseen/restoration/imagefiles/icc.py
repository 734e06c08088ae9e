"""ICC profiles: what one says of its space, and new ones for colours that a PNG states in numbers (ICC.1:2001-04)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Curve = float | NDArray[np.float64]
"""The light of pixel values: the exponent of a power, or light at evenly spaced values from 0 to 1."""
Point = tuple[float, float]
"""Chromaticity: x and y of CIE 1931."""

SRGB_PRIMARIES: tuple[Point, ...] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
D65: Point = (0.3127, 0.3290)
PQ, HLG = 16, 18
"""Transfer characteristics of HDR (ITU-T H.273, table 3)."""
_PRIMARIES: dict[int, tuple[tuple[Point, ...], Point]] = {
    1: (SRGB_PRIMARIES, D65),
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), (0.310, 0.316)),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), D65),
    6: (((0.63, 0.34), (0.31, 0.595), (0.155, 0.07)), D65),
    7: (((0.63, 0.34), (0.31, 0.595), (0.155, 0.07)), D65),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65),
    11: (((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), (0.314, 0.351)),
    12: (((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), D65),
}
"""Red, green, blue and white by their numbers in H.273, table 2."""
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])
_SAMPLES = np.linspace(0.0, 1.0, 4096)


def colour_space(profile: bytes) -> str:
    """The space of a profile's pixels: "RGB", "GRAY", "CMYK", ...; "" for what is no profile."""
    return profile[16:20].decode("latin-1").strip() if profile[36:40] == b"acsp" else ""


def is_whole_profile(profile: bytes) -> bool:
    """Whether a profile has the size that it states, and all its tags within it."""
    if not colour_space(profile) or len(profile) < 132:
        return False
    size, count = (int.from_bytes(profile[at : at + 4], "big") for at in (0, 128))
    if size > len(profile) or 132 + 12 * count > size:
        return False
    spans = (struct.unpack_from(">II", profile, 136 + 12 * i) for i in range(count))
    return all(start + length <= size for start, length in spans)


def is_hdr_profile(profile: bytes) -> bool:
    """Whether a profile states the transfer of PQ or HLG, in its tag `cicp` (ICC.1:2022, section 9.2.17)."""
    if colour_space(profile) != "RGB" or len(profile) < 132:
        return False
    count = min(int.from_bytes(profile[128:132], "big"), (len(profile) - 132) // 12)
    for i in range(count):
        name, start, _ = struct.unpack_from(">4sII", profile, 132 + 12 * i)
        if name == b"cicp":
            return profile[start : start + 4] == b"cicp" and profile[start + 9 : start + 10] in (
                bytes([PQ]),
                bytes([HLG]),
            )
    return False


def curve_of(transfer: int) -> Curve | None:
    """The light of pixel values by their transfer characteristics in H.273, table 3; None for one not known here."""
    curves: dict[int, Curve | Callable[[], Curve]] = {4: 2.2, 5: 2.8, 8: 1.0, 13: srgb_curve}
    curves |= dict.fromkeys((1, 6, 14, 15), _video_curve)
    curve = curves.get(transfer)
    return curve() if callable(curve) else curve


def primaries_of(number: int) -> tuple[tuple[Point, ...], Point] | None:
    """Red, green and blue, and white, by their number in H.273, table 2; None for one not known here."""
    return _PRIMARIES.get(number)


def srgb_curve() -> Curve:
    """The light of values of sRGB (IEC 61966-2-1)."""
    return np.where(_SAMPLES <= 0.04045, _SAMPLES / 12.92, ((_SAMPLES + 0.055) / 1.055) ** 2.4)


def _video_curve() -> Curve:
    """The inverse of the camera's curve of ITU-R BT.709."""
    return np.where(_SAMPLES < 0.081, _SAMPLES / 4.5, ((_SAMPLES + 0.099) / 1.099) ** (1 / 0.45))


def matrix_profile(name: str, primaries: Sequence[Point], white: Point, curve: Curve, *, gray: bool) -> bytes:
    """Make a display profile of three primaries, or of gray.

    Args:
        name: its description, ASCII.
        primaries: chromaticities of red, green and blue; not used for gray.
        white: chromaticity of white.
        curve: the light of pixel values.
        gray: whether the profile is for gray pixels.

    Raises:
        ValueError: the chromaticities are no colours of light: on one line, or of no brightness.
    """
    if any(not 0 < y <= 1 for _, y in (*primaries, white)):
        raise ValueError("chromaticities without brightness")
    tags = {b"desc": _description(name), b"cprt": b"text" + bytes(4) + b"no copyright, use freely\0"}
    tags[b"wtpt"] = _xyz(_D50)
    if gray:
        tags[b"kTRC"] = _curve(curve)
    else:
        columns = _adapted(primaries, white)
        for letter, column in zip((b"r", b"g", b"b"), columns.T, strict=True):
            tags[letter + b"XYZ"] = _xyz(column)
            tags[letter + b"TRC"] = _curve(curve)
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    space = b"GRAY" if gray else b"RGB "
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _numbers(_D50)
    return head.ljust(128, b"\0") + table + body


def _adapted(primaries: Sequence[Point], white: Point) -> NDArray[np.float64]:
    """XYZ of red, green and blue as columns, adapted to D50 by Bradford's transform (ICC.1:2001-04, annex E)."""
    lights = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    white_xyz = np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])
    if abs(np.linalg.det(lights)) < 1e-6:
        raise ValueError("chromaticities on one line")
    columns = lights * np.linalg.solve(lights, white_xyz)
    ratio = (_BRADFORD @ _D50) / (_BRADFORD @ white_xyz)
    adapted: NDArray[np.float64] = np.linalg.solve(_BRADFORD, ratio[:, None] * (_BRADFORD @ columns))
    if not np.isfinite(adapted).all() or abs(adapted).max() > 4:
        raise ValueError("chromaticities of no display")
    return adapted


def _numbers(values: NDArray[np.float64]) -> bytes:
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + _numbers(values)


def _curve(curve: Curve) -> bytes:
    if isinstance(curve, float):  # one exponent, as a number of 8.8 bits; in samples, where it would be rounded
        if (curve * 256).is_integer():
            return b"curv" + bytes(4) + struct.pack(">IH", 1, round(curve * 256))
        curve = _SAMPLES**curve
    return b"curv" + bytes(4) + struct.pack(">I", len(curve)) + np.rint(curve * 65535).astype(">u2").tobytes()


def _description(name: str) -> bytes:
    text = name.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
