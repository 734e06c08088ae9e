"""The segments of a JPEG (ITU-T T.81, annex B), as far as they say how it must be decoded."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

END = b"\xff\xd9"
"""The marker of the end."""
SCAN = 0xDA
"""The marker of a scan's header, after which pixels follow."""
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


def segments_of(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the segments of a JPEG, each as its marker and its data, up to the header of the first scan.

    The file stands behind each segment. Those that come after a broken one are not read.
    """
    file.seek(2)
    while file.read(1) == b"\xff":
        marker = file.read(1)
        while marker == b"\xff":  # bytes that fill
            marker = file.read(1)
        if not marker or marker == END[1:]:
            return
        if marker[0] == 1 or 0xD0 <= marker[0] <= 0xD7:  # markers without a segment
            continue
        head = file.read(2)
        length = int.from_bytes(head, "big") - 2
        data = file.read(max(length, 0))
        if len(head) < 2 or length < 0 or len(data) < length:
            return
        yield marker[0], data
        if marker[0] == SCAN:
            return


def jpeg_layout(file: BinaryIO) -> JpegLayout | None:
    """Read how the pixels of a JPEG are stored; None for a file without the headers of a frame and a scan."""
    progressive, components, samples = False, 0, 3.0
    for marker, segment in segments_of(file):
        if marker in _FRAMES and len(segment) > 5:
            progressive, components = marker in _PROGRESSIVE, segment[5]
            factors = [divmod(byte, 16) for byte in segment[7 : 6 + 3 * components : 3]]
            largest = max((h for h, _ in factors), default=1) * max((v for _, v in factors), default=1)
            samples = sum(h * v for h, v in factors) / max(largest, 1)
        elif marker == SCAN and segment:
            return JpegLayout(progressive or segment[0] < components, samples, _has_end(file))
    return None


def _has_end(file: BinaryIO) -> bool:
    """Whether the marker of the end comes after the file's position, in the data of a scan, which cannot equal it."""
    position = file.tell()
    if position >= os.fstat(file.fileno()).st_size:
        return False
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(END, position) >= 0
