"""Where models lie: those that come with the package, and files of one's own. This module imports nothing slow."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from ..core.errors import UserError
from ..core.wording import did_you_mean

DEFAULT = "denoiser"
"""The shipped model for users who name no model."""

GRAY = "denoiser_gray"
"""The shipped model for photographs in black and white, whose noise the default one leaves."""


def shipped() -> dict[str, Path]:
    """The checkpoints that come with the package: name → file."""
    folder = Path(str(resources.files(__package__))) / "shipped"
    return {file.stem: file for file in sorted(folder.glob("*.safetensors"))}


def located(spec: str) -> Path:
    """The path of a model by the name of a shipped one or by its own path. Raises UserError where neither exists."""
    models = shipped()
    path = models.get(spec, Path(spec))
    if not spec or not os.path.exists(path):
        names = ", ".join(models) or "none"
        raise UserError(
            f"model: {spec!r} is no file and no shipped model ({names}){did_you_mean(spec, models)}; give a path"
        )
    return path


def require_checkpoint(path: Path) -> None:
    """Refuse a path at which there is neither a file nor the folder of a run. Raises UserError, naming the path."""
    if not os.path.exists(path):
        raise UserError(no_such_file(path, "a checkpoint of unseen"))


def no_such_file(path: Path, kind: str) -> str:
    """Return a message about a path at which there is no file of a kind."""
    return f"{path}: no such file; expected {kind}"
