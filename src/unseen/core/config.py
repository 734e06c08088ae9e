"""Configurations: the machine of every command, and the checking, saving and loading of a run's options.

Each field of a configuration has a type, a range and a description, from which the options of the command line and the
names in YAML files are made. This module imports nothing slow, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, get_type_hints

from annotated_types import Ge, Le, Predicate

from .atomic import write_text
from .errors import UserError
from .text_file import read_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CONFIG = "config.yaml"


def is_device(name: str) -> bool:
    """Return True for the name of a device, be it here or not, and raise UserError for anything else."""
    if not re.fullmatch(r"auto|cpu|mps|(?:cuda|xpu)(?::\d{1,3})?", name):
        raise UserError(f"device: {name!r} is no device; give cpu, cuda, cuda:1, mps, or auto for the best there is")
    return True


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The device and threads of a run. Both belong to its identity: equal bits need an equal device and threads."""

    device: Annotated[str, Predicate(is_device), "cpu, cuda, cuda:1, mps, or auto for the best there is"] = "auto"
    # Some thousands of threads crash the process in torch.
    threads: Annotated[int, Ge(0), Le(1024), "processor threads; 0 takes all"] = 0

    def resolved(self) -> Self:
        """Replace `auto` by the best device, and 0 by the number of processor threads of this computer.

        Raises:
            UserError: for a device that is absent, or a number of threads out of range.
        """
        check_values(self)
        import torch

        best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        device = best if self.device == "auto" else self.device
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise UserError(f"device: {device!r} cannot be used here; try cpu, or auto") from error
        if device == "cuda":  # of several processes on one machine, each takes a GPU of its own
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return replace(self, device=device, threads=self.threads or usable)


def annotations_of(config: type[DataclassInstance]) -> dict[str, Any]:
    """Return the annotation of every field of a configuration: type, range and help in one Annotated."""
    hashable: Any = config  # to mypy, a class with `eq` has no hash of its own
    return _annotations(hashable)


@cache
def _annotations(config: type[Any]) -> dict[str, Any]:
    return get_type_hints(config, include_extras=True)


def check_values(config: DataclassInstance) -> None:
    """Check every field of a configuration against the type and the range in its annotation.

    Raises:
        UserError: naming the first field that does not fit.
    """
    from .conversion import convert

    hints = annotations_of(type(config))
    for field in fields(config):
        try:
            convert(getattr(config, field.name), hints[field.name], field.name)
        except ValueError as error:
            raise UserError(str(error)) from error


def slug(spec: str) -> str:
    """Turn a spec into the name of a folder."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in spec)


def save_config(path: Path, config: Machine) -> None:
    """Write a configuration as YAML that `--config` reads back."""
    from .yaml12 import dump

    write_text(path, dump(asdict(config)))


def load_config(path: Path) -> dict[str, Any]:
    """Read the names and values of a configuration in YAML.

    Raises:
        UserError: if the file cannot be read or holds no names and values.
    """
    from .yaml12 import fault, load

    text = read_text(path, "a configuration")
    try:
        values = load(text)
    except Exception as error:  # not YAMLError alone: endless brackets, a tag that its text does not fit
        line, reason = fault(error)
        where = f", line {line}" if line else ""
        raise UserError(f"{path}{where}: not a configuration: {reason}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a configuration: expected names and values")
    return dict(values)
