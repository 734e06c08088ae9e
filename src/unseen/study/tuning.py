"""Settings by trial: as many for every method, judged on held-out levels of photographs of the training side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from ..core.config import slug
from ..core.errors import UserError
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
"""What the seed of the trials lies above the study's first: its runs are fresh."""
AROUND = 3.0
"""The outer learning rate is tried up to so many times higher and lower than it was given."""


@dataclass(frozen=True)
class Trial:
    """One setting of one entry of a study, and the held-out PSNR in dB that it reached; nan if it diverged."""

    entry: str
    number: Whole
    spec: str
    lr: Finite
    seed: Whole
    held_out_psnr: Number


def candidates(entry: Entry, count: int, seed: int) -> list[Entry]:
    """So many settings of one entry: first those that it came with, then draws from the ranges that its method states.

    Settings that were given are kept. The learning rate is drawn for every method.
    """
    method = build(entry.method, METHODS, "methods", Method)
    ranges: Mapping[str, SearchRange] = method.ranges
    if odd := [name for name, found in ranges.items() if not hasattr(found, "draw")]:
        raise UserError(
            f"methods: {entry.method}: ranges: {odd[0]} is neither LogUniform nor Uniform "
            "of unseen.methods.search_space"
        )
    free = {name: ranges[name] for name in ranges if name not in settings_of(entry.method, METHODS, "methods")}
    found = [entry]
    for number in range(1, count):
        draws = generator(seed, "tuning", entry.name, number)
        lr = float(f"{LogUniform(entry.lr / AROUND, entry.lr * AROUND).draw(draws):.3g}")
        drawn = [f"{name}={free[name].draw(draws):.3g}" for name in sorted(free)]
        sign = "," if ":" in entry.method else ":"
        found.append(replace(entry, lr=lr, spec=entry.method + (sign + ",".join(drawn) if drawn else "")))
    return found


def tuned(config: CompareConfig, entries: Sequence[Entry], stop: Event) -> list[Entry]:
    """Every entry with the best of its `config.tune` settings; fewer entries if `stop` was set.

    Trials are trained under OUT/tuning, with a seed that no run of the study has. Those that were finished, or whose
    line stands in tuning.jsonl, are not trained again. Raises UserError where no setting of an entry could be trained.
    """
    seed, out = config.seed + APART, Path(config.out)
    known_trials = {(t.entry, t.spec, t.lr, t.seed): t for t in read_trials(out / TRIALS)}
    chosen: list[Entry] = []
    for entry in entries:
        own: list[tuple[Trial, Entry]] = []
        for number, candidate in enumerate(candidates(entry, config.tune, config.seed)):
            key = (entry.name, candidate.spec, candidate.lr, seed)
            if key in known_trials:
                advance_collected(config.limit.amount)
            else:
                folder = out / "tuning" / f"{slug(entry.name)}-{number}"
                run = replace(config.run(candidate, seed), out=str(folder))
                found = _held_out_psnr(run, stop)
                if stop.is_set():
                    return chosen
                known_trials[key] = Trial(entry.name, number, candidate.spec, candidate.lr, seed, found)
                write_trials(out / TRIALS, list(known_trials.values()))
            own.append((known_trials[key], candidate))
        sound = [pair for pair in own if not math.isnan(pair[0].held_out_psnr)]
        if not sound:
            raise UserError(f"methods: {entry.name}: every one of {len(own)} settings diverged; give a lower lr")
        chosen.append(max(sound, key=lambda pair: pair[0].held_out_psnr)[1])
    return chosen


def _held_out_psnr(run: TrainConfig, stop: Event) -> float:
    """What the kept weights of a trial reach; nan if it diverged, or was stopped."""
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
    kept = log[-1] if split is None else max(log, key=lambda line: line[f"{split.replace('-', '_')}_psnr"])
    return float(kept["held_out_psnr"])


def write_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Write trials as JSON lines, atomically; nan becomes null. Raises UserError where the file cannot be written."""
    write_lines(path, trials)


def read_trials(path: Path) -> list[Trial]:
    """Read what `write_trials` wrote, nothing where the file is missing. Raises UserError naming line and field."""
    return read_lines(path, Trial, hint="remove the line, and the trial is made again") if path.exists() else []
