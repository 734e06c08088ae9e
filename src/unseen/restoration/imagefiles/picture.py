"""Image files in and out, strip by strip: depth, transparency and whatever they carry beside their pixels are kept.

docs/files.md says what is read, kept, converted and refused.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import replacing
from ...core.errors import UserError
from ...data.reading import UnreadableImage
from .decode import (
    DEPTHS,
    GRAYS,
    Depth,
    FileFormat,
    converted,
    format_of,
    frames_of_png,
    is_lossy_webp,
    open_vips,
    opened_header,
    orientation_of,
    readable,
    row_reader,
)
from .encode import HELD_DEPTHS, LONGEST_SIDE, Metadata, PixelLayout, encode
from .tiff_exif import exif_of_tiff, without_thumbnail

if TYPE_CHECKING:
    import pyvips

MOST_PIXELS = 2**30
"""More than these in one file are taken for a decompression bomb, unless more are asked for."""

_SUFFIXES: dict[FileFormat, tuple[str, ...]] = {
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg"),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
    "bmp": (".bmp",),
}
_XMP_ORIENTATION = re.compile(rb"""(<tiff:Orientation\b[^<>]*>\s*|\btiff:Orientation\s*=\s*["']\s*)\d+""")
"""In its two forms, as an element and as an attribute (Adobe, XMP Specification Part 1, 2012, section 7)."""
_RESOLUTION = ("XResolution", "YResolution", "ResolutionUnit")
_MILLIMETRES = {"2": 25.4, "3": 10.0}
"""Of EXIF's units, inch and centimetre."""
_MIRRORED = 2
"""The EXIF orientations up to this one need no row before its turn."""


@dataclass(frozen=True)
class ImageFile:
    """One picture in a file, by its header.

    width, height: in pixels, upright, that is after the EXIF orientation. depth: of a channel. gray, alpha: as it is
    restored, after palettes and CMYK have been converted. page: which of the file's pages it is, from 0.
    lossless: whether the file holds exactly the pixels that were put in; in doubt for TIFF, it says yes.
    """

    path: Path
    format: FileFormat
    width: int
    height: int
    depth: Depth
    gray: bool
    alpha: bool
    page: int
    pages: int
    lossless: bool

    @property
    def suffix(self) -> str:
        """For a file of this format: the file's own, if it tells the truth."""
        return self.path.suffix if self.path.suffix.lower() in _SUFFIXES[self.format] else _SUFFIXES[self.format][0]

    def decoded(self) -> pyvips.Image:
        """A pipeline that decodes it upright: gray or RGB, alpha last. Rows are to be asked for from top to bottom.

        A picture that must be turned is decoded before its first row is there: into memory, or where it takes more
        than 100 MB into the folder of temporary files.
        """
        image = open_vips(self.path, self.format, self.page, "sequential")
        if orientation_of(image) > _MIRRORED:
            image = open_vips(self.path, self.format, self.page, "random")
        with readable(self.path):
            return converted(self.path, image.autorot())

    def reader(self) -> Callable[[int, int], NDArray[np.float32]]:
        """A function that reads rows `top` to `bottom`, each once and in order: float32 (bottom - top, W, 3), [0, 1].

        Gray is replicated. Values are the file's own, scaled; profiles are not applied. The function raises
        UnreadableImage where the file is broken or cut short, and where a floating-point value is not in [0, 1].
        """
        rows = row_reader(self.path, self._colours())

        def read(top: int, bottom: int) -> NDArray[np.float32]:
            values = _in_unit_range(rows(top, bottom))
            if self.depth == "float32" and not ((values >= 0) & (values <= 1)).all():
                raise UnreadableImage(self.path, "holds values outside of 0 to 1 (HDR); scale it to that range first")
            return np.repeat(values, 3, axis=2) if self.gray else values

        return read

    def crops(self, count: int, side: int) -> list[NDArray[np.float32]]:
        """At most `count` windows spread over the picture, as `reader` gives them: float32 (side, side, 3).

        Fewer where they would overlap; narrower or lower where the picture is. Decodes all rows down to the lowest.
        """
        down = max(1, min(math.isqrt(count), self.height // side))
        across = max(1, min(count // down, self.width // side))
        side_y, side_x = min(side, self.height), min(side, self.width)
        read = self.reader()
        found = []
        for y in range(down):
            top = (2 * y + 1) * self.height // (2 * down) - side_y // 2
            strip = read(top, top + side_y)
            lefts = ((2 * x + 1) * self.width // (2 * across) - side_x // 2 for x in range(across))
            found += [strip[:, left : left + side_x].copy() for left in lefts]
        return found

    def alpha_reader(self, depth: Depth, scale: int = 1) -> Callable[[int, int], NDArray[Any]]:
        """As `reader`, of the transparency alone: (bottom - top, scale·W, 1) of a depth, enlarged bilinearly.

        In the picture's own depth and size, these are the file's very values.
        """
        image = self.decoded()
        alpha = image.extract_band(image.bands - 1)
        rows = row_reader(self.path, alpha if scale == 1 else _enlarged(alpha, scale))
        if depth == self.depth:
            return rows

        def read(top: int, bottom: int) -> NDArray[Any]:
            return _in_depth(_in_unit_range(rows(top, bottom)), depth)

        return read

    def _colours(self) -> pyvips.Image:
        image = self.decoded()
        return image.extract_band(0, n=image.bands - 1) if self.alpha else image


# ------------------------------------------------------------------------------------------ reading


def open_image(path: Path, page: int | None = None, *, most_pixels: int = MOST_PIXELS) -> ImageFile:
    """Look at the header of an image file. Its first bytes say which format it is, whatever its name.

    page: which one of several, from 0; without it, a file of several pages or frames is refused.
    Raises UnreadableImage for a file that is missing, empty, broken or none of the five formats, has several pages
    or more than `most_pixels`, or whose pixels have no known white (docs/files.md).
    """
    if os.path.exists(path) and not os.path.isfile(path):  # unlike pathlib's, these never raise
        raise UnreadableImage(path, "not a file")
    with readable(path), path.open("rb") as file:
        format = format_of(path, file.read(16))
        frames = frames_of_png(file) if format == "png" else 1
        lossless = format != "jpeg" and not (format == "webp" and is_lossy_webp(file))
    image = opened_header(path, format, page or 0)
    pages = int(image.get("n-pages")) if image.get_typeof("n-pages") else 1
    if frames > 1:
        raise UnreadableImage(path, f"an animation of {frames} frames; save the frames as files of their own")
    if pages > 1 and page is None:
        kind = "pages" if format == "tiff" else "frames"
        raise UnreadableImage(path, f"holds {pages} {kind}; ask for them page by page (--pages), or save one alone")
    if image.width * image.height > most_pixels:
        size = f"{image.width}×{image.height} pixels"
        raise UnreadableImage(path, f"claims {size}, more than {most_pixels}: a decompression bomb, or for other tools")
    turned = orientation_of(image) > 4
    width, height = (image.height, image.width) if turned else (image.width, image.height)
    image = converted(path, image)
    gray = image.interpretation in GRAYS
    return ImageFile(
        path, format, width, height, DEPTHS[image.format], gray, image.bands in (2, 4), page or 0, pages, lossless
    )


def _enlarged(image: pyvips.Image, scale: int) -> pyvips.Image:
    """Bilinearly; the corners of the picture, not the centres of its corner pixels, stay where they are."""
    import pyvips

    shift = (scale - 1) / 2
    area = [0, 0, image.width * scale, image.height * scale]
    bilinear = pyvips.Interpolate.new("bilinear")
    return image.affine([scale, 0, 0, scale], odx=shift, ody=shift, oarea=area, interpolate=bilinear, extend="copy")


def _in_unit_range(values: NDArray[Any]) -> NDArray[np.float32]:
    if values.dtype == np.float32:
        return values
    scaled: NDArray[np.float32] = values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    return scaled


def _in_depth(values: NDArray[np.float32], depth: Depth) -> NDArray[Any]:
    """Clipped to [0, 1], scaled, rounded to the nearest level, half to even."""
    clipped: NDArray[np.float32] = values.clip(0, 1)
    if depth == "float32":
        return clipped
    return np.rint(clipped * np.iinfo(depth).max).astype(depth)


# ------------------------------------------------------------------------------------------ writing


def save(
    picture: ImageFile,
    path: Path,
    strips: Iterable[NDArray[np.float32]],
    format: FileFormat | None = None,
    *,
    scale: int = 1,
    quality: int = 95,
    keep_times: bool = False,
) -> None:
    """Write the restored picture, strips of float32 (h, scale·W, 3) from top to bottom, as they come.

    They are clipped to [0, 1] and rounded to the depth of the input, or to the deepest that the format has. Of gray
    the mean of the channels is kept: three estimates of one value, none better than another. Alpha is the input's,
    enlarged bilinearly by `scale`. Profile, EXIF (orientation 1, no thumbnail), XMP, IPTC and resolution are the
    input's, too; the orientation becomes 1 in XMP as well.
    format: None for the input's. quality: of JPEG, and of WebP unless the input is lossless. keep_times: give the
    file the times of the input.

    What stood at `path` is replaced only when all is written. Raises whatever `strips` raises; UserError where the
    file cannot be written, where the format cannot hold the picture, and where a value is not finite.
    """
    format = format or picture.format
    _require_holdable(picture, path, format, scale)
    depth = picture.depth if picture.depth in HELD_DEPTHS[format] else HELD_DEPTHS[format][-1]
    bands = (1 if picture.gray else 3) + picture.alpha
    layout = PixelLayout(picture.width * scale, picture.height * scale, bands, depth)
    rows = _rows_of(picture, strips, layout, scale)
    metadata = _metadata_of(picture, format)
    with replacing(path) as temporary, temporary.open("w+b") as file:
        encode(file, format, rows, layout, metadata, quality=quality, lossless=picture.lossless)
        file.flush()
        os.fsync(file.fileno())
        if keep_times:
            times = picture.path.stat()
            os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))


def _require_holdable(picture: ImageFile, path: Path, format: FileFormat, scale: int) -> None:
    if picture.alpha and format == "jpeg":
        raise UserError(f"{path}: JPEG holds no transparency, which {picture.path} has; choose png, tiff or webp")
    most = LONGEST_SIDE.get(format)
    longest = scale * max(picture.width, picture.height)
    if most is not None and longest > most:
        raise UserError(f"{path}: a side of {longest} pixels, and {format} holds {most}; choose png or tiff")
    if format == "bmp" and 4 * (picture.width + 1) * picture.height * scale**2 >= 2**32:
        raise UserError(f"{path}: too large for BMP; choose png or tiff")


def _rows_of(
    picture: ImageFile, strips: Iterable[NDArray[np.float32]], layout: PixelLayout, scale: int
) -> Iterator[NDArray[Any]]:
    """The strips as they stand in the file."""
    alpha = picture.alpha_reader(layout.depth, scale) if picture.alpha else None
    top = 0
    for strip in strips:
        if not np.isfinite(strip).all():
            raise UserError(f"{picture.path}: the model gave values that are not finite; nothing was written")
        # In float64, so that the mean of three equal values is that value.
        values = strip.mean(axis=2, keepdims=True, dtype=np.float64).astype(np.float32) if picture.gray else strip
        rows = _in_depth(values, layout.depth)
        yield rows if alpha is None else np.concatenate([rows, alpha(top, top + len(rows))], axis=2)
        top += len(strip)
    if top != layout.height:
        raise ValueError(f"{top} rows for a picture of {layout.height}")


def _metadata_of(picture: ImageFile, format: FileFormat) -> Metadata:
    """What the file says beside its pixels, as far as the other format can hold it."""
    image = converted(picture.path, opened_header(picture.path, picture.format, picture.page))
    names = set(image.get_fields())
    # WebP has no gray, so that a profile of gray would be wrong there.
    kept = [] if picture.gray and format == "webp" else ["icc-profile-data"]
    blobs = {name: bytes(image.get(name)) for name in [*kept, "xmp-data"] if name in names}
    if "xmp-data" in blobs:
        blobs["xmp-data"] = _XMP_ORIENTATION.sub(rb"\g<1>1", blobs["xmp-data"])
    texts = {
        name: str(image.get(name)) for name in names if name.startswith("png-comment-") and "Raw profile" not in name
    }
    # JPEG and TIFF wrap IPTC differently, and the others have none.
    iptc = bytes(image.get("iptc-data")) if "iptc-data" in names and format == picture.format else b""
    if picture.format == "tiff":
        with picture.path.open("rb") as file:
            exif = exif_of_tiff(file, picture.page)
    else:
        exif = bytes(image.get("exif-data")) if "exif-data" in names else b""
    x, y = _resolution(image, picture.format)
    unit = str(image.get("resolution-unit")) if "resolution-unit" in names else "in"
    return Metadata(blobs, texts | {"resolution-unit": unit}, without_thumbnail(exif), iptc, x, y)


def _resolution(image: pyvips.Image, format: FileFormat) -> tuple[float, float]:
    """Across and down, in pixels per millimetre."""
    names = set(image.get_fields())
    words = {name: str(image.get(f"exif-ifd0-{name}")) for name in _RESOLUTION if f"exif-ifd0-{name}" in names}
    unit = words.get("ResolutionUnit", "")[:1]
    x, y = image.xres, image.yres
    if format == "webp" and len(words) == 3 and unit in _MILLIMETRES:  # libvips does not look there
        with suppress(ValueError, ZeroDivisionError):
            x, y = (float(Fraction(words[name].split()[0])) / _MILLIMETRES[unit] for name in _RESOLUTION[:2])
    # Without a unit, JPEG and TIFF tell of the shape of pixels only, and so does EXIF where its unit is 1, none.
    shape_only = unit == "1" or (format in ("jpeg", "tiff") and "resolution-unit" not in names)
    if shape_only or (x == y == 1 and "resolution-unit" not in names) or min(x, y) <= 0:
        # EXIF 2.3 on resolution: "When the image resolution is unknown, 72 [dpi] shall be designated."
        # libvips would say one pixel per millimetre.
        x = y = 72 / 25.4
    return x, y
