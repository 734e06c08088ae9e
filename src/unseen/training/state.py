"""The state of a training run, in memory and on disk."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..core.atomic import write_text
from ..core.config import CONFIG, load_config, save_config
from ..core.errors import UserError
from ..core.version import __version__
from ..models.card import Card
from ..models.checkpoint import CHECKPOINT, load_optimiser, load_state, optimiser_tensors, save_checkpoint, save_state
from .config import TrainConfig
from .distributed import Processes
from .run import TrainingRun, tested_network

LOG = "log.jsonl"

DIAGNOSES = "diagnostics.jsonl"


@dataclass
class TrainingState:
    """How far a run has come: all of it that is not a tensor, and where `--resume` goes on."""

    step: int = 0
    images: int = 0  # gradient evaluations times the batch size
    seconds: float = 0.0
    waiting: float = 0.0  # seconds of these in which images were drawn and distorted, and nothing learned
    loss: float = 0.0  # sum and count since the last validation
    calls: int = 0
    memory: float = 0.0  # MiB, the most that the steps took at once
    best: float = -math.inf
    finished: bool = False
    processes: int = 1
    protocol: str = ""  # its hash
    data: str = ""  # the digest of the photographs
    log: list[dict[str, Any]] = field(default_factory=list)
    diagnoses: list[dict[str, Any]] = field(default_factory=list)


def spent(position: TrainingState, config: TrainConfig) -> float:
    """Gradient evaluations so far: a batch of another size counts in proportion to its images."""
    return position.images / config.batch


def used(position: TrainingState, config: TrainConfig) -> float:
    """What was spent so far, in the budget's own unit."""
    return position.seconds if config.limit.unit == "seconds" else spent(position, config)


def affordable(position: TrainingState, config: TrainConfig) -> bool:
    """Whether one more step, at the mean cost of those taken, stays within the budget."""
    steps, amount = max(position.step, 1), config.limit.amount
    if config.limit.unit == "seconds":
        return position.seconds * (steps + 1) <= amount * steps
    return position.images * (steps + 1) <= amount * config.batch * steps  # whole numbers, no rounding


def save(run: TrainingRun, position: TrainingState, processes: Processes, kept: bool) -> None:
    """Everything a stop must leave behind. Each process saves its own state; the first one, the rest.

    kept: whether these weights are those that the checkpoint is to hold.
    """
    config = run.config
    groups = {
        "network": run.network.state_dict(),
        "outer": optimiser_tensors(run.outer),
        "method": run.method.state_dict(),
    }
    if processes.rank == 0:
        write_text(config.folder / LOG, "".join(json.dumps(line) + "\n" for line in position.log))
        if position.diagnoses:
            write_text(config.folder / DIAGNOSES, "".join(json.dumps(line) + "\n" for line in position.diagnoses))
        if kept or not (config.folder / CHECKPOINT).exists():
            card = card_of(run, position)
            save_checkpoint(config.folder / CHECKPOINT, tested_network(run).state_dict(), card)
    save_state(state_file(config.folder, processes.rank), groups, asdict(position))  # last: it says the rest is there


def card_of(run: TrainingRun, position: TrainingState) -> Card:
    """The card of a training run. `quality` stays empty until the run has ended and is measured."""
    levels = tuple(level for level, _ in run.protocol.levels())
    evaluations = spent(position, run.config)
    return Card(__version__, asdict(run.config), run.protocol.hash(), evaluations, run.data, run.photographs, levels)


def begin(run: TrainingRun, processes: Processes) -> None:
    """Clear what an earlier run left in the folder, and say what this one is."""
    first = [CHECKPOINT, LOG, DIAGNOSES] if processes.rank == 0 else []
    for old in [*first, state_file(run.config.folder, processes.rank).name]:
        (run.config.folder / old).unlink(missing_ok=True)
    if processes.rank == 0:
        save_config(run.config.folder / CONFIG, run.config)


def load(run: TrainingRun, processes: Processes) -> TrainingState:
    """Put network, optimisers and method back to where `save` left them."""
    path = state_file(run.config.folder, processes.rank)
    groups, facts = load_state(path)
    try:
        run.network.load_state_dict(groups["network"])
        load_optimiser(run.outer, groups.get("outer", {}))
        run.method.load_state_dict({name: v.to(run.config.device) for name, v in groups.get("method", {}).items()})
        position = TrainingState(**facts)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: does not fit this run's configuration: {str(error).splitlines()[0]}") from error
    if position.data != run.data:
        raise UserError(f"{path}: was begun with other photographs in {', '.join(run.config.data)}")
    if position.protocol != run.protocol.hash():
        raise UserError(
            f"{path}: was begun before {run.config.protocol} changed, and cannot go on under another protocol"
        )
    if position.processes != processes.world:
        raise UserError(f"{path}: is of {position.processes} processes, and {processes.world} cannot go on with it")
    if processes.any(position.step != processes.min(position.step)):
        raise UserError(f"{path.parent}: the processes were stopped at different steps, and cannot go on together")
    return position


def state_file(folder: Path, rank: int) -> Path:
    """Where a process keeps its state."""
    return folder / ("resume.safetensors" if rank == 0 else f"resume-{rank}.safetensors")


def holds_a_run(folder: Path) -> bool:
    """Whether a run was begun there, of which something can be lost."""
    return state_file(folder, 0).exists()


def is_finished(folder: Path) -> bool:
    """Whether the run in a folder has spent its budget. Raises UserError for a damaged state."""
    return holds_a_run(folder) and position_of(folder).finished


def is_of(run: TrainConfig) -> bool:
    """Whether the run's folder holds this very run, begun or finished; an overwritten study may have left others."""
    path = run.folder / CONFIG
    return holds_a_run(run.folder) and path.exists() and load_config(path) | {"out": run.out} == asdict(run)


def position_of(folder: Path) -> TrainingState:
    """How far the run in a folder has come. Raises UserError for a damaged state, and for one of another version."""
    path = state_file(folder, 0)
    try:
        return TrainingState(**load_state(path)[1])
    except TypeError as error:
        raise UserError(f"{path}: not the state of a run of unseen {__version__}") from error
