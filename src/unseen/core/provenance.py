"""By which command and on what a number was measured."""

from __future__ import annotations

import platform
import shlex
import sys

import torch

from ..core.version import __version__
from .config import Machine


def command_line() -> str:
    """The command that is running, as one could type it again."""
    return shlex.join(["unseen", *sys.argv[1:]])


def machine_line(machine: Machine) -> str:
    """Where a number was measured."""
    device = torch.cuda.get_device_name(machine.device) if machine.device.startswith("cuda") else machine.device
    return (
        f"{device}, {machine.threads} threads, {platform.machine()} {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, unseen {__version__}"
    )
