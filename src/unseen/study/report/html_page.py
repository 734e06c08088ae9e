"""One HTML page of a study: tables, charts, pictures to compare, and how it was made.

The page is a single file (`core.html_page`), with charts as SVG. Equal arguments give an equal file, byte for byte.
Without scripts everything but the gallery and the sorting of tables works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.html_page import shared_text, write_page
from ...protocols.levels import Level
from ..summary import StudySummary
from .gallery import GalleryPicture

if TYPE_CHECKING:  # these load torch, and this module is to stay light
    from ...protocols.protocol import Reported
    from ..tuning import Trial

REPORT = "report.html"

SCRIPTS = ("gallery.js", "tables.js", "lines.js")


def write_report(
    path: Path,
    study: StudySummary,
    pictures: Sequence[GalleryPicture],
    *,
    title: str,
    command: str,
    machine: str,
    notes: Sequence[str],
    trials: Sequence[Trial],
    reported: Sequence[Reported],
    definitions: Mapping[Level, str] | None = None,
) -> None:
    """Write one self-contained HTML page, atomically: tables, charts, pictures and how they were made.

    Args:
        path: the file to write.
        study: the statistics that the page shows.
        pictures: labelled "clean", "input", or as the study's entries; `gallery.gallery` has the order in which they
            are shown.
        title: heading of the page.
        command: the command that wrote the page.
        machine: the machine that ran it, in words.
        notes: paragraphs of plain words.
        trials: the trials of tuning; may be empty.
        reported: numbers that others reported, shown in separate tables.
        definitions: the distortion with all its settings by level, where its name lacks them.

    Raises:
        UserError: if the file cannot be written.
    """
    from .page_builder import build_page  # late: it loads matplotlib, and most commands write no page

    content = build_page(
        study,
        pictures,
        title=title,
        command=command,
        machine=machine,
        paragraphs=notes,
        trials=trials,
        reported=reported,
        definitions=definitions or {},
    )
    static = files(__package__) / "static"
    scripts = [(static / name).read_text("utf-8") for name in SCRIPTS if pictures or name != "gallery.js"]
    write_page(
        path,
        __package__,
        "templates",
        "report.html.jinja",
        content,
        style=(static / "style.css").read_text("utf-8"),
        scripts=[shared_text("divider.js"), *scripts] if pictures else scripts,
    )
