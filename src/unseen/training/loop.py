"""The whole of training: photographs, episodes, gradients, steps, validation, checkpoints."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from threading import Event

import torch
from rich.progress import Progress, TaskID

from ..core.errors import UserError
from ..core.memory import Memory
from ..methods import Episode, Params
from ..methods.objective import Tally
from .config import CHOSEN_ON, TrainConfig
from .diagnostics import diagnose
from .distributed import Processes, process_group
from .episodes import draw_episode
from .run import TrainingRun, parameters_of, refuse_unsuitable, tested_network
from .state import TrainingState, affordable, begin, load, save, spent, used
from .validation import write_quality


class Diverged(UserError):  # noqa: N818 (a state of affairs, as in `except Diverged`)
    """A loss that is infinite, or no number."""


def train(
    config: TrainConfig, stop: Event, bar: Progress, *, resume: bool = False, whole: TaskID | None = None
) -> TrainingState:
    """Train one network by one method under one protocol, into `config.folder`.

    The folder receives config.yaml, checkpoint.safetensors (weights and card), resume.safetensors and
    log.jsonl, each whole or not at all. Setting `stop` ends the run after the step in hand, all saved.
    With `resume` it goes on as if it had never stopped, bit for bit on the same machine: every random
    draw descends from (seed, purpose, rank, step), and all else is in resume.safetensors. (Under a budget of time
    the learning rate follows the clock, and two runs are never quite alike.)
    `whole` is a bar of all runs together, if this is one of several.
    Raises UserError for whatever the configuration names that cannot be used, and for a run that diverges.
    """
    run = TrainingRun.of(config)
    for skipped in run.skipped:
        bar.console.print(f"skipped {skipped}", markup=False, highlight=False)
    device = torch.device(config.device)
    parameters = parameters_of(run)
    start = {name: p.detach().clone() for name, p in parameters.items()}
    memory = Memory(device)
    with process_group(config.device) as processes:
        new = TrainingState(processes=processes.world, protocol=run.protocol.hash(), data=run.data)
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
            position.seconds += processes.max(time.perf_counter() - started)
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


def gradient_of(run: TrainingRun, parameters: Params, episode: Episode) -> Params:
    """The method's gradient. Raises UserError where it cannot work with the protocol's confounders."""
    try:
        return run.method.gradient(run.objective, parameters, episode)
    except ValueError as error:
        raise UserError(f"method: {run.config.method!r} under {run.protocol.name}: {error}") from error


def take_step(run: TrainingRun, gradients: Params, lr: float) -> None:
    """One step of the outer optimiser."""
    for name, parameter in parameters_of(run).items():
        parameter.grad = gradients[name]
    for group in run.outer.param_groups:
        group["lr"] = lr
    run.outer.step()


def due(position: TrainingState, config: TrainConfig) -> bool:
    """Validations stand at equal shares of the budget, wherever a run was stopped and resumed."""
    return used(position, config) >= config.limit.amount * (len(position.log) + 1) / config.validations


def pause(
    run: TrainingRun, position: TrainingState, start: Params, episode: Episode, memory: Memory, processes: Processes
) -> None:
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


def count(run: TrainingRun, position: TrainingState, world: int) -> None:
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


def look(run: TrainingRun, position: TrainingState, start: Params, episode: Episode) -> None:
    """One line that may tell why: of this step's episode, at the weights after it, and no part of the budget."""
    found = diagnose(run.objective, parameters_of(run), start, episode)
    about = {"step": position.step, "evaluations": spent(position, run.config)}
    position.diagnoses.append(about | asdict(found) | episode.notes)


def validate(run: TrainingRun, position: TrainingState, notes: dict[str, float], processes: Processes) -> None:
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
