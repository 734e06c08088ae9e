"""Tuning by trial: the same number of settings for every method, judged on held-out levels of training photographs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from ..core.config import slug
from ..core.errors import UserError
from ..core.folder_lock import sole_use
from ..core.jsonl import Finite, Number, Whole, read_lines, write_lines
from ..core.progress import advance_collected
from ..core.randomness import generator
from ..core.registry import build, settings_of
from ..methods import METHODS, Method
from ..methods.search_space import LogUniform, SearchRange
from ..training.config import CHOSEN_ON, TrainConfig
from ..training.loop import train
from ..training.state import Diverged, is_finished, is_of, state_of
from .config import CompareConfig, Entry
from .executors.executor import Executor
from .plan import StudyPlan

TRIALS = "tuning.jsonl"
APART = 1_000_000
"""Difference between the seed of the trials and the study's first seed, so that no run repeats a trial."""
AROUND = 3.0
"""The outer learning rate is tried up to this factor higher and lower than the configured one."""


@dataclass(frozen=True)
class Trial:
    """One setting of one entry of a study, and the quality that it reached.

    Attributes:
        entry: name of the entry.
        number: number of the setting; 0 for the entry's own.
        spec: the method with its settings.
        lr: the outer learning rate.
        seed: seed of the training.
        held_out_psnr: mean PSNR on held-out levels, dB; nan if the training diverged.
    """

    entry: str
    number: Whole
    spec: str
    lr: Finite
    seed: Whole
    held_out_psnr: Number


def candidates(entry: Entry, count: int, seed: int) -> list[Entry]:
    """Draw settings of one entry from the ranges that its method states; its own settings come first.

    Settings in the entry's method are kept. The learning rate is drawn for every method.

    Args:
        entry: the entry as it is configured.
        count: number of settings, the entry's own included.
        seed: seed of the draws.

    Raises:
        UserError: if a range of the method cannot be drawn from.
    """
    method = build(entry.method, METHODS, "methods", Method)
    ranges: Mapping[str, SearchRange] = method.ranges
    if odd := [name for name, values in ranges.items() if not hasattr(values, "draw")]:
        raise UserError(
            f"methods: {entry.method}: ranges: {odd[0]} is neither LogUniform nor Uniform "
            "of unseen.methods.search_space"
        )
    free = {name: ranges[name] for name in ranges if name not in settings_of(entry.method, METHODS, "methods", Method)}
    settings = [entry]
    for number in range(1, count):
        draws = generator(seed, "tuning", entry.name, number)
        lr = float(f"{LogUniform(entry.lr / AROUND, entry.lr * AROUND).draw(draws):.3g}")
        drawn = [f"{name}={free[name].draw(draws):.3g}" for name in sorted(free)]
        sign = "," if ":" in entry.method else ":"
        settings.append(replace(entry, lr=lr, spec=entry.method + (sign + ",".join(drawn) if drawn else "")))
    return settings


@dataclass(frozen=True)
class TrialJob:
    """The training of one setting.

    Attributes:
        entry: the name of the entry.
        number: the number of the setting.
        candidate: the entry with the setting.
        training: the configuration of the training.
    """

    entry: str
    number: int
    candidate: Entry
    training: TrainConfig

    @property
    def name(self) -> str:
        """The folder of the trial, for messages."""
        return self.training.folder.name

    @property
    def key(self) -> tuple[str, str, float, int]:
        """What the trial is of: entry, method with settings, learning rate, seed."""
        return self.entry, self.candidate.spec, self.candidate.lr, self.training.seed

    def carry_out(self, plan: StudyPlan, stop: Event) -> Trial | None:
        """Train the network, and judge its kept weights; None if `stop` was set before."""
        run = self.training
        with sole_use(run.folder, "unseen compare"):
            try:
                if not (is_of(run) and is_finished(run.folder)):
                    train(run, stop, resume=is_of(run), data=plan.training_data[self.entry])
            except Diverged:
                return self._trial(math.nan)
            return None if stop.is_set() else self._trial(_held_out_psnr(run))

    def _trial(self, psnr: float) -> Trial:
        return Trial(self.entry, self.number, self.candidate.spec, self.candidate.lr, self.training.seed, psnr)


def tuned(config: CompareConfig, entries: Sequence[Entry], executor: Executor) -> list[Entry]:
    """Choose the best of `config.tune` settings for every entry.

    Trials are trained under OUT/tuning, with a seed that no run of the study has. Those that were finished, or that
    stand in tuning.jsonl, are not trained again.

    Args:
        config: the options of the study.
        entries: the entries as they are configured.
        executor: the processes that train.

    Returns:
        The entries with their best settings; those alone whose trials are finished, where the executor was stopped.

    Raises:
        UserError: if no setting of an entry could be trained.
    """
    file = Path(config.out) / TRIALS
    jobs = {entry.name: _trials_of(config, entry) for entry in entries}
    place = {job.key: i for i, job in enumerate(job for own in jobs.values() for job in own)}
    trials = {(t.entry, t.spec, t.lr, t.seed): t for t in read_trials(file)}
    untried = [job for own in jobs.values() for job in own if job.key not in trials]
    advance_collected((len(place) - len(untried)) * config.limit.amount)
    for trial in executor.carry_out(untried):
        if trial is not None:
            trials[trial.entry, trial.spec, trial.lr, trial.seed] = trial
            write_trials(file, [trials[key] for key in sorted(trials, key=lambda key: place.get(key, -1))])
            _best(jobs[trial.entry], trials)
    chosen = [_best(jobs[entry.name], trials) for entry in entries]
    return [entry for entry in chosen if entry is not None]


def _trials_of(config: CompareConfig, entry: Entry) -> list[TrialJob]:
    """The trials of one entry."""
    seed = config.seed + APART
    config = replace(config, keep=0, keep_spacing="even")
    folders = f"{config.out}/tuning/{slug(entry.name)}"
    return [
        TrialJob(entry.name, number, candidate, replace(config.run(candidate, seed), out=f"{folders}-{number}"))
        for number, candidate in enumerate(candidates(entry, config.tune, config.seed))
    ]


def _best(jobs: Sequence[TrialJob], trials: Mapping[tuple[str, str, float, int], Trial]) -> Entry | None:
    """The best setting of one entry; None while some of its trials are missing.

    Raises:
        UserError: if all of them diverged.
    """
    if any(job.key not in trials for job in jobs):
        return None
    psnr = {job.number: trials[job.key].held_out_psnr for job in jobs}
    sound = [job for job in jobs if not math.isnan(psnr[job.number])]
    if not sound:
        raise UserError(f"methods: {jobs[0].entry}: every one of {len(jobs)} settings diverged; give a lower lr")
    return max(sound, key=lambda job: psnr[job.number]).candidate


def _held_out_psnr(run: TrainConfig) -> float:
    """The held-out PSNR of the kept weights of a finished trial, dB."""
    log = state_of(run.folder).log
    split = CHOSEN_ON.get(build(run.method, METHODS, "methods", Method).select or run.select)
    kept = log[-1] if split is None else max(log, key=lambda validation: validation[f"{split.replace('-', '_')}_psnr"])
    return float(kept["held_out_psnr"])


def write_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Write trials as JSON lines, atomically; nan becomes null. Raises UserError where the file cannot be written."""
    write_lines(path, trials)


def read_trials(path: Path) -> list[Trial]:
    """Read the trials of a file, none where it is missing. Raises UserError naming file, line and field."""
    return read_lines(path, Trial, hint="remove the line, and the trial is made again") if path.exists() else []
