"""What the commands can be told, by option or in a YAML file, under the same names.

Each field stands with its type and its description; the command line is made from them. This module
imports nothing slow, so that `--help` answers at once.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

import yaml

from .atomic import write_text
from .errors import UserError
from .yaml12 import load_plain

CONFIG = "config.yaml"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where to compute. Both are part of a run's identity: equal bits need equal threads and device."""

    device: Annotated[str, "cpu, cuda, cuda:1, mps, or auto for the best there is"] = "auto"
    threads: Annotated[int, "processor threads; 0 takes all"] = 0

    def resolved(self) -> Self:
        """With `auto` and 0 replaced by what this machine has. Raises UserError for an absent device."""
        import torch

        best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        device = best if self.device == "auto" else self.device
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise UserError(f"device: {device!r} cannot be used here; try cpu, or auto") from error
        if device == "cuda":  # of several processes on one machine, each takes a GPU of its own
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        if self.threads < 0:
            raise UserError(f"threads: {self.threads} is below zero")
        if self.threads > 1024:  # some thousands crash the process in torch
            raise UserError(f"threads: {self.threads} is above 1024")
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return replace(self, device=device, threads=self.threads or usable)


def slug(spec: str) -> str:
    """A spec as a folder name."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in spec)


def save_config(path: Path, config: Machine) -> None:
    """Write the resolved configuration as YAML that `--config` reads back."""
    write_text(path, yaml.safe_dump(asdict(config), sort_keys=False))


def load_config(path: Path) -> dict[str, Any]:
    """What `save_config` wrote. Raises UserError if it is no such file."""
    try:
        values = load_plain(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise UserError(f"{path}: not a configuration: {reason}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a configuration: expected names and values")
    return values
