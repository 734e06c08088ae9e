"""How an image file is stored, as its bytes say: its format, its pages, and what a decoder must hold of it at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...data import heif
from ...data.file_kinds import START
from ...data.reading import UnreadableImage
from .decode import SourceFormat, clear_read_errors, count_png_frames, format_of, is_lossy_webp, orientation_of
from .jpeg_markers import JpegLayout, jpeg_layout
from .png_chunks import read_chunks
from .png_colours import refuse_hdr_chunks
from .tiff_pages import TiffPage, tiff_pages

if TYPE_CHECKING:
    import pyvips

LAST_MIRRORED = 2
"""The EXIF orientations up to this one only mirror each row: the first rows need no row that comes after them."""
_MOST_TURNED = 100 * 10**6
"""Bytes above which libvips turns a picture on the disk, not in memory."""


@dataclass(frozen=True)
class FileStructure:
    """How an image file is stored.

    Attributes:
        format: format of the content, whatever the file's name.
        start: the first `START` bytes.
        lossless: whether the file was written without loss; always true for TIFF, whose compression is not checked.
        jpeg: how the pixels of a JPEG are stored; None for other formats, and for a JPEG without headers.
        directories: the directories of a TIFF.
    """

    format: SourceFormat
    start: bytes
    lossless: bool
    jpeg: JpegLayout | None
    directories: list[TiffPage]

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks on the file, each in a short sentence."""
        lacks_end = self.jpeg is not None and not self.jpeg.has_end
        return ("its JPEG lacks the mark of its end, and nothing else",) if lacks_end else ()

    def page_indices(self, image: pyvips.Image) -> list[int]:
        """The places, in the file, of its pictures: without the previews of a TIFF, and the primary one of HEIF."""
        pictures = [directory.index for directory in self.directories if directory.is_picture]
        count = int(image.get("n-pages")) if image.get_typeof("n-pages") and self.format != "heif" else 1
        return pictures or list(range(count))

    def decoder_bytes(self, image: pyvips.Image, index: int) -> int:
        """The memory that a decoder takes beside the rows that it is asked for; 0 where it goes row by row.

        Args:
            image: the picture as the file holds it.
            index: place of the picture in the file.
        """
        pixels = image.width * image.height
        whole = pixels * image.bands * {"uchar": 1, "ushort": 2}.get(image.format, 4)
        match self.format:
            case "png":
                size = whole if image.get_typeof("interlaced") and image.get("interlaced") else 0
            case "jpeg":  # coefficients of two bytes
                size = int(2 * pixels * self.jpeg.samples) if self.jpeg and self.jpeg.whole else 0
            case "tiff":
                size = 2 * self.directories[index].block_bytes if index < len(self.directories) else 0
            case "webp":
                size = 4 * pixels
            case "bmp":
                size = 3 * whole  # Pillow's own, converted, and libvips's
            case "heif":
                size = 2 * whole
        return size + (min(whole, _MOST_TURNED) if orientation_of(image) > LAST_MIRRORED else 0)


def read_structure(path: Path) -> FileStructure:
    """Read how an image file is stored.

    Raises:
        UnreadableImage: the file is missing, empty, animated, HDR, or of a kind that is not read.
    """
    with clear_read_errors(path), path.open("rb") as file:
        start = file.read(START)
        format = format_of(path, start)
        frames = count_png_frames(file) if format == "png" else 1
        if format == "png":
            refuse_hdr_chunks(path, read_chunks(file)[0])
        jpeg = jpeg_layout(file) if format == "jpeg" else None
        directories = tiff_pages(file) if format == "tiff" else []
        lossless = format != "jpeg" and not (format == "webp" and is_lossy_webp(file))
    if any(directory.is_lab for directory in directories):
        raise UnreadableImage(path, "holds Lab colours, which no network here takes; save it as RGB")
    if frames > 1:
        raise UnreadableImage(path, f"an animation of {frames} frames; save the frames as files of their own")
    if format == "heif" and heif.is_hdr(path):
        raise UnreadableImage(path, "is HDR (PQ or HLG); convert it to an ordinary range first")
    return FileStructure(format, start, lossless, jpeg, directories)
