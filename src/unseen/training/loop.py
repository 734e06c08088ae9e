"""The whole of training: photographs, episodes, gradients, steps, validation, checkpoints."""

from __future__ import annotations

import json
import math
import time
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import torch
from rich.progress import Progress, TaskID
from torch import nn

from .. import __version__
from ..core.atomic import write_text
from ..core.config import CONFIG, Select, TrainConfig, load_config, save_config
from ..core.errors import UserError
from ..core.memory import Memory
from ..core.randomness import derive
from ..core.registry import build
from ..data.patches import Patches
from ..evaluation.evaluate import on_device
from ..evaluation.results import Split
from ..methods import METHODS, Batch, Episode, Method, Objective, Params, objective_for
from ..methods.objective import Tally
from ..models.backbones import BACKBONES
from ..models.checkpoint import (
    CHECKPOINT,
    Card,
    load_optimiser,
    load_state,
    optimiser_tensors,
    save_checkpoint,
    save_state,
)
from ..protocols.confounder import Confounder, Synthetic, draw_episode
from ..protocols.protocol import Protocol
from ..study.summary import is_ceiling
from .diagnostics import diagnose
from .distributed import Processes, joined
from .training_data import Material, protocol_of
from .validation import Validation, write_quality

LOG = "log.jsonl"
DIAGNOSES = "diagnostics.jsonl"
CHOSEN_ON: dict[Select, Split] = {"seen": "seen", "held-out": "held-out", "oracle": "unseen"}
"""By which levels the kept weights are chosen; `last` chooses nothing."""


class Diverged(UserError):  # noqa: N818 (a state of affairs, as in `except Diverged`)
    """A loss that is infinite, or no number."""


@dataclass
class Position:
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


@dataclass(frozen=True)
class Run:
    """What a configuration describes, built: everything the loop works with."""

    config: TrainConfig
    protocol: Protocol
    confounders: tuple[Confounder, ...]
    method: Method
    network: nn.Module
    objective: Objective
    outer: torch.optim.Optimizer
    patches: Patches
    validation: Validation
    data: str
    photographs: int
    skipped: list[str]

    @classmethod
    def of(cls, config: TrainConfig) -> Run:
        """Raises UserError, naming the field, for whatever the configuration names that cannot be used."""
        config.check()
        torch.set_num_threads(config.threads)
        torch.backends.cudnn.deterministic = True
        protocol = protocol_of(config)
        method = build(config.method, METHODS, "method", Method)
        if method.sees_unseen and not is_ceiling(config.method):
            raise UserError(f"method: {config.method!r} trains on unseen levels; only `ceiling` is labelled so")
        torch.manual_seed(derive(config.seed, "weights"))
        network = build(config.backbone, BACKBONES, "backbone", nn.Module)
        network = on_device(network, config.device)
        if not any(parameter.requires_grad for parameter in network.parameters()):
            raise UserError(f"backbone: {config.backbone!r} has no parameters to train")
        if config.patch % protocol.step:
            raise UserError(f"patch: {config.patch} is no multiple of {protocol.step}, the scale of {protocol.name}")
        if config.select == "oracle" and not any(isinstance(c, Synthetic) for c in protocol.unseen):
            raise UserError(f"select: oracle needs unseen levels that can be made, and {protocol.name} has none")
        material = Material.of(config, protocol, method)
        return cls(
            config=config,
            protocol=protocol,
            confounders=material.confounders(config.patch),
            method=method,
            network=network,
            objective=objective_for(network, config.loss),
            outer=torch.optim.Adam(network.parameters(), lr=config.lr),
            patches=Patches(material.clean.train, config.patch),
            validation=Validation.of(
                material.clean.validation,
                {name: p.validation for name, p in material.pairs.items()},
                protocol,
                oracle=config.select == "oracle",
            ),
            data=material.digest(),
            photographs=sum(len(part.train) for part in material.parts()),
            skipped=[f"{skipped.name}: {skipped.reason}" for part in material.parts() for skipped in part.skipped],
        )


