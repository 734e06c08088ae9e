"""Image files with metadata of one's own, made without the programs of others."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseen.restoration.imagefiles.image_file import open_image
from unseen.restoration.imagefiles.save import save

PIXELS: NDArray[np.uint8] = np.random.default_rng(0).normal(128, 20, (48, 64, 3)).clip(0, 255).astype(np.uint8)
PHOTO = Image.fromarray(PIXELS)


def copied(path: Path, out: Path, format: Any = None, scale: int = 1) -> list[str]:
    """Save a picture with each pixel `scale` times across and down; returned are the remarks."""
    picture = open_image(path)
    rows = picture.reader()(0, picture.height).repeat(scale, 0).repeat(scale, 1)
    return save(picture, out, [rows], format, scale=scale)


def jpeg(path: Path, *segments: tuple[int, bytes], trailer: bytes = b"") -> Path:
    """A JPEG with segments of one's own, and what may follow it in the file."""
    buffer = io.BytesIO()
    PHOTO.save(buffer, "JPEG", quality=92)
    content = buffer.getvalue()
    inserted = b"".join(struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in segments)
    path.write_bytes(content[:2] + inserted + content[2:] + trailer)
    return path


def png(path: Path, *chunks: tuple[bytes, bytes], image: Image.Image = PHOTO) -> Path:
    """A PNG with chunks of one's own after its header."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    content = buffer.getvalue()
    inserted = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    path.write_bytes(content[:33] + inserted + content[33:])
    return path


def chunks_of(path: Path) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG but those of its pixels; every checksum is right."""
    content, at = path.read_bytes(), 8
    chunks = []
    while at < len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        data = content[at + 8 : at + 8 + length]
        assert content[at + 8 + length : at + 12 + length] == struct.pack(">I", zlib.crc32(name + data))
        if name not in (b"IHDR", b"IDAT", b"IEND"):
            chunks.append((name, data))
        at += 12 + length
    return chunks
