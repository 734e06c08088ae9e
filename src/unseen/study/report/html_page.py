"""One HTML page of a study: tables, charts, pictures to compare, and how it was made.

The page is a single file that fetches nothing: styles, scripts, charts (SVG) and pictures are inside it, and it
forbids the browser to load anything else, or to run any other script. Equal arguments give an equal file, byte for
byte. Without scripts everything but the gallery and the sorting of tables works.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.atomic import write_text
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
    # Late: these take a second to import, and most commands write no page.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from .page_builder import build_page

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
    jinja = Environment(
        loader=PackageLoader("unseen.study.report", "templates"), autoescape=True, undefined=StrictUndefined
    )
    jinja.trim_blocks = jinja.lstrip_blocks = True
    folder = files(__package__) / "static"
    scripts = [(folder / name).read_text("utf-8") for name in SCRIPTS if pictures or name != "gallery.js"]
    page = jinja.get_template("report.html.jinja").render(
        page=content,
        style=(folder / "style.css").read_text("utf-8"),
        scripts=scripts,
        script_sources=[_source(script) for script in scripts],
    )
    write_text(path, page)


def _source(script: str) -> str:
    """The expression by which the page allows this one script (Content Security Policy, level 2)."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii") + "'"
