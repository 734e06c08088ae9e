"""Photoshop's image resources, IPTC among them (Adobe, Photoshop File Formats Specification, 2019)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_IPTC = 1028
_OUTDATED = (1033, 1036, 1039, 1058, 1059, 1060)
"""Resources that are left out: thumbnails, and second copies of profile, EXIF and XMP."""
_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")


@dataclass(frozen=True)
class Resource:
    """One image resource.

    Attributes:
        signature: the four bytes that begin it, `8BIM` nearly always.
        number: what it is.
        name: its name as the file holds it, with length and padding.
        data: its content.
    """

    signature: bytes
    number: int
    name: bytes
    data: bytes


def read_resources(data: bytes) -> tuple[list[Resource], bytes, bool]:
    """Read the image resources that stay true of a restored picture.

    Returns:
        The resources without IPTC, the content of IPTC, and whether no resource is broken.
    """
    resources: list[Resource] = []
    iptc, at = b"", 0
    while at + 12 <= len(data):
        signature, number = struct.unpack_from(">4sH", data, at)
        name = data[at + 6 : at + 6 + (data[at + 6] + 2) // 2 * 2]
        start = at + 6 + len(name) + 4
        size = int.from_bytes(data[start - 4 : start], "big")
        if signature not in _SIGNATURES or start + size > len(data):
            return resources, iptc, False
        content = data[start : start + size]
        if number == _IPTC:
            iptc = iptc or content
        elif number not in _OUTDATED:
            resources.append(Resource(signature, number, name, content))
        at = start + size + size % 2
    return resources, iptc, not data[at:].strip(b"\0")


def write_resources(resources: list[Resource], iptc: bytes = b"") -> bytes:
    """Write image resources, with IPTC as the first of them unless it is empty."""
    first = [Resource(b"8BIM", _IPTC, b"\0\0", iptc)] if iptc else []
    return b"".join(
        struct.pack(">4sH", resource.signature, resource.number)
        + resource.name
        + struct.pack(">I", len(resource.data))
        + resource.data
        + bytes(len(resource.data) % 2)
        for resource in [*first, *resources]
    )
