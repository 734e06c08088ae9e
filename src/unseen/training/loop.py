"""The training loop: draw an episode, take the method's gradient, step, observe, until the budget is spent."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path
from threading import Event

from ..core.errors import UserError, one_line
from ..core.progress import task
from ..methods import Episode, Params
from .config import TrainConfig
from .distributed import StepReport, process_group
from .journal import Journal
from .observer import Observer
from .out_of_memory import memory_advice
from .outer_step import lr_factor, take_step
from .provenance import require_same
from .run import TrainingRun, refuse_unsuitable
from .state import TrainingState, load_run, new_state
from .training_data import TrainingData


def train(
    config: TrainConfig,
    stop: Event,
    *,
    resume: bool = False,
    data: TrainingData | None = None,
    origins: Sequence[Path] = (),
) -> TrainingState:
    """Train one network by one method under one protocol, into `config.folder`: all steps of `training`.

    Args:
        config: the options of the training; `device` and `threads` resolved.
        stop: once set, the training ends after the current step, with everything saved.
        resume: whether to go on from the state in the folder.
        data: the data that the options name, where it is loaded already.
        origins: folders of runs that this one repeats, as far as it names the same protocol and photographs.

    Returns:
        The state at the end: the amount spent, the learning curve, and whether the whole budget is spent.

    Raises:
        UserError: something that the configuration names cannot be used.
        Diverged: the loss became infinite or NaN.
    """
    return deque(training(config, stop, resume=resume, data=data, origins=origins), maxlen=1).pop()


def training(
    config: TrainConfig,
    stop: Event,
    *,
    resume: bool = False,
    data: TrainingData | None = None,
    origins: Sequence[Path] = (),
) -> Generator[TrainingState, None, None]:
    """Train as `train` does, and hand the state out after every step.

    The folder receives config.yaml, protocol.yaml and provenance.json, by which the training can be repeated,
    checkpoint.safetensors (weights and card), resume.safetensors and log.jsonl, each whole or not at all.

    A resumed training equals one that never stopped, bit for bit on the same machine: every random draw descends from
    (seed, purpose, rank, step), and all else is in resume.safetensors. Under a budget of time the learning rate follows
    the clock, and two trainings are never quite alike.

    Args:
        config: the options of the training; `device` and `threads` resolved.
        stop: once set, the training ends after the current step, with everything saved.
        resume: whether to go on from the state in the folder.
        data: the data that the options name, where it is loaded already.
        origins: folders of runs that this one repeats, as far as it names the same protocol and photographs.

    Yields:
        The state, after every step, and once more when everything is saved.

    Raises:
        UserError: something that the configuration names cannot be used.
        Diverged: the loss became infinite or NaN.
    """
    title, limit = f"{config.method}, seed {config.seed}", config.limit
    unit = " s" if limit.unit == "seconds" else ""
    with process_group(config.device) as ranks:
        run = TrainingRun.of(config, ranks, data)
        for folder in origins:
            require_same(run, folder)
        with task(title, limit.amount, counts=True, unit=unit) as bar:
            state = load_run(run) if resume else new_state(run)
            if state.step == 0:
                refuse_unsuitable(run, next_episode(run, state).query)
            observer = Observer(run, state, Journal(run, state, bar) if ranks.rank == 0 else None)
            bar.skip(state.budget_spent(config))
            state.stopping = ranks.any(stop.is_set())
            while not state.stopping and state.affords_a_step(config):
                with state.clock, memory_advice(config, run.method):
                    episode = next_episode(run, state)
                    gradient = gradient_of(run, episode)
                    tally = run.objective.take_tally()
                    report = StepReport(stop.is_set(), state.clock.lap(), episode.seconds, tally.loss)
                    gradient, report = ranks.agree(gradient, report, exact=run.exact)
                    lr = config.lr * run.method.lr_share * lr_factor(config.schedule, episode.progress, config.warmup)
                    clipped = take_step(run, gradient, lr)
                    state.account(config, tally, report, ranks.world, clipped)
                bar.set(state.budget_spent(config))
                observer.after_step(episode)
                yield state
            observer.finish()
    yield state


def next_episode(run: TrainingRun, state: TrainingState) -> Episode:
    """Draw the episode of the coming step; a second draw gives the same episode."""
    progress = state.budget_spent(run.config) / run.config.limit.amount
    rank = 0 if run.exact else run.ranks.rank
    return run.engine.episode((run.config.seed, rank, state.step), progress)


def gradient_of(run: TrainingRun, episode: Episode) -> Params:
    """The method's gradient at the network's parameters, by parameter name.

    Raises:
        UserError: the method cannot work with the protocol's confounders.
    """
    try:
        return run.engine.gradient(episode)
    except ValueError as error:
        raise UserError(f"method: {run.config.method!r} under {run.protocol.name}: {one_line(error)}") from error
