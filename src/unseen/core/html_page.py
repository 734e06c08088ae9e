"""HTML pages of a single file, which fetch nothing and work offline.

Styles, scripts and pictures are inside of a page, which forbids the browser to load anything else, or to run any other
script. Every text in it is escaped. `page/` beside this module holds what all pages share: the frame of a page, its
style, and the divider between two pictures.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from .atomic import replacing

SHARED = "unseen.core"
"""The package whose folder `page` holds what all pages share."""


def shared_text(name: str) -> str:
    """A style or script that all pages share: `page.css`, `divider.css`, `divider.js`."""
    return (files(SHARED) / "page" / name).read_text("utf-8")


def write_page(
    path: Path, package: str, folder: str, template: str, content: object, *, style: str, scripts: Sequence[str]
) -> None:
    """Write a page piece by piece, atomically: what `content` makes while it is read need not be in memory at once.

    Args:
        path: the file to write.
        package: dotted name of the package that has the page's own templates.
        folder: folder of the templates within the package.
        template: name of the template, which extends `page.html.jinja`.
        content: what the template prints, under the name `page`; `page.title`, `page.command` and `page.provenance`
            are printed by the frame.
        style: the page's own style sheet, after the shared one.
        scripts: the scripts of the page, in order.

    Raises:
        UserError: if the file cannot be written.
    """
    # Late: jinja takes a while to import, and most commands write no page.
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(package, folder), PackageLoader(SHARED, "page")])
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    jinja.trim_blocks = jinja.lstrip_blocks = True
    pieces = jinja.get_template(template).generate(
        page=content,
        style=shared_text("page.css") + shared_text("divider.css") + style,
        scripts=scripts,
        script_sources=[_source(script) for script in scripts],
    )
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(pieces)  # bytes of file names that are no text (lone surrogates) are written escaped


def _source(script: str) -> str:
    """The expression by which a page allows this one script (Content Security Policy, level 2)."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii") + "'"
