"""Authors and licences of photographs, from the `manifest.tsv` beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..core.text_file import read_text

MANIFEST = "manifest.tsv"
"""A table of tab-separated columns with a line of their names; packs keep `author` and `licence` of each `file`."""

LARGEST = 2**26
"""Most bytes of a manifest."""


@dataclass(frozen=True)
class Credit:
    """The author and the licence of a photograph; empty where nothing says so."""

    author: str = ""
    licence: str = ""


def credits_of(folder: Path) -> dict[str, Credit]:
    """Read the credits of the photographs of a folder, by their names; none where the folder has no manifest.

    Raises:
        UserError: as `manifest_rows` does.
    """
    rows = manifest_rows(folder) if (folder / MANIFEST).is_file() else []
    return {row["file"]: Credit(row.get("author", ""), row.get("licence", "")) for row in rows}


def manifest_rows(folder: Path) -> list[dict[str, str]]:
    """Read the lines of a folder's manifest, each by the names of the columns.

    Raises:
        UserError: the manifest cannot be read, has no column `file`, or has a line that is too short, or the second of
            one file.
    """
    path = folder / MANIFEST
    # Lines end at a line feed alone: an author's name may hold U+2028 and its like.
    columns, *lines = [
        line.removesuffix("\r").split("\t") for line in read_text(path, "a manifest", most=LARGEST).split("\n")
    ]
    if "file" not in columns:
        raise UserError(f"{path}: has no column 'file'; name the columns in its first line, or move it away")
    rows: dict[str, dict[str, str]] = {}
    for number, cells in enumerate(lines, start=2):
        if cells == [""]:
            continue
        if len(cells) < len(columns):
            raise UserError(f"{path}, line {number}: has {len(cells)} columns, and the first line {len(columns)}")
        row = dict(zip(columns, cells, strict=False))
        if row["file"] in rows:
            raise UserError(f"{path}, line {number}: file: {row['file']!r:.200} has a line already")
        rows[row["file"]] = row
    return list(rows.values())
