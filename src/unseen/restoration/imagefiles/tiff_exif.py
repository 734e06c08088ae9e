"""What TIFF files hold beside their pixels, read and written (TIFF 6.0, Adobe, 1992; GeoTIFF 1.1, OGC, 2019)."""

from __future__ import annotations

import io
from typing import BinaryIO

from .exif import tree_of
from .ifd import (
    BYTE,
    EXIF_POINTER,
    GPS_POINTER,
    UNDEFINED,
    BrokenStructure,
    Directory,
    Entry,
    Layout,
    Tree,
    as_exif,
    laid_out,
    next_offset,
    read_directory,
    read_header,
    read_tree,
    swapped,
)
from .resolution import Resolution, entries_of_resolution

XMP, IPTC, PHOTOSHOP, PROFILE = 700, 33723, 34377, 34675
_DESCRIPTIVE = (269, 270, 271, 272, 285, 297, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096))
"""Tags of the first directory that describe the picture and not its pixels: names of document and page, description,
make, model, number of the page, software, date, artist, computer, rating, copyright, and Windows's title, comment,
author, keywords and subject."""
_ORIENTATION = 274
_OF_PIXELS = (
    *range(254, 267), 273, _ORIENTATION, 277, 278, 279, *range(280, 285), *range(288, 294), 296, 301, *range(317, 326),
    330, 332, *range(338, 343), 347, *range(512, 522), *range(529, 533), XMP, IPTC, PHOTOSHOP, PROFILE, 34665, 34853,
    37724,
)  # fmt: skip
"""Tags that tell how pixels are encoded, which are new in the output, and tags that are read by themselves. The last is
Photoshop's layers, which would show the old picture."""


def tree_of_tiff(file: BinaryIO, page: int) -> tuple[Tree, Layout]:
    """Read the directory of one page of a TIFF, and those of EXIF below it; an empty tree if it is broken.

    Args:
        file: the TIFF, open for reading.
        page: index of the page, from 0.
    """
    try:
        layout, at = read_header(file)
        for _ in range(page):
            at = next_offset(file, layout, at)  # of the values of other pages, none is read
        return read_tree(file, layout, at), layout
    except BrokenStructure:
        return Tree(whole=False), Layout("<")


def exif_of_tree(tree: Tree, layout: Layout) -> bytes:
    """The EXIF of a TIFF's page, as a JPEG would hold it without its mark; empty if there is none."""
    first = {tag: entry for tag, entry in tree.entries.items() if tag in _DESCRIPTIVE}
    below = {tag: tree.below[tag] for tag in (EXIF_POINTER, GPS_POINTER) if tag in tree.below}
    if _ORIENTATION in tree.entries and (first or below):
        first[_ORIENTATION] = tree.entries[_ORIENTATION]
    return as_exif(Tree(first, below), layout.order)


def other_tags(tree: Tree) -> list[int]:
    """The tags of a page that are neither EXIF's nor of its encoding."""
    return [tag for tag in tree.entries if tag not in _OF_PIXELS and tag not in _DESCRIPTIVE]


def bytes_of(tree: Tree, tag: int) -> bytes:
    """The bytes of an entry, whatever its type; empty without it."""
    return tree.entries[tag].data if tag in tree.entries else b""


def add_to_tiff(
    file: BinaryIO,
    *,
    exif: bytes = b"",
    profile: bytes = b"",
    xmp: bytes = b"",
    iptc: bytes = b"",
    photoshop: bytes = b"",
    geography: Directory | None = None,
    resolution: Resolution | None = None,
) -> None:
    """Add entries to a TIFF of one page: its directory is written anew at the end.

    Args:
        file: the TIFF, open for reading and writing.
        exif: a whole TIFF structure without a mark, in either byte order; may be empty.
        profile: an ICC profile; may be empty.
        xmp: XMP; may be empty.
        iptc: records of IPTC; may be empty.
        photoshop: Photoshop's image resources; may be empty.
        geography: entries that say where the picture lies, in little-endian order.
        resolution: the resolution; None for square pixels of unknown size.
    """
    layout, at = read_header(file)
    mine, _ = read_directory(file, layout, at)
    places = geography or {}
    places = swapped(Tree(places)).entries if layout.order == ">" else places
    theirs, order = tree_of(exif)
    if order.order != layout.order:
        theirs = swapped(theirs)
    first = {tag: entry for tag, entry in theirs.entries.items() if tag in _DESCRIPTIVE}
    if EXIF_POINTER in theirs.below:
        theirs.below[EXIF_POINTER].below.clear()  # libtiff knows no interoperability directory, and warns
    blobs = {
        XMP: Entry(BYTE, xmp),
        IPTC: Entry(UNDEFINED, iptc),
        PHOTOSHOP: Entry(BYTE, photoshop),
        PROFILE: Entry(UNDEFINED, profile),
    }
    mine |= first | places | entries_of_resolution(resolution, layout)
    whole = mine | {tag: entry for tag, entry in blobs.items() if entry.data}
    end = file.seek(0, io.SEEK_END)
    file.write(bytes(end % 2))  # directories begin at even offsets
    data, at = laid_out(Tree(whole, theirs.below), layout, end + end % 2)
    file.write(data)
    file.seek(8 if layout.big else 4)
    file.write(layout.offset.pack(at))
