"""Recognition of image files by their first bytes, whatever their names say."""

from __future__ import annotations

from pathlib import PurePath

START = 64
"""The number of first bytes by which a kind is recognised."""

_KIND_BY_START: dict[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"GIF8": "gif",
    b"8BPS": "psd",
    b"\xff\x0a": "jpeg xl",
    b"\0\0\0\x0cJXL \r\n\x87\n": "jpeg xl",
    b"\0\0\0\x0cjP  \r\n\x87\n": "jpeg 2000",
    b"\xff\x4f\xff\x51": "jpeg 2000",
    b"v/1\x01": "openexr",
    b"#?RADIANCE": "radiance",
    b"FUJIFILMCCD-RAW": "raw",
    b"FOVb": "raw",
    b"\0MRM": "raw",
    b"IIU\0": "raw",
    b"IIRO": "raw",
    b"IIRS": "raw",
    b"MMOR": "raw",
    b"II\x1a\0\0\0HEAPCCDR": "raw",
}
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
"""Sizes of the second header of a BMP; the two letters at its beginning alone are those of many texts."""
_AVIF_BRANDS, _HEIC_BRANDS = (
    {b"avif", b"avis"},
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"},
)
_RAW_SUFFIXES = {
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".kdc", ".mef", ".mos"),
    *(".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
}
"""Suffixes of the raw data of cameras: many of these files begin as TIFF does, and hold only a preview as such."""

_KIND_BY_SUFFIX = {".avif": "avif", ".gif": "gif", ".heic": "heic", ".heif": "heic", ".psd": "psd"} | dict.fromkeys(
    _RAW_SUFFIXES, "raw"
)
READ = ("png", "jpeg", "tiff", "webp", "bmp")
"""The kinds of files that are read on every machine."""


def kind_of(start: bytes) -> str:
    """Recognise an image file by its first `START` bytes, or by the whole of a shorter file.

    Returns:
        A short name in lower case, such as "jpeg", "heic" or "raw"; empty for all that is no known kind of picture.
    """
    if start[4:8] == b"ftyp":
        return _kind_of_boxes(start)
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "webp"
    if start.startswith(b"BM"):
        return "bmp" if int.from_bytes(start[14:18], "little") in _BMP_HEADERS else ""
    if start.startswith(b"II*\0") and start[8:10] == b"CR":
        return "raw"
    return next((kind for mark, kind in _KIND_BY_START.items() if start.startswith(mark)), "")


def kind_of_file(name: PurePath, start: bytes) -> str:
    """Recognise an image file by its first bytes; by its suffix where these say nothing, or TIFF of raw data."""
    kind, kind_by_suffix = kind_of(start), _KIND_BY_SUFFIX.get(name.suffix.lower(), "")
    return kind_by_suffix if not kind or (kind == "tiff" and kind_by_suffix == "raw") else kind


def advice(*kinds: str) -> str:
    """Say what to do with pictures of kinds that are not read."""
    if set(kinds) == {"raw"}:
        return "develop raw data into TIFF first"
    return "convert to PNG, JPEG or TIFF first" + (" (docs/files.md tells how heic is read)" if "heic" in kinds else "")


def _kind_of_boxes(start: bytes) -> str:
    """Recognise a file of ISO base media by the brands in its first box: AVIF, HEIC, Canon's raw data; no films."""
    end = min(int.from_bytes(start[:4], "big"), len(start) // 4 * 4)
    brands = {start[at : at + 4] for at in (8, *range(16, end, 4))}
    if b"crx " in brands:
        return "raw"
    if start[8:12] == b"avis":
        return "animated avif"
    if b"avif" in brands:
        return "avif"
    return "heic" if brands & _HEIC_BRANDS else ""