def train(
    config: TrainConfig, stop: Event, bar: Progress, *, resume: bool = False, whole: TaskID | None = None
) -> Position:
    """Train one network by one method under one protocol, into `config.folder`.

    The folder receives config.yaml, checkpoint.safetensors (weights and card), resume.safetensors and
    log.jsonl, each whole or not at all. Setting `stop` ends the run after the step in hand, all saved.
    With `resume` it goes on as if it had never stopped, bit for bit on the same machine: every random
    draw descends from (seed, purpose, rank, step), and all else is in resume.safetensors. (Under a budget of time
    the learning rate follows the clock, and two runs are never quite alike.)
    `whole` is a bar of all runs together, if this is one of several.
    Raises UserError for whatever the configuration names that cannot be used, and for a run that diverges.
    """
    run = Run.of(config)
    for skipped in run.skipped:
        bar.console.print(f"skipped {skipped}", markup=False, highlight=False)
    device = torch.device(config.device)
    parameters = parameters_of(run)
    start = {name: p.detach().clone() for name, p in parameters.items()}
    memory = Memory(device)
    with joined(config.device) as processes:
        new = Position(processes=processes.world, protocol=run.protocol.hash(), data=run.data)
        position = load(run, processes) if resume else new
        task = bar.add_task(f"{config.method}, seed {config.seed}", total=config.limit.amount)
        bars = [task] if whole is None else [task, whole]
        for shown in bars:
            bar.advance(shown, used(position, config))
        while not processes.any(stop.is_set() or not affordable(position, config)):
            started, before = time.perf_counter(), used(position, config)
            key = (config.seed, processes.rank, position.step)
            episode = draw_episode(run.confounders, run.patches, config.batch, config.content, key, device)
            episode.progress = before / config.limit.amount
            if position.step == 0:
                query, drawn = episode.query, time.perf_counter()
                refuse_unsuitable(run, query)
                started += time.perf_counter() - drawn  # what is refused, or found to be sound, is no training

            gradients = processes.average(gradient_of(run, parameters, episode))
            take_step(run, gradients, config.lr * lr_factor(config.schedule, episode.progress))

            count(run, position, processes.world)
            if position.step == 1:  # not before: what is refused leaves an earlier run as it was
                begin(run, processes)
            position.waiting += episode.seconds
            # The processes must agree on the time, where it decides on learning rate and end.
            position.seconds += processes.most(time.perf_counter() - started)
            for shown in bars:
                bar.advance(shown, used(position, config) - before)
            pause(run, position, start, episode, memory, processes)
        position.memory = max(position.memory, memory.peak())
        if position.step == 0:
            begin(run, processes)
        position.finished = not affordable(position, config)
        if position.finished and (not position.log or position.log[-1]["step"] < position.step):
            validate(run, position, {}, processes)
        save(run, position, processes, kept=config.select == "last")
        if position.finished and processes.rank == 0:
            write_quality(config.folder, run.validation, config.backbone, config.device)
    bar.remove_task(task)
    return position


def gradient_of(run: Run, parameters: Params, episode: Episode) -> Params:
    """The method's gradient. Raises UserError where it cannot work with the protocol's confounders."""
    try:
        return run.method.gradient(run.objective, parameters, episode)
    except ValueError as error:
        raise UserError(f"method: {run.config.method!r} under {run.protocol.name}: {error}") from error


def take_step(run: Run, gradients: Params, lr: float) -> None:
    """One step of the outer optimiser."""
    for name, parameter in parameters_of(run).items():
        parameter.grad = gradients[name]
    for group in run.outer.param_groups:
        group["lr"] = lr
    run.outer.step()


def parameters_of(run: Run) -> dict[str, nn.Parameter]:
    """What is trained, by name."""
    return {name: p for name, p in run.network.named_parameters() if p.requires_grad}


def spent(position: Position, config: TrainConfig) -> float:
    """Gradient evaluations so far: a batch of another size counts in proportion to its images."""
    return position.images / config.batch


def used(position: Position, config: TrainConfig) -> float:
    """What was spent so far, in the budget's own unit."""
    return position.seconds if config.limit.unit == "seconds" else spent(position, config)


def affordable(position: Position, config: TrainConfig) -> bool:
    """Whether one more step, at the mean cost of those taken, stays within the budget."""
    steps, amount = max(position.step, 1), config.limit.amount
    if config.limit.unit == "seconds":
        return position.seconds * (steps + 1) <= amount * steps
    return position.images * (steps + 1) <= amount * config.batch * steps  # whole numbers, no rounding


def due(position: Position, config: TrainConfig) -> bool:
    """Validations stand at equal shares of the budget, wherever a run was stopped and resumed."""
    return used(position, config) >= config.limit.amount * (len(position.log) + 1) / config.validations


def pause(run: Run, position: Position, start: Params, episode: Episode, memory: Memory, processes: Processes) -> None:
    """Diagnose and validate where that is due after a step; neither is part of what the steps take."""
    looks = run.config.diagnose > 0 and position.step % run.config.diagnose == 0
    validates = due(position, run.config)
    if looks or validates:
        position.memory = max(position.memory, memory.peak())
    if looks:
        look(run, position, start, episode)
    if validates:
        validate(run, position, episode.notes, processes)
    if looks or validates:
        memory.restart()


def lr_factor(schedule: str, progress: float) -> float:
    """The share of the learning rate at `progress` in [0, 1] of the budget."""
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 0.5 if schedule == "published" and progress >= 2 / 3 else 1.0


