"""The command that adds an extra to this installation, for messages about a package that is missing."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

PROJECT = Path(__file__).parents[3]
"""The folder of the project, where this file lies in it."""


def install_command(extra: str) -> str:
    """Return the command that installs an extra in the way in which unseen was installed: from its folder, or by name.

    Args:
        extra: the name of the extra in pyproject.toml, such as `studio`.
    """
    try:
        record = distribution("unseen").read_text("direct_url.json")
    except PackageNotFoundError:  # it is run from its folder without being installed
        return _from_folder(PROJECT, extra, editable=True)
    source = json.loads(record or "{}")
    url = urlsplit(source.get("url", ""))
    if url.scheme == "file":
        return _from_folder(Path(unquote(url.path)), extra, source.get("dir_info", {}).get("editable", False))
    return f"pip install {shlex.quote(f'unseen[{extra}] @ {url.geturl()}' if url.scheme else f'unseen[{extra}]')}"


def _from_folder(folder: Path, extra: str, editable: bool) -> str:
    place = folder if folder.exists() else "."  # a folder that is gone: in another copy of it
    return f"pip install {'-e ' * editable}{shlex.quote(f'{place}[{extra}]')}"
