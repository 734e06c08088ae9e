"""Colours that a PNG states by chunks of its own: kept in PNG, made a profile elsewhere (PNG, third edition, 2025)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from ...data.reading import UnreadableImage
from .icc import D65, HLG, PQ, SRGB_PRIMARIES, Curve, Point, curve_of, matrix_profile, primaries_of, srgb_curve
from .png_chunks import Chunk

_SRGB, _RGB = 13, 0
_SRGB_GAMMA = 45455
"""The gAMA that stands for sRGB's curve, 1 / 2.2, in units of 1/100000."""


def refuse_hdr_chunks(path: Path, chunks: Iterable[Chunk]) -> None:
    """Refuse a PNG of high dynamic range: networks know [0, 1] as the values of an ordinary screen.

    Raises:
        UnreadableImage: cICP or the name of the profile says PQ or HLG, or a range of video.
    """
    for chunk in chunks:
        if chunk.type == b"cICP" and len(chunk.data) == 4:
            _, transfer, matrix, full_range = chunk.data
            if transfer in (PQ, HLG):
                kind = "PQ" if transfer == PQ else "HLG"
                raise UnreadableImage(path, f"is HDR ({kind}, says cICP); convert it to an ordinary range first")
            if matrix != _RGB or full_range != 1:
                raise UnreadableImage(
                    path, "its cICP says that pixels are no RGB of full range; convert it to sRGB first"
                )
        if chunk.type == b"iCCP" and chunk.data.startswith((b"ITUR_2100_PQ", b"ITUR_2100_HLG")):
            raise UnreadableImage(path, "is HDR (says its profile's name); convert it to an ordinary range first")


def profile_of_chunks(chunks: Iterable[Chunk], *, gray: bool) -> tuple[bytes, str]:
    """Make a profile of the colours that chunks other than iCCP state.

    Args:
        chunks: the chunks of a PNG.
        gray: whether the profile is for gray pixels.

    Returns:
        The profile, empty if the chunks say sRGB, or nothing; and a remark where colours cannot be kept, or "".
    """
    by_type = {chunk.type: chunk.data for chunk in chunks}
    try:
        if len(by_type.get(b"cICP", b"")) == 4:
            return _profile_of_cicp(by_type[b"cICP"], gray=gray), ""
        if b"sRGB" in by_type:
            return b"", ""
        return _profile_of_numbers(by_type.get(b"gAMA"), by_type.get(b"cHRM"), gray=gray), ""
    except (ValueError, struct.error):
        return b"", "colours that its PNG states cannot be understood, and are left out"


def _profile_of_cicp(cicp: bytes, *, gray: bool) -> bytes:
    primaries, transfer = primaries_of(cicp[0]), curve_of(cicp[1])
    if primaries is None or transfer is None:
        raise ValueError("unknown numbers of H.273")
    if cicp[:2] == bytes([1, _SRGB]):
        return b""
    return matrix_profile(f"H.273 {cicp[0]}/{cicp[1]}", *primaries, transfer, gray=gray)


def _profile_of_numbers(gamma: bytes | None, chromaticities: bytes | None, *, gray: bool) -> bytes:
    """The profile of gAMA and cHRM; what is not stated is sRGB's."""
    exponent = struct.unpack(">I", gamma)[0] if gamma is not None else _SRGB_GAMMA
    numbers = struct.unpack(">8I", chromaticities) if chromaticities is not None else ()
    if not 1000 <= exponent <= 1_000_000:
        raise ValueError("no gamma of a display")
    points: list[Point] = [(numbers[i] / 1e5, numbers[i + 1] / 1e5) for i in range(0, len(numbers), 2)]
    white, primaries = (points[0], points[1:]) if points else (D65, list(SRGB_PRIMARIES))
    # The rounded numbers that programs write for sRGB differ from it in the fourth digit.
    pairs = zip([white, *primaries], [D65, *SRGB_PRIMARIES], strict=True)
    ordinary = all(abs(a - b) < 2e-3 for point, known in pairs for a, b in zip(point, known, strict=True))
    is_srgb_curve = abs(exponent - _SRGB_GAMMA) <= 500
    if is_srgb_curve and (ordinary or gray):
        return b""
    curve: Curve = srgb_curve() if is_srgb_curve else 1e5 / exponent
    return matrix_profile(f"gamma {1e5 / exponent:.4g}, primaries of a PNG", primaries, white, curve, gray=gray)
