"""The content of an image file beside its pixels, as far as another file can hold it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from .decode import FileFormat, SourceFormat, open_header, to_gray_or_rgb
from .image_file import ImageFile
from .tiff_exif import exif_of_tiff, without_thumbnail

if TYPE_CHECKING:
    import pyvips

_XMP_ORIENTATION = re.compile(rb"""(<tiff:Orientation\b[^<>]*>\s*|\btiff:Orientation\s*=\s*["']\s*)\d+""")
"""The orientation in XMP, as an element or as an attribute (Adobe, XMP Specification Part 1, 2012, section 7)."""
_RESOLUTION = ("XResolution", "YResolution", "ResolutionUnit")
_MILLIMETRES = {"2": 25.4, "3": 10.0}
"""The lengths of EXIF's units of resolution, inch and centimetre."""


@dataclass(frozen=True)
class Metadata:
    """The content of an image file beside its pixels.

    Attributes:
        blobs: binary metadata by libvips's names (`icc-profile-data`, `xmp-data`, ...).
        texts: texts by libvips's names.
        exif: a TIFF structure, with or without the `Exif` mark before it; empty if the file has no EXIF.
        iptc: IPTC as the format holds it; empty if the file has none.
        x_resolution: pixels per millimetre, across.
        y_resolution: pixels per millimetre, down.
    """

    blobs: Mapping[str, bytes]
    texts: Mapping[str, str]
    exif: bytes
    iptc: bytes
    x_resolution: float
    y_resolution: float


def metadata_for(source: ImageFile, format: FileFormat) -> Metadata:
    """Read the metadata of an image file that a file of `format` can hold, for upright pixels of the same content.

    The orientation becomes 1 in XMP, and the thumbnail is left out of EXIF. Raises UnreadableImage.
    """
    image = to_gray_or_rgb(source.path, open_header(source.path, source.format, source.page))
    names = set(image.get_fields())
    # WebP has no gray, so that a profile of gray would be wrong there.
    profile = [] if source.gray and format == "webp" else ["icc-profile-data"]
    blobs = {name: bytes(image.get(name)) for name in [*profile, "xmp-data"] if name in names}
    if "xmp-data" in blobs:
        blobs["xmp-data"] = _XMP_ORIENTATION.sub(rb"\g<1>1", blobs["xmp-data"])
    texts = {
        name: str(image.get(name)) for name in names if name.startswith("png-comment-") and "Raw profile" not in name
    }
    # JPEG and TIFF wrap IPTC differently, and the others have none.
    iptc = bytes(image.get("iptc-data")) if "iptc-data" in names and format == source.format else b""
    if source.format == "tiff":
        with source.path.open("rb") as file:
            exif = exif_of_tiff(file, source.page)
    else:
        exif = bytes(image.get("exif-data")) if "exif-data" in names else b""
    x, y = _resolution(image, source.format)
    unit = str(image.get("resolution-unit")) if "resolution-unit" in names else "in"
    return Metadata(blobs, texts | {"resolution-unit": unit}, without_thumbnail(exif), iptc, x, y)


def _resolution(image: pyvips.Image, format: SourceFormat) -> tuple[float, float]:
    """The horizontal and the vertical resolution, in pixels per millimetre."""
    names = set(image.get_fields())
    words = {name: str(image.get(f"exif-ifd0-{name}")) for name in _RESOLUTION if f"exif-ifd0-{name}" in names}
    unit = words.get("ResolutionUnit", "")[:1]
    x, y = image.xres, image.yres
    if format == "webp" and len(words) == 3 and unit in _MILLIMETRES:  # libvips ignores EXIF's resolution in WebP
        with suppress(ValueError, ZeroDivisionError):
            x, y = (float(Fraction(words[name].split()[0])) / _MILLIMETRES[unit] for name in _RESOLUTION[:2])
    # Without a unit, the two numbers give only the shape of pixels: in JPEG, in TIFF, and in EXIF of unit 1, "none".
    shape_only = unit == "1" or (format in ("jpeg", "tiff") and "resolution-unit" not in names)
    if shape_only or (x == y == 1 and "resolution-unit" not in names) or min(x, y) <= 0:
        # EXIF 2.3 on resolution: "When the image resolution is unknown, 72 [dpi] shall be designated."
        # libvips would say one pixel per millimetre.
        x = y = 72 / 25.4
    return x, y
