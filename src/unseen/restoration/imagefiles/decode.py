"""Pipelines that decode image files, by libvips and, for BMP, by Pillow."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.BmpImagePlugin import BmpImageFile

from ...core.errors import one_line
from ...data import heif
from ...data.file_kinds import kind_of_file
from ...data.native_messages import silence_glib
from ...data.reading import UnreadableImage, unread_reason
from .jpeg_markers import END, jpeg_layout
from .png_exif import orientation_in_png

if TYPE_CHECKING:  # libvips takes a moment to load, and `unseen --help` has no need of it
    import pyvips

FileFormat = Literal["png", "jpeg", "tiff", "webp", "bmp"]
"""The formats that are read and written."""
SourceFormat = FileFormat | Literal["heif"]
"""The formats that are read; HEIF is AVIF or HEIC."""
Depth = Literal["uint8", "uint16", "float32"]

DEPTHS: dict[str, Depth] = {"uchar": "uint8", "ushort": "uint16", "float": "float32"}
"""The depth of a channel, by libvips's name for it."""
GRAY_SPACES: tuple[str, ...] = ("b-w", "grey16")
RGB_SPACES: tuple[str, ...] = ("srgb", "rgb16", "scrgb")
_LOADERS: dict[SourceFormat, str] = {
    "png": "pngload_source",
    "jpeg": "jpegload_source",
    "tiff": "tiffload_source",
    "webp": "webpload_source",
}
_PAGED: tuple[SourceFormat, ...] = ("tiff", "webp")


@contextmanager
def clear_read_errors(path: Path) -> Iterator[None]:
    """Turn errors of libvips and of the system while reading a file into UnreadableImage, with a one-line reason."""
    import pyvips

    try:
        yield
    except pyvips.Error as error:
        messages = [line.strip() for line in str(error.detail).splitlines() if line.strip()]
        detail = f" ({messages[0]})" if messages else ""
        raise UnreadableImage(path, f"broken, cut short, or of an unknown kind{detail}") from error
    except OSError as error:
        raise UnreadableImage(path, error.strerror or one_line(error)) from error


def format_of(path: Path, start: bytes) -> SourceFormat:
    """Determine the format of an image file from its first bytes.

    Args:
        path: the file, for the message.
        start: the first `START` bytes, or the whole of a shorter file.

    Raises:
        UnreadableImage: the file is empty, or of a kind that is not read on this machine.
    """
    if not start:
        raise UnreadableImage(path, "the file is empty")
    kind = kind_of_file(path, start)
    if kind in heif.KINDS and heif.is_readable(kind):
        return "heif"
    for format in get_args(FileFormat):
        if kind == format:
            return format  # type: ignore[no-any-return]
    raise UnreadableImage(path, unread_reason(kind))


def count_png_frames(file: BinaryIO) -> int:
    """The number of frames of a PNG: more than 1 for an animation (APNG), which libvips would show as a still."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"acTL":
            return int.from_bytes(file.read(4), "big")
        if name == b"IDAT":
            break
        file.seek(length + 4, os.SEEK_CUR)
    return 1


def is_lossy_webp(file: BinaryIO) -> bool:
    """Whether the first frame of a WebP is compressed with loss; true also where no frame is found."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name in (b"VP8 ", b"VP8L"):
            return bool(name == b"VP8 ")
        # A frame of an animation has chunks of its own, after 16 bytes.
        file.seek(16 if name == b"ANMF" else length + length % 2, os.SEEK_CUR)
    return True


def open_vips(path: Path, format: SourceFormat, page: int, access: Literal["sequential", "random"]) -> pyvips.Image:
    """Open a pipeline that decodes one page as the file holds it: not turned, not converted.

    Args:
        path: the file.
        format: format of the file's content.
        page: index of the page, from 0, for TIFF and WebP.
        access: `sequential` if rows are read once, from top to bottom, which needs the least memory.

    Raises:
        UnreadableImage: the file is missing, broken or cut short.
    """
    import pyvips

    if format == "bmp":
        return _open_bmp(path)
    if format == "heif":
        with clear_read_errors(path):
            return heif.open_heif(path, access)
    silence_glib()
    pyvips.cache_set_max(0)  # else libvips would keep the files of its last hundred operations open
    options: dict[str, Any] = {"access": access, "fail_on": "error"}
    if format in _PAGED:
        options["page"] = page
    # By descriptor: a name need not be UTF-8, and nobody can exchange an opened file for another.
    with clear_read_errors(path), path.open("rb") as file:
        orientation = orientation_in_png(file) if format == "png" else 1
        layout = jpeg_layout(file) if format == "jpeg" else None
        file.seek(0)
        if layout and not layout.has_end:
            # With an end set behind it, a warning of the decoder tells apart whether pixels are missing, too.
            ended: pyvips.Image = pyvips.Image.jpegload_buffer(file.read() + END, access=access, fail_on="warning")
            return ended
        source = pyvips.Source.new_from_descriptor(file.fileno())
        image: pyvips.Image = pyvips.Operation.call(_LOADERS[format], source, **options)
    if orientation != 1:
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return image


