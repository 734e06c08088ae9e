"""The command and the computer by which a number was measured."""

from __future__ import annotations

import platform
import shlex
import sys

import torch

from .config import Machine
from .version import __version__


def command_line() -> str:
    """Return the running command as a user could type it again."""
    return shlex.join(["unseen", *sys.argv[1:]])


def machine_line(machine: Machine) -> str:
    """Return device, threads, processor, system and versions in one line."""
    device = torch.cuda.get_device_name(machine.device) if machine.device.startswith("cuda") else machine.device
    return (
        f"{device}, {machine.threads} threads, {platform.machine()} {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, unseen {__version__}"
    )
