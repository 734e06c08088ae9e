"""The segments of a JPEG (ITU-T T.81, annex B), as far as they say how it must be decoded."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import BinaryIO

END = b"\xff\xd9"
"""The marker of the end."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""The markers of a frame's header."""
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)


@dataclass(frozen=True)
class JpegLayout:
    """How the pixels of a JPEG are stored.

    Attributes:
        whole: whether a decoder holds the whole picture before its first row is ready: several scans make up each row.
        samples: values a pixel of all components together: 3, or 1.5 where colour is held at half the size.
        has_end: whether the marker of the end is there.
    """

    whole: bool
    samples: float
    has_end: bool


def jpeg_layout(file: BinaryIO) -> JpegLayout | None:
    """Read how the pixels of a JPEG are stored; None for a file without the headers of a frame and a scan."""
    file.seek(2)
    progressive, components, samples = False, 0, 3.0
    while (head := file.read(4))[:1] == b"\xff" and len(head) == 4:
        marker, length = head[1], int.from_bytes(head[2:], "big")
        if marker == 0xFF or 0xD0 <= marker <= 0xD7:  # a byte that fills, or a marker without a segment
            file.seek(-3 if marker == 0xFF else -2, os.SEEK_CUR)
            continue
        segment = file.read(max(length - 2, 0))
        if marker in _FRAMES and len(segment) > 5:
            progressive, components = marker in _PROGRESSIVE, segment[5]
            factors = [divmod(byte, 16) for byte in segment[7 : 6 + 3 * components : 3]]
            largest = max((h for h, _ in factors), default=1) * max((v for _, v in factors), default=1)
            samples = sum(h * v for h, v in factors) / max(largest, 1)
        elif marker == 0xDA and segment:
            return JpegLayout(progressive or segment[0] < components, samples, _has_end(file))
    return None


def _has_end(file: BinaryIO) -> bool:
    """Whether the marker of the end comes after the file's position, in the data of a scan, which cannot equal it."""
    position = file.tell()
    if position >= os.fstat(file.fileno()).st_size:
        return False
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(END, position) >= 0
