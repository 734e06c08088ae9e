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


def tuned(config: CompareConfig, entries: Sequence[Entry], stop: Event) -> list[Entry]:
    """Choose the best of `config.tune` settings for every entry.

    Trials are trained under OUT/tuning, with a seed that no run of the study has. Those that were finished, or that
    stand in tuning.jsonl, are not trained again.

    Args:
        config: the options of the study.
        entries: the entries as they are configured.
        stop: once set, the tuning ends after the current step.

    Returns:
        The entries with their best settings; fewer if `stop` was set.

    Raises:
        UserError: if no setting of an entry could be trained.
    """
    seed, out = config.seed + APART, Path(config.out)
    trials = {(t.entry, t.spec, t.lr, t.seed): t for t in read_trials(out / TRIALS)}
    chosen: list[Entry] = []
    for entry in entries:
        own: list[tuple[Trial, Entry]] = []
        for number, candidate in enumerate(candidates(entry, config.tune, config.seed)):
            key = (entry.name, candidate.spec, candidate.lr, seed)
            if key in trials:
                advance_collected(config.limit.amount)
            else:
                folder = out / "tuning" / f"{slug(entry.name)}-{number}"
                run = replace(config.run(candidate, seed), out=str(folder))
                with sole_use(run.folder, "unseen compare"):
                    psnr = _held_out_psnr(run, stop)
                if stop.is_set():
                    return chosen
                trials[key] = Trial(entry.name, number, candidate.spec, candidate.lr, seed, psnr)
                write_trials(out / TRIALS, list(trials.values()))
            own.append((trials[key], candidate))
        sound = [pair for pair in own if not math.isnan(pair[0].held_out_psnr)]
        if not sound:
            raise UserError(f"methods: {entry.name}: every one of {len(own)} settings diverged; give a lower lr")
        chosen.append(max(sound, key=lambda pair: pair[0].held_out_psnr)[1])
    return chosen


def _held_out_psnr(run: TrainConfig, stop: Event) -> float:
    """The held-out PSNR of the kept weights of a trial, dB; nan if it diverged, or was stopped."""
    begun = is_of(run)
    try:
        if not (begun and is_finished(run.folder)):
            train(run, stop, resume=begun)
    except Diverged:
        return math.nan
    if stop.is_set():
        return math.nan
    log = state_of(run.folder).log
    split = CHOSEN_ON.get(run.select)
    kept = log[-1] if split is None else max(log, key=lambda validation: validation[f"{split.replace('-', '_')}_psnr"])
    return float(kept["held_out_psnr"])


def write_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Write trials as JSON lines, atomically; nan becomes null. Raises UserError where the file cannot be written."""
    write_lines(path, trials)


def read_trials(path: Path) -> list[Trial]:
    """Read the trials of a file, none where it is missing. Raises UserError naming file, line and field."""
    return read_lines(path, Trial, hint="remove the line, and the trial is made again") if path.exists() else []
