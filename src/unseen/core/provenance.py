"""The command and the computer by which a number was measured."""

from __future__ import annotations

import platform
import re
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from .config import Machine
from .version import __version__

PACKAGES = ("numpy", "pillow", "scipy")
"""The packages beside torch whose versions can change a number."""


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


def surroundings(machine: Machine) -> dict[str, str]:
    """Return all but configuration and data on which the bits of a result depend: machine, processor, packages.

    Returns:
        Name → description: `machine` (`machine_line`), `processor` with the instructions that torch uses there, and the
        version of each package in `PACKAGES`.
    """
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.*)$", cpuinfo.read_text() if cpuinfo.exists() else "", re.MULTILINE)
    processor = models[0] if models else platform.processor() or platform.machine()
    return {
        "machine": machine_line(machine),
        "processor": f"{processor}, {torch.backends.cpu.get_cpu_capability()}",
        **{name: version(name) for name in PACKAGES},
    }
