"""Reading of image files, the header first and then strip by strip, in the file's depth, with transparency.

docs/files.md lists the files that are read, kept, converted and refused.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...data.claims import impossible_claim
from ...data.reading import UnreadableImage
from ...evaluation.noise import Crop, sampled_crops
from .decode import (
    DEPTHS,
    GRAY_SPACES,
    Depth,
    FileFormat,
    SourceFormat,
    clear_read_errors,
    open_header,
    open_vips,
    orientation_of,
    row_reader,
    to_gray_or_rgb,
)
from .icc import is_hdr_profile
from .structure import LAST_MIRRORED, FileStructure, read_structure
from .transparency import spreading_reader

if TYPE_CHECKING:
    import pyvips

MOST_PIXELS = 2**30
"""The number of pixels above which a file counts as a decompression bomb, unless the caller allows more."""

_SUFFIXES: dict[FileFormat, tuple[str, ...]] = {
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg"),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
    "bmp": (".bmp", ".dib"),
}
_CLIPPED = 0.1 + 1e-6
"""How far floating-point values may be outside of [0, 1] and are clipped: the overshoot of a sharpening, not HDR."""
CLIPPED_REMARK = "its values outside of 0 to 1 are clipped"
_LAST_UPRIGHT = 4
"""The EXIF orientations above this one swap width and height."""


@dataclass(frozen=True)
class ImageFile:
    """One picture in an image file, of which only the header has been read.

    Attributes:
        path: the file.
        format: format of the content, whatever the file's name.
        width: width in pixels, upright, that is after the EXIF orientation.
        height: height in pixels, upright.
        depth: type of a channel.
        gray: whether the picture is gray, after palettes and CMYK have been converted.
        alpha: whether the picture has transparency, after palettes have been converted.
        page: index of the picture among the file's pages, from 0.
        pages: number of pages in the file.
        lossless: whether the file was written without loss; always true for TIFF, whose compression is not checked.
        decoder_bytes: memory that a decoder takes beside the rows that it is asked for: for the whole picture, where
            the format does not come row by row, or for a strip or a row of tiles of a TIFF.
        remarks: remarks on the file, each in a short sentence.
    """

    path: Path
    format: SourceFormat
    width: int
    height: int
    depth: Depth
    gray: bool
    alpha: bool
    page: int
    pages: int
    lossless: bool
    decoder_bytes: int
    remarks: tuple[str, ...] = ()

    @property
    def output_format(self) -> FileFormat:
        """The format of outputs where no other is asked for: the file's own; PNG for AVIF and HEIC."""
        return "png" if self.format == "heif" else self.format

    @property
    def suffix(self) -> str:
        """A suffix for files of the output format: the file's own if it fits the format."""
        suffixes = _SUFFIXES[self.output_format]
        return self.path.suffix if self.path.suffix.lower() in suffixes else suffixes[0]

    def decoded(self) -> pyvips.Image:
        """Open a pipeline that decodes the picture upright: gray or RGB, alpha last; rows from top to bottom only.

        A picture that must be turned is decoded completely before its first row is ready: into memory, or, if it takes
        more than 100 MB, into the folder of temporary files.
        """
        image = open_vips(self.path, self.format, self.page, "sequential")
        if orientation_of(image) > LAST_MIRRORED:
            image = open_vips(self.path, self.format, self.page, "random")
        with clear_read_errors(self.path):
            return to_gray_or_rgb(self.path, image.autorot())

    def reader(
        self, *, clip: bool = False, spread: bool = True, remarks: list[str] | None = None
    ) -> Callable[[int, int], NDArray[np.float32]]:
        """Make a function that reads rows `top` to `bottom`, each once and in order: float32 (bottom - top, W, 3).

        Gray is replicated. Values are the file's own, scaled to [0, 1]; profiles are not applied. The function raises
        UnreadableImage where the file is broken or cut short, and where a floating-point value is out of range.

        Args:
            clip: whether to clip any finite floating-point values to [0, 1], not only those a tenth outside of it.
            spread: whether the colours of what is visible are spread under what is fully transparent
                (`spread_colours`); else these pixels have the file's own colours.
            remarks: list to which the function appends a remark where it clips.
        """
        rows = row_reader(self.path, self.decoded())

        def read_layers(top: int, bottom: int) -> NDArray[np.float32]:
            values = to_unit(rows(top, bottom))
            return self._in_range(values, clip, [] if remarks is None else remarks)

        read = spreading_reader(read_layers, self.height) if self.alpha and spread else read_layers

        def read_colours(top: int, bottom: int) -> NDArray[np.float32]:
            layers = read(top, bottom)
            return np.repeat(layers[..., :1], 3, axis=2) if self.gray else layers[..., :3]

        return read_colours

    def _in_range(self, values: NDArray[np.float32], clip: bool, remarks: list[str]) -> NDArray[np.float32]:
        """Clip floating-point values to [0, 1]; raise UnreadableImage where that would take too much away."""
        if self.depth != "float32" or ((values >= 0) & (values <= 1)).all():
            return values
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise UnreadableImage(self.path, "holds values that are not finite")
        if not clip and (low < -_CLIPPED or high > 1 + _CLIPPED):
            raise UnreadableImage(
                self.path, f"holds values from {low:.3g} to {high:.3g} (HDR); scale it to 0 to 1, or clip it (--clip)"
            )
        if CLIPPED_REMARK not in remarks:
            remarks.append(CLIPPED_REMARK)
        return values.clip(0, 1)

    def crops(self) -> list[Crop]:
        """Read crops for a judgement (`sampled_crops`). All rows down to the lowest crop are decoded."""
        return sampled_crops(self.reader(clip=True, spread=False), self.height, self.width)

    def layer_reader(self, depth: Depth) -> Callable[[int, int], NDArray[Any]]:
        """Make a function that reads rows of colours and transparency, as `reader` does: (bottom - top, W, C).

        In the picture's own depth of whole numbers, the values are exactly the file's.
        """
        rows = row_reader(self.path, self.decoded())

        def read(top: int, bottom: int) -> NDArray[Any]:
            layers = rows(top, bottom)
            return layers if depth == layers.dtype.name != "float32" else to_depth(to_unit(layers), depth)

        return read

    def alpha_reader(self, depth: Depth, scale: int = 1) -> Callable[[int, int], NDArray[Any]]:
        """Make a function that reads rows of the transparency, as `reader` does: (bottom - top, scale·W, 1) in `depth`.

        The transparency is enlarged bilinearly. In the picture's own depth and size, the values are exactly the file's.
        """
        image = self.decoded()
        alpha = image.extract_band(image.bands - 1)
        rows = row_reader(self.path, alpha if scale == 1 else _enlarge(alpha, scale))
        if depth == self.depth:
            return rows

        def read(top: int, bottom: int) -> NDArray[Any]:
            return to_depth(to_unit(rows(top, bottom)), depth)

        return read


