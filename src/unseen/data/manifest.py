"""Authors and licences of photographs, from the `manifest.tsv` beside them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..core.text_file import read_text

MANIFEST = "manifest.tsv"
"""A table of tab-separated columns with a line of their names; `file`, `author` and `licence` are read."""

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
        UserError: the manifest cannot be read, or has no column `file`.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    table = csv.DictReader(
        read_text(path, "a manifest", most=LARGEST).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE
    )
    if "file" not in (table.fieldnames or ()):
        raise UserError(f"{path}: has no column 'file'; name the columns in its first line, or move it away")
    try:
        return {row["file"]: Credit(row.get("author") or "", row.get("licence") or "") for row in table}
    except csv.Error as error:
        raise UserError(f"{path}: not a table of tab-separated columns: {error}") from error
