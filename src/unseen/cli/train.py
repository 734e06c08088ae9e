"""The command `unseen train`."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from ..core.config import CONFIG
from ..core.errors import UserError
from ..core.folder_lock import sole_use
from ..core.launcher import ending_with_launcher
from ..core.outputs import require_folder_name
from ..core.terminal import show
from ..training.config import TrainConfig
from .early_checks import check_component, check_training_sources
from .exit_codes import ExitCode
from .options import OVERWRITE, TRUST, Command, read_file

if TYPE_CHECKING:
    from ..training.state import TrainingState


def train(config: TrainConfig, flags: Namespace) -> ExitCode:
    """Train one network by one method."""
    check_options(config, flags)
    # Of several processes that train together, the first holds the folder for all.
    held = sole_use(config.folder, "unseen train") if os.environ.get("RANK", "0") == "0" else nullcontext()
    with ending_with_launcher(), held:
        return _train(config, flags)


def check_options(config: TrainConfig, flags: Namespace) -> None:
    """Refuse before PyTorch is imported what can be seen to be wrong; the options of a run to resume are its own."""
    if flags.resume and flags.overwrite:
        raise UserError("give --resume or --overwrite, not both")
    config.check()
    require_folder_name(config.out, "the run")
    check_component(config.method, "methods", "method")
    check_component(config.backbone, "backbones", "backbone")
    if not flags.resume:
        check_training_sources(config)
    elif not (config.folder / CONFIG).exists():
        raise UserError(f"out: {config.folder} holds no run to resume")


def _train(config: TrainConfig, flags: Namespace) -> ExitCode:
    from ..core.interruption import interruptible
    from ..core.progress import progress_bars
    from ..training import loop
    from ..training.state import holds_a_run

    if flags.resume:
        config = _resumed(config.resolved(), flags.explicit)
    elif any(config.folder.glob("*/config.yaml")):
        raise UserError(f"out: {config.folder} holds a study; give another --out")
    elif not flags.overwrite and holds_a_run(config.folder):
        raise UserError(f"out: {config.folder} holds a run; give --resume, --overwrite, or another --out")
    config = replace(config.resolved(), out=str(config.folder))
    with interruptible() as stop, progress_bars():
        state = loop.train(config, stop, resume=flags.resume, origins=[file.parent for file in flags.files])
    if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
        _print_summary(config, state, flags.trusted)
    return ExitCode.DONE if state.finished else ExitCode.INTERRUPTED


def _print_summary(config: TrainConfig, state: TrainingState, trusted: Iterable[str]) -> None:
    """Print the cost of a run, its last validation, and how to go on if it was interrupted."""
    waiting = state.waiting / max(state.seconds, 1e-9)
    show(
        f"{config.folder}: {state.evaluations_spent(config):g} gradient evaluations (budget: {config.limit}), "
        f"{state.step} steps, {state.seconds:.0f} s of training, {waiting:.1%} of them waiting for data"
    )
    if state.log:
        last = state.log[-1]
        show(f"validation: seen {last['seen_psnr']:.2f} dB, held-out {last['held_out_psnr']:.2f} dB")
    if not state.finished:
        trust = "".join(f" --trust {name}" for name in trusted)
        show(f"interrupted: unseen train --resume --out {config.folder}{trust} goes on from here")


def _resumed(config: TrainConfig, explicit: Iterable[str]) -> TrainConfig:
    """Load the configuration that the run in the folder was started with.

    Args:
        config: the configuration of this command.
        explicit: the fields of it that an option or a file gave; the others do not count.

    Raises:
        UserError: if the folder holds no run, or a given field contradicts the saved one.
    """
    path = config.folder / CONFIG
    saved = TrainConfig(**read_file(TrainConfig, path))
    for name, value in asdict(config).items():
        if name in explicit and name not in ("out", "tensorboard") and getattr(saved, name) != value:
            raise UserError(f"{name}: {value!r}, but the run in {config.folder} has {getattr(saved, name)!r}")
    tensorboard = config.tensorboard if "tensorboard" in explicit else saved.tensorboard
    return replace(saved, out=str(config.folder), tensorboard=tensorboard)


TRAIN = Command(
    "train",
    train,
    "train one network by one method under one protocol",
    TrainConfig,
    arguments=[TRUST],
    switches={
        "resume": "go on where the run in the output folder stopped, bit for bit; options may be left out",
        **OVERWRITE,
    },
    processes=True,
)