def refuse_unsuitable(run: Run, batch: Batch) -> None:
    """Before the first step: a network that is no function of its input cannot be trained by any method, and one
    that cannot be differentiated twice not by a method of second order."""
    config, parameters = run.config, parameters_of(run)
    try:
        run.objective.check({}, batch)
    except (ValueError, RuntimeError, TypeError) as error:
        raise UserError(f"backbone: {config.backbone!r}: {' '.join(str(error).split())}") from error
    try:
        run.method.check(run.objective, parameters, batch)
    except (ValueError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"method: {config.method!r} with backbone {config.backbone!r}: {reason}") from error


def count(run: Run, position: Position, world: int) -> None:
    """Enter what the step cost. Raises UserError for a loss that is no number, and for a step beyond the budget."""
    tally, run.objective.tally = run.objective.tally, Tally()
    position.step += 1
    position.images += tally.images * world
    position.calls += tally.calls
    position.loss += float(tally.loss)
    if not math.isfinite(position.loss):
        kept = "what was saved before is kept" if position.log else "nothing was saved yet"
        remedy = "lower lr or inner_lr, in a study with another --out"
        raise Diverged(f"lr: {run.config.method} diverged at step {position.step}, {kept}; {remedy}")
    cost = tally.images * world / run.config.batch
    if run.config.limit.unit == "evaluations" and cost > run.config.limit.amount:
        raise UserError(f"budget: {run.config.budget} is below one step of {run.config.method}, which takes {cost:g}")


def look(run: Run, position: Position, start: Params, episode: Episode) -> None:
    """One line that may tell why: of this step's episode, at the weights after it, and no part of the budget."""
    found = diagnose(run.objective, parameters_of(run), start, episode)
    about = {"step": position.step, "evaluations": spent(position, run.config)}
    position.diagnoses.append(about | asdict(found) | episode.notes)


def tested_network(run: Run) -> nn.Module:
    """The network with the weights that stand for the training so far: its own, unless the method averages."""
    parameters = parameters_of(run)
    weights = run.method.weights(parameters)
    if weights is parameters:
        return run.network
    network = deepcopy(run.network)
    network.load_state_dict({name: value.detach() for name, value in weights.items()}, strict=False)
    return network


def validate(run: Run, position: Position, notes: dict[str, float], processes: Processes) -> None:
    """One line of the learning curve, on validation photographs under seen and held-out levels; then save."""
    network = tested_network(run)
    found = run.validation.measure(network, run.config.device) if processes.rank == 0 else {}
    position.log.append(
        {
            "step": position.step,
            "evaluations": spent(position, run.config),
            "seconds": round(position.seconds, 3),
            "waiting": round(position.waiting / position.seconds, 4),
            "loss": position.loss / position.calls if position.calls else None,
            **{f"{split.replace('-', '_')}_psnr": psnr for split, psnr in found.items()},
            **notes,
        }
    )
    position.loss, position.calls = 0.0, 0
    split = CHOSEN_ON.get(run.config.select)
    better = split is None or found.get(split, -math.inf) > position.best
    if split and better:
        position.best = found[split]
    save(run, position, processes, kept=better)


def save(run: Run, position: Position, processes: Processes, kept: bool) -> None:
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
            card = Card.of(config, run.protocol, spent(position, config), run.data, run.photographs)
            save_checkpoint(config.folder / CHECKPOINT, tested_network(run).state_dict(), card)
    save_state(state_file(config.folder, processes.rank), groups, asdict(position))  # last: it says the rest is there


def begin(run: Run, processes: Processes) -> None:
    """Clear what an earlier run left in the folder, and say what this one is."""
    first = [CHECKPOINT, LOG, DIAGNOSES] if processes.rank == 0 else []
    for old in [*first, state_file(run.config.folder, processes.rank).name]:
        (run.config.folder / old).unlink(missing_ok=True)
    if processes.rank == 0:
        save_config(run.config.folder / CONFIG, run.config)


def load(run: Run, processes: Processes) -> Position:
    """Put network, optimisers and method back to where `save` left them."""
    path = state_file(run.config.folder, processes.rank)
    groups, facts = load_state(path)
    try:
        run.network.load_state_dict(groups["network"])
        load_optimiser(run.outer, groups.get("outer", {}))
        run.method.load_state_dict({name: v.to(run.config.device) for name, v in groups.get("method", {}).items()})
        position = Position(**facts)
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
    if processes.any(position.step != processes.least(position.step)):
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


def position_of(folder: Path) -> Position:
    """How far the run in a folder has come. Raises UserError for a damaged state, and for one of another version."""
    path = state_file(folder, 0)
    try:
        return Position(**load_state(path)[1])
    except TypeError as error:
        raise UserError(f"{path}: not the state of a run of unseen {__version__}") from error
