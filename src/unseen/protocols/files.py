"""Where protocols lie: those that come with the package, and files of one's own. This module imports nothing slow."""

from __future__ import annotations

import os
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from ..core.errors import UserError
from ..core.wording import did_you_mean


def protocol_names() -> list[str]:
    """Return the names of the protocols that come with the package, sorted."""
    folder = resources.files(__package__)
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def protocol_file(name: str) -> Traversable | Path:
    """Find the file of a protocol by the protocol's name, or by the path of a YAML file of one's own.

    Raises:
        UserError: there is no such protocol and no such file.
    """
    names = protocol_names()
    if name in names:
        return resources.files(__package__).joinpath(f"{name}.yaml")
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(
            f"protocol: {name!r} is none of {', '.join(names)}{did_you_mean(name, names)}, nor a .yaml file"
        )
    if not os.path.exists(path):
        raise UserError(f"protocol: {name}: cannot be read: No such file or directory")
    return path
