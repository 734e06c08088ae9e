"""The campaigns of `make torture`: what is tried, with what share of the time; and one trial of one, by its seed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path

from . import files, interruptions, texts
from .workshop import Fault, Workshop

KEPT = Path(__file__).parents[2] / "torture-failures"
"""Where the inputs of failures go."""


@dataclass(frozen=True)
class Campaign:
    """One kind of trouble.

    Attributes:
        about: what is tried, for the table.
        trial: makes the trouble that a seed stands for; raises Fault where a command does what none may do.
        share: share of the time.
        impossible: why it cannot be tried here; empty if it can.
    """

    about: str
    trial: Callable[[Workshop, int], None]
    share: float
    impossible: Callable[[], str] = lambda: ""


def _no_mounts() -> str:
    with tempfile.TemporaryDirectory() as folder:
        return "" if interruptions.can_mount(Path(folder) / "disk") else "this user may not mount a disk"


CAMPAIGNS = {
    "interruptions": Campaign(
        "SIGKILL, SIGTERM, SIGINT, SIGHUP at random moments of train (every method), compare, restore, degrade, "
        "evaluate, export; then the same command again: equal bits",
        interruptions.interrupt,
        0.3,
    ),
    "disks": Campaign(
        "full disk, read-only disk, limit of file size; then again with room: equal bits",
        interruptions.fill_disk,
        0.15,
        _no_mounts,
    ),
    "pictures": Campaign(
        f"damaged pictures of 34 kinds, {files.AT_ONCE} a trial, through restore, degrade, train, evaluate, check-data",
        files.damage_pictures,
        0.2,
    ),
    "documents": Campaign(
        "hostile configurations, protocols, cards, states, sidecars, rows, locks, ONNX fields, "
        f"{texts.EXAMPLES} a trial",
        texts.hostile_documents,
        0.2,
    ),
    "networks": Campaign(
        f"damaged ONNX, safetensors and pickle files as models, {texts.EXAMPLES} a trial", texts.hostile_networks, 0.07
    ),
    "names": Campaign("hostile names of files and words of options, at a terminal and not", files.hostile_names, 0.08),
}
"""Every campaign, by name."""


@dataclass(frozen=True)
class Trial:
    """One trial and its end.

    Attributes:
        name: the campaign.
        seed: the seed.
        commands: how many commands it ran.
        cpu: seconds of processor time of these.
        seconds: seconds of the trial.
        fault: what was wrong; empty if nothing was.
        printed: what the command said.
    """

    name: str
    seed: int
    commands: int
    cpu: float
    seconds: float
    fault: str = ""
    printed: str = ""

    @property
    def again(self) -> str:
        """The command that runs the trial again, alone."""
        return f"make torture ARGS='--again {self.name} {self.seed}'"


def run_trial(workshop: Workshop, name: str, seed: int) -> Trial:
    """Run one trial of a campaign."""
    commands, cpu, started = workshop.commands, workshop.cpu, time.monotonic()
    fault = printed = ""
    try:
        CAMPAIGNS[name].trial(workshop, seed)
    except Fault as found:
        fault, printed = f"{found.reason}: unseen {' '.join(found.words)}", found.printed
    fault = fault.encode("ascii", "backslashreplace").decode()
    seconds = time.monotonic() - started
    return Trial(name, seed, workshop.commands - commands, workshop.cpu - cpu, seconds, fault, printed)


_stack = ExitStack()
_workshop: Workshop | None = None


def workshop_here() -> Workshop:
    """The workshop of this process, opened when it is first needed."""
    global _workshop
    if _workshop is None:
        _workshop = _stack.enter_context(Workshop.opened(KEPT))
        Finalize(None, _stack.close, exitpriority=100)
    return _workshop


def trial_here(name: str, seed: int) -> Trial:
    """Run one trial in this process's workshop."""
    return run_trial(workshop_here(), name, seed)