def open_image(path: Path, page: int | None = None, *, most_pixels: int = MOST_PIXELS) -> ImageFile:
    """Read the header of an image file. The first bytes decide the format, whatever the file's name.

    Args:
        path: the file.
        page: index of one of several pages, from 0; None refuses a file of several pages or frames.
        most_pixels: largest number of pixels; a larger picture is refused.

    Raises:
        UnreadableImage: the file is missing, empty, broken or none of the five formats, has several pages or more than
            `most_pixels`, or its pixels have no known white (docs/files.md).
    """
    structure, indices = _pages_of(path)
    if len(indices) > 1 and page is None:
        kind = "pages" if structure.format == "tiff" else "frames"
        raise UnreadableImage(
            path, f"holds {len(indices)} {kind}; ask for them page by page (--pages), or save one alone"
        )
    index = indices[page or 0] if (page or 0) < len(indices) else page or 0
    return _opened(path, structure, index, len(indices), most_pixels)


def open_pages(path: Path, *, most_pixels: int = MOST_PIXELS) -> Iterator[ImageFile]:
    """Read the headers of all pages of an image file, one after the other; how they are stored is read once.

    Arguments and errors are those of `open_image`.
    """
    structure, indices = _pages_of(path)
    for index in indices:
        yield _opened(path, structure, index, len(indices), most_pixels)


def _pages_of(path: Path) -> tuple[FileStructure, Sequence[int]]:
    """How a file is stored, and the places of its pictures in it."""
    if os.path.exists(path) and not os.path.isfile(path):  # unlike pathlib's functions, these never raise
        raise UnreadableImage(path, "not a file")
    structure = read_structure(path)
    return structure, structure.page_indices(open_header(path, structure.format, 0))


def _opened(path: Path, structure: FileStructure, index: int, pages: int, most_pixels: int) -> ImageFile:
    """One of `pages` pages, by its place in the file."""
    format = structure.format
    image = open_header(path, format, index)
    if image.get_typeof("icc-profile-data") and is_hdr_profile(image.get("icc-profile-data")):
        raise UnreadableImage(path, "is HDR (PQ or HLG, says its profile); convert it to an ordinary range first")
    if image.width * image.height > most_pixels:
        size = f"{image.width}×{image.height} pixels"
        raise UnreadableImage(path, f"claims {size}, more than {most_pixels}: a decompression bomb, or for other tools")
    if reason := impossible_claim(path, format, structure.start, image.width, image.height):
        raise UnreadableImage(path, reason)
    turned = orientation_of(image) > _LAST_UPRIGHT
    width, height = (image.height, image.width) if turned else (image.width, image.height)
    decoder = structure.decoder_bytes(image, index)
    image = to_gray_or_rgb(path, image)
    alpha = image.bands in (2, 4)
    return ImageFile(
        path, format, width, height, DEPTHS[image.format], image.interpretation in GRAY_SPACES, alpha, index,
        pages, structure.lossless, 2 * decoder if alpha else decoder,  # transparency is read apart
        structure.remarks,
    )  # fmt: skip


def _enlarge(image: pyvips.Image, scale: int) -> pyvips.Image:
    """Enlarge bilinearly; the corners of the picture, not the centres of its corner pixels, stay where they are."""
    import pyvips

    shift = (scale - 1) / 2
    area = [0, 0, image.width * scale, image.height * scale]
    bilinear = pyvips.Interpolate.new("bilinear")
    return image.affine([scale, 0, 0, scale], odx=shift, ody=shift, oarea=area, interpolate=bilinear, extend="copy")


def to_unit(values: NDArray[Any]) -> NDArray[np.float32]:
    """Scale integers by the largest value of their type to [0, 1]; return floating-point values as they are."""
    if values.dtype == np.float32:
        return values
    scaled: NDArray[np.float32] = values.astype(np.float32)
    scaled /= np.float32(np.iinfo(values.dtype).max)
    return scaled


def to_depth(values: NDArray[np.float32], depth: Depth) -> NDArray[Any]:
    """Clip to [0, 1], scale to the range of `depth`, and round to the nearest level, half to even."""
    clipped: NDArray[np.float32] = values.clip(0, 1)
    if depth == "float32":
        return clipped
    clipped *= np.iinfo(depth).max
    return np.rint(clipped, out=clipped).astype(depth)