def open_header(path: Path, format: SourceFormat, page: int) -> pyvips.Image:
    """Open a page as `open_vips` does, for its metadata only: the pixels may be wrong."""
    return _open_bmp(path, header=True) if format == "bmp" else open_vips(path, format, page, "sequential")


def _open_bmp(path: Path, *, header: bool = False) -> pyvips.Image:
    """Read a BMP by Pillow, since libvips's binary distribution knows no BMP; with `header`, all pixels are black."""
    import pyvips

    try:
        # Not by Image.open, which has a limit on decompression bombs that differs from ours.
        with BmpImageFile(path) as bmp:
            mode = "RGBA" if bmp.mode == "RGBA" else "L" if _is_gray_bmp(bmp) else "RGB"
            if header:
                image = pyvips.Image.black(bmp.width, bmp.height, bands=len(mode))
            else:
                image = pyvips.Image.new_from_array(np.asarray(bmp.convert(mode)))
            x, y = (dpi / 25.4 for dpi in bmp.info.get("dpi", (0, 0)))
    except Exception as error:  # a broken file makes Pillow's parsers raise nearly anything
        reason = one_line(error)
        raise UnreadableImage(path, f"broken or cut short ({reason})") from error
    image = image.copy(interpretation="b-w" if mode == "L" else "srgb")
    return image.copy(xres=x, yres=y) if x and y else image


def _is_gray_bmp(bmp: Image.Image) -> bool:
    """Whether a BMP whose pixels are not read yet shows gray alone: the format holds gray as a palette."""
    if bmp.mode != "P" or bmp.palette is None:
        return bmp.mode in ("1", "L")
    # Not by getpalette(), which reads the pixels first.
    size = len(bmp.palette.rawmode or "RGB")
    values = np.frombuffer(bytes(bmp.palette.palette), np.uint8)
    palette = values[: len(values) // size * size].reshape(-1, size)[:, :3]
    return bool((palette == palette[:, :1]).all())


def orientation_of(image: pyvips.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, for a file without one."""
    return int(image.get("orientation")) if image.get_typeof("orientation") else 1


def to_gray_or_rgb(path: Path, image: pyvips.Image) -> pyvips.Image:
    """Convert CMYK to sRGB; return gray and RGB, with or without alpha, as they are.

    Raises:
        UnreadableImage: CMYK without a usable profile, another number of channels, or values without a known white.
    """
    if image.interpretation == "cmyk" and image.bands == 4:
        if not (image.get_typeof("icc-profile-data") and _is_profile_of_cmyk(image.get("icc-profile-data"))):
            raise UnreadableImage(
                path, "CMYK without a profile of CMYK, so that its colours are unknown; save it as RGB"
            )
        depth = 8 if image.format == "uchar" else 16
        with clear_read_errors(path):
            image = image.icc_transform("srgb", embedded=True, intent="relative", depth=depth)
    channels = {space: (1, 2) for space in GRAY_SPACES} | {space: (3, 4) for space in RGB_SPACES}
    if image.bands not in channels.get(image.interpretation, ()):
        raise UnreadableImage(path, f"{image.bands} channels of kind {image.interpretation}; save it as gray or RGB")
    if image.format not in DEPTHS:
        raise UnreadableImage(path, f"pixels of type {image.format} have no known white; save it with 8 or 16 bits")
    return image


def _is_profile_of_cmyk(profile: bytes) -> bool:
    """Whether an ICC profile converts from CMYK; libvips would silently replace one that does not by its own."""
    try:
        icc = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
    except OSError:
        return False
    intent, direction = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Direction.INPUT
    return icc.xcolor_space.strip() == "CMYK" and bool(icc.is_intent_supported(intent, direction))


def row_reader(path: Path, image: pyvips.Image) -> Callable[[int, int], NDArray[Any]]:
    """Make a function that reads rows `top` to `bottom` in the file's depth: (bottom - top, W, bands)."""
    import pyvips

    with clear_read_errors(path):
        region = pyvips.Region.new(image)
    shape, depth = (image.width, image.bands), DEPTHS[image.format]

    def read(top: int, bottom: int) -> NDArray[Any]:
        with clear_read_errors(path):
            data = region.fetch(0, top, image.width, bottom - top)
        return np.frombuffer(data, depth).reshape(bottom - top, *shape)

    return read
