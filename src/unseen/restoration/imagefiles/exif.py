"""EXIF that stays true of a restored picture, and that every reader can read (CIPA DC-008, 2019)."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from contextlib import suppress

from .ifd import (
    ASCII,
    EXIF_POINTER,
    GPS_POINTER,
    INTEROPERABILITY_POINTER,
    LONG,
    SHORT,
    UNDEFINED,
    BrokenStructure,
    Directory,
    Entry,
    Layout,
    Tree,
    as_exif,
    read_header,
    read_tree,
)

MARK = b"Exif\0\0"
"""What begins EXIF in JPEG, before the TIFF structure."""
USER_COMMENT = 37510
_ORIENTATION = 274
_WIDTHS = (256, 40962, 4097)
"""Tags for the width of the picture: in the first, the EXIF and the interoperability directory."""
_HEIGHTS = (257, 40963, 4098)
_SUBJECT_AREA, _SUBJECT_LOCATION = 37396, 41492
"""Tags with coordinates of the subject in pixels."""
_THUMBNAIL, _THUMBNAIL_LENGTH = 513, 514


def mended_exif(exif: bytes, width: int, height: int, *, moved: bool) -> tuple[bytes, str]:
    """Make EXIF say what is true of a restored picture: its size, upright, without the thumbnail of the old one.

    All other bytes stay where they are, so that makers' notes, which no one else may move, stay readable. Where a
    directory is broken, its whole entries are written anew. Coordinates of the subject are left out if they are moved.

    Args:
        exif: a TIFF structure, with or without the `Exif` mark before it; may be empty.
        width: width of the restored picture in pixels.
        height: height of the restored picture in pixels.
        moved: whether the restored picture is turned or enlarged.

    Returns:
        The TIFF structure without a mark, empty if nothing of it can be read; and a remark on what was left out as
        broken, or "".
    """
    exif = exif.removeprefix(MARK)
    if not exif:
        return b"", ""
    source = io.BytesIO(exif)
    try:
        layout, at = read_header(source)
        tree = read_tree(source, layout, at) if not layout.big and at else None
    except BrokenStructure:
        tree = None
    if tree is None:
        return b"", "its EXIF is broken and left out"
    coordinates = moved and bool({_SUBJECT_AREA, _SUBJECT_LOCATION} & _entries_below(tree, EXIF_POINTER).keys())
    if tree.whole and not coordinates:
        patched = bytearray(exif)
        _patch(patched, layout, at, _true_values(width, height))
        kept = _without_thumbnail(patched, layout, at)
        with suppress(BrokenStructure):  # thumbnail and entries overlapped
            read_again = read_tree(io.BytesIO(kept), layout, at)
            if read_again.whole and read_again.entries.keys() == tree.entries.keys():
                return kept, ""
    for tag in (_SUBJECT_AREA, _SUBJECT_LOCATION) if moved else ():
        _entries_below(tree, EXIF_POINTER).pop(tag, None)
    written = bytearray(as_exif(tree, layout.order))
    if written:
        _patch(written, layout, layout.offset.unpack_from(written, 4)[0], _true_values(width, height))
    return bytes(written), "" if tree.whole else "its EXIF is broken in parts, which are left out"


def with_entries(exif: bytes, first: Mapping[int, Entry], detail: Mapping[int, Entry]) -> bytes:
    """Add entries to EXIF, as far as it does not have their tags.

    Args:
        exif: a whole TIFF structure without a mark, or empty.
        first: entries of the first directory, in the byte order that `tree_of` finds.
        detail: entries of the EXIF directory, likewise.
    """
    tree, layout = tree_of(exif)
    first = {tag: entry for tag, entry in first.items() if tag not in tree.entries}
    detail = {tag: entry for tag, entry in detail.items() if tag not in _entries_below(tree, EXIF_POINTER)}
    if not first and not detail:
        return exif
    tree.entries.update(first)
    if detail:
        tree.below.setdefault(EXIF_POINTER, Tree()).entries.update(detail)
    return as_exif(tree, layout.order)


def tree_of(exif: bytes) -> tuple[Tree, Layout]:
    """Read EXIF without a mark, as `mended_exif` returns it; empty EXIF is an empty little-endian tree."""
    if not exif:
        return Tree(), Layout("<")
    source = io.BytesIO(exif)
    layout, at = read_header(source)
    return read_tree(source, layout, at), layout


def text_entry(text: str) -> Entry:
    """An entry of text, which EXIF calls ASCII and which is UTF-8 to all programs of today."""
    return Entry(ASCII, text.replace("\0", " ").encode() + b"\0")


def comment_entry(text: str, layout: Layout) -> Entry:
    """An entry for `USER_COMMENT`, whose first eight bytes name the encoding."""
    if text.isascii():
        return Entry(UNDEFINED, b"ASCII\0\0\0" + text.encode())
    return Entry(UNDEFINED, b"UNICODE\0" + text.encode("utf-16-le" if layout.order == "<" else "utf-16-be"))


def stated_orientation(exif: bytes) -> int:
    """The orientation that EXIF states, 1 to 8; 1, upright, where it states none."""
    try:
        tree, layout = tree_of(exif.removeprefix(MARK))
    except BrokenStructure:
        return 1
    entry = tree.entries.get(_ORIENTATION)
    if entry is None or entry.type not in (SHORT, LONG):
        return 1
    number = int.from_bytes(entry.data[: 2 if entry.type == SHORT else 4], "little" if layout.order == "<" else "big")
    return number if 1 <= number <= 8 else 1


def has_comment(exif: bytes) -> bool:
    """Whether EXIF has a comment of the user that is not blank."""
    comment = _entries_below(tree_of(exif)[0], EXIF_POINTER).get(USER_COMMENT)
    return comment is not None and bool(comment.data[8:].strip(b"\0 "))


def _entries_below(tree: Tree, pointer: int) -> Directory:
    return tree.below[pointer].entries if pointer in tree.below else {}


def _true_values(width: int, height: int) -> dict[int, int]:
    return dict.fromkeys(_WIDTHS, width) | dict.fromkeys(_HEIGHTS, height) | {_ORIENTATION: 1}


def _rows(exif: bytes | bytearray, layout: Layout, at: int) -> dict[int, int]:
    """The offsets of the entries of a directory, by their tags."""
    (count,) = layout.count.unpack_from(exif, at)
    offsets = (at + layout.count.size + i * layout.entry.size for i in range(count))
    return {layout.entry.unpack_from(exif, offset)[0]: offset for offset in offsets}


def _patch(exif: bytearray, layout: Layout, at: int, values: Mapping[int, int]) -> None:
    """Set whole numbers in a directory and below it, where there are such entries, whatever they hold."""
    for tag, offset in _rows(exif, layout, at).items():
        _, _, _, inline = layout.entry.unpack_from(exif, offset)
        if tag in (EXIF_POINTER, GPS_POINTER, INTEROPERABILITY_POINTER):
            _patch(exif, layout, layout.offset.unpack(inline)[0], values)
        elif tag in values:
            # Sizes are short or long by the standard, and libtiff insists on long.
            kind = SHORT if tag == _ORIENTATION else LONG
            number = struct.pack(f"{layout.order}{'H2x' if kind == SHORT else 'I'}", values[tag])
            layout.entry.pack_into(exif, offset, tag, kind, 1, number)


def _without_thumbnail(exif: bytearray, layout: Layout, at: int) -> bytes:
    """Cut off the second directory, and blank the thumbnail that it holds."""
    (count,) = layout.count.unpack_from(exif, at)
    link = at + layout.count.size + count * layout.entry.size
    if link + 4 > len(exif):
        return bytes(exif)
    (second,) = layout.offset.unpack_from(exif, link)
    layout.offset.pack_into(exif, link, 0)
    try:
        source = io.BytesIO(exif)
        entries = read_tree(source, layout, second).entries if second else {}
    except BrokenStructure:
        entries = {}
    spans = [entries[tag].data for tag in (_THUMBNAIL, _THUMBNAIL_LENGTH) if tag in entries]
    if [len(span) for span in spans] == [4, 4]:
        start, length = (layout.offset.unpack(span)[0] for span in spans)
        end = min(start + length, len(exif))
        # A thumbnail is a JPEG; what does not begin like one may be anything, and is left alone.
        if exif[start : start + 2] == b"\xff\xd8":
            exif[start:end] = bytes(end - start)
            if end == len(exif):  # where it is last, as nearly always, its space goes with it
                del exif[start:]
    return bytes(exif)
