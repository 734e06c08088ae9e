"""The whole of training: photographs, episodes, gradients, steps, validation, checkpoints."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import torch
from rich.progress import Progress, TaskID
from torch import nn

from . import __version__
from .backbones import BACKBONES
from .checkpoints import (
    CHECKPOINT,
    Card,
    load_optimiser,
    load_state,
    optimiser_tensors,
    save_checkpoint,
    save_state,
)
from .config import Recipe, TrainConfig, save_config
from .confounders import Confounder, Recorded, draw_episode
from .data.patches import Patches
from .data.photographs import Photo
from .data.sources import Clean, recorded_pairs, training_photos, without
from .errors import UserError
from .evaluation import Validation, on_device
from .files import write_text
from .methods import METHODS, Batch, Method, Objective, objective_for
from .methods.objective import Tally
from .parts import build
from .processes import Processes, joined
from .protocols import Protocol, load_protocol
from .randomness import derive
from .rows import Split
from .summary import is_ceiling

CONFIG = "config.yaml"
LOG = "log.jsonl"


@dataclass
class Position:
    """How far a run has come: all of it that is not a tensor, and where `--resume` goes on."""

    step: int = 0
    images: int = 0  # gradient evaluations times the batch size
    seconds: float = 0.0
    waiting: float = 0.0  # seconds of these in which images were drawn and distorted, and nothing learned
    loss: float = 0.0  # sum and count since the last validation
    calls: int = 0
    best: float = -math.inf
    finished: bool = False
    processes: int = 1
    protocol: str = ""  # its hash
    data: str = ""  # the digest of the photographs
    log: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Material:
    """What a method learns from under a protocol: clean photographs, and recorded pairs by the name of their set."""

    clean: Clean
    pairs: dict[str, Clean]
    trained: tuple[Confounder, ...]

    @classmethod
    def of(cls, config: Recipe, protocol: Protocol, method: Method) -> Material:
        """Raises UserError, naming the field, for folders that cannot be used, and for pairs that are not given."""
        trained = protocol.training_confounders(method.sees_unseen)
        wanted = dict.fromkeys(c.degree for c in (*trained, *protocol.held_out) if isinstance(c, Recorded))
        known = protocol.recorded()
        pairs = recorded_pairs(config.pairs, list(wanted), known, protocol.scale, protocol.enlarged_by)
        clean = training_photos(config.data)
        held = [photo for part in (clean, *pairs.values()) for photo in part.validation]
        apart = {name: replace(part, train=without(part.train, held)) for name, part in pairs.items()}
        return cls(replace(clean, train=without(clean.train, held)), apart, trained)

    def parts(self) -> list[Clean]:
        return [self.clean, *self.pairs.values()]

    def photos(self) -> list[Photo]:
        """All that is trained or validated on."""
        return [photo for part in self.parts() for photo in (*part.train, *part.validation)]

    def digest(self) -> str:
        """Changes with any photograph, its name, or its side of the split."""
        return "-".join(part.digest() for part in self.parts())

    def confounders(self, patch: int) -> tuple[Confounder, ...]:
        """Those that are trained on, the recorded ones with their patches."""
        return tuple(
            replace(c, patches=Patches(self.pairs[c.degree].train, patch)) if isinstance(c, Recorded) else c
            for c in self.trained
        )


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
                material.clean.validation, {name: p.validation for name, p in material.pairs.items()}, protocol
            ),
            data=material.digest(),
            skipped=[f"{skipped.name}: {skipped.reason}" for part in material.parts() for skipped in part.skipped],
        )


def protocol_of(config: Recipe) -> Protocol:
    """The protocol that a recipe names; enlarged beforehand where it says so."""
    protocol = load_protocol(config.protocol)
    return protocol.enlarged() if config.enlarge else protocol


def train(
    config: TrainConfig, stop: Event, bar: Progress, *, resume: bool = False, whole: TaskID | None = None
) -> Position:
    """Train one network by one method under one protocol, into `config.folder`.

    The folder receives config.yaml, checkpoint.safetensors (weights and card), resume.safetensors and
    log.jsonl, each whole or not at all. Setting `stop` ends the run after the step in hand, all saved.
    With `resume` it goes on as if it had never stopped, bit for bit on the same machine: every random
    draw descends from (seed, purpose, rank, step), and all else is in resume.safetensors.
    `whole` is a bar of all runs together, if this is one of several.
    Raises UserError for whatever the configuration names that cannot be used, and for a run that diverges.
    """
    run = Run.of(config)
    for skipped in run.skipped:
        bar.console.print(f"skipped {skipped}", markup=False, highlight=False)
    device = torch.device(config.device)
    parameters = {name: p for name, p in run.network.named_parameters() if p.requires_grad}
    with joined(config.device) as processes:
        new = Position(processes=processes.world, protocol=run.protocol.hash(), data=run.data)
        position = load(run, processes) if resume else new
        task = bar.add_task(f"{config.method}, seed {config.seed}", total=config.budget)
        bars = [task] if whole is None else [task, whole]
        for shown in bars:
            bar.advance(shown, spent(position, config))
        while affordable(position, config) and not processes.any(stop.is_set()):
            started = time.perf_counter()
            key = (config.seed, processes.rank, position.step)
            episode = draw_episode(run.confounders, run.patches, config.batch, config.content, key, device)
            episode.progress = spent(position, config) / config.budget
            if position.step == 0:
                refuse_unsuitable(run, episode.query)

            gradients = processes.average(run.method.gradient(run.objective, parameters, episode))
            for name, parameter in parameters.items():
                parameter.grad = gradients[name]
            for group in run.outer.param_groups:
                group["lr"] = config.lr * lr_factor(config.schedule, episode.progress)
            run.outer.step()

            cost = count(run, position, processes.world)
            if position.step == 1:  # not before: what is refused leaves an earlier run as it was
                begin(run, processes)
            position.waiting += episode.seconds
            position.seconds += time.perf_counter() - started
            for shown in bars:
                bar.advance(shown, cost)
            if due(position, config):
                validate(run, position, episode.notes, processes)
        if position.step == 0:
            begin(run, processes)
        position.finished = not affordable(position, config)
        if position.finished and (not position.log or position.log[-1]["step"] < position.step):
            validate(run, position, {}, processes)
        save(run, position, processes)
    bar.remove_task(task)
    return position


def spent(position: Position, config: TrainConfig) -> float:
    """Gradient evaluations so far: a batch of another size counts in proportion to its images."""
    return position.images / config.batch


def affordable(position: Position, config: TrainConfig) -> bool:
    """Whether one more step, at the mean cost of those taken, stays within the budget."""
    steps = max(position.step, 1)
    return position.images * (steps + 1) <= config.budget * config.batch * steps  # whole numbers, no rounding


def due(position: Position, config: TrainConfig) -> bool:
    """Validations stand at equal shares of the budget, wherever a run was stopped and resumed."""
    return spent(position, config) >= config.budget * (len(position.log) + 1) / config.validations


def lr_factor(schedule: str, progress: float) -> float:
    """The share of the learning rate at `progress` in [0, 1] of the budget."""
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 0.5 if schedule == "published" and progress >= 2 / 3 else 1.0


def refuse_unsuitable(run: Run, batch: Batch) -> None:
    """Before the first step: a network that is no function of its input cannot be trained by any method, and one
    that cannot be differentiated twice not by a method of second order."""
    config, parameters = run.config, {name: p for name, p in run.network.named_parameters() if p.requires_grad}
    try:
        run.objective.check({}, batch)
    except (ValueError, RuntimeError, TypeError) as error:
        raise UserError(f"backbone: {config.backbone!r}: {' '.join(str(error).split())}") from error
    try:
        run.method.check(run.objective, parameters, batch)
    except (ValueError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"method: {config.method!r} with backbone {config.backbone!r}: {reason}") from error


def count(run: Run, position: Position, world: int) -> float:
    """Enter what the step cost; returns it in gradient evaluations. Raises UserError for a loss that is no number."""
    tally, run.objective.tally = run.objective.tally, Tally()
    position.step += 1
    position.images += tally.images * world
    position.calls += tally.calls
    position.loss += float(tally.loss)
    if not math.isfinite(position.loss):
        kept = "what was saved before is kept" if position.log else "nothing was saved yet"
        raise UserError(f"lr: {run.config.method} diverged at step {position.step}, {kept}; lower lr or inner_lr")
    cost = tally.images * world / run.config.batch
    if cost > run.config.budget:
        raise UserError(f"budget: {run.config.budget} is below one step of {run.config.method}, which takes {cost:g}")
    return cost


def validate(run: Run, position: Position, notes: dict[str, float], processes: Processes) -> None:
    """One line of the learning curve, on validation photographs under seen and held-out levels; then save."""
    found = run.validation.measure(run.network, run.config.device) if processes.rank == 0 else {}
    position.log.append(
        {
            "step": position.step,
            "evaluations": spent(position, run.config),
            "seconds": round(position.seconds, 3),
            "waiting": round(position.waiting / position.seconds, 4),
            "loss": position.loss / position.calls if position.calls else None,
            "seen_psnr": found.get("seen"),
            "held_out_psnr": found.get("held-out"),
            **notes,
        }
    )
    position.loss, position.calls = 0.0, 0
    save(run, position, processes, found)


def save(run: Run, position: Position, processes: Processes, found: dict[Split, float] | None = None) -> None:
    """Everything a stop must leave behind. Each process saves its own state; the first one, the rest."""
    config, weights = run.config, run.network.state_dict()
    better = found is not None and found.get("held-out", -math.inf) > position.best
    position.best = found["held-out"] if found and better else position.best
    groups = {"network": weights, "outer": optimiser_tensors(run.outer), "method": run.method.state_dict()}
    if processes.rank == 0:
        write_text(config.folder / LOG, "".join(json.dumps(line) + "\n" for line in position.log))
        if config.select == "last" or better or not (config.folder / CHECKPOINT).exists():
            card = Card(__version__, asdict(config), run.protocol.hash(), spent(position, config), run.data)
            save_checkpoint(config.folder / CHECKPOINT, weights, card)
    save_state(state_file(config.folder, processes.rank), groups, asdict(position))  # last: it says the rest is there


def begin(run: Run, processes: Processes) -> None:
    """Clear what an earlier run left in the folder, and say what this one is."""
    first = [CHECKPOINT, LOG] if processes.rank == 0 else []
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
    path = state_file(folder, 0)
    return path.exists() and bool(load_state(path)[1].get("finished"))
