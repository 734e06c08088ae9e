"""`python -m torture`: campaigns at random for as long as was asked; a table, and each failure with its command."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from random import Random

from .campaigns import CAMPAIGNS, Campaign, Trial, trial_here

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- written by make torture -->", "<!-- end of what make torture writes -->"


@dataclass
class Tally:
    """What one campaign has done so far.

    Attributes:
        trials: number of trials.
        commands: number of commands.
        cpu: seconds of processor time of the commands.
        seconds: seconds of the trials.
        failures: the trials that failed.
        skipped: why the campaign cannot be run here; empty if it can.
    """

    trials: int = 0
    commands: int = 0
    cpu: float = 0.0
    seconds: float = 0.0
    failures: list[Trial] = field(default_factory=list)
    skipped: str = ""


def run_campaigns(names: list[str], minutes: float, seed: int, jobs: int) -> dict[str, Tally]:
    """Run trials until the time is over, each campaign by its share of it.

    Args:
        names: the campaigns.
        minutes: how long.
        seed: the seed from which that of every trial is drawn.
        jobs: processes at a time.
    """
    tallies = {name: Tally(skipped=CAMPAIGNS[name].impossible()) for name in names}
    seeds = {name: Random(f"{seed} {name}") for name in names}
    end, busy = time.monotonic() + 60 * minutes, Counter[str]()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        running: dict[Future[Trial], str] = {}
        while True:
            possible = [name for name in names if not tallies[name].skipped]
            while possible and len(running) < jobs and time.monotonic() < end:
                name = min(possible, key=lambda name: _share(tallies[name], busy[name], CAMPAIGNS[name]))
                running[pool.submit(trial_here, name, seeds[name].randrange(10**9))] = name
                busy[name] += 1
            if not running:
                return tallies
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(done)
                busy[name] -= 1
                _count(tallies[name], done.result())


def _share(tally: Tally, running: int, campaign: Campaign) -> float:
    """How much of its share of the time a campaign has had."""
    mean = tally.seconds / tally.trials if tally.trials else 1.0
    return (tally.seconds + running * mean) / campaign.share


def _count(tally: Tally, trial: Trial) -> None:
    tally.trials += 1
    tally.commands += trial.commands
    tally.cpu += trial.cpu
    tally.seconds += trial.seconds
    if trial.fault:
        tally.failures.append(trial)
        print(f"FAILED {trial.name}: {trial.fault}\n    again: {trial.again}", flush=True)


def table(tallies: dict[str, Tally], seed: int, seconds: float) -> str:
    """The result as a table in Markdown."""
    rows = ["| what was tried | trials | commands | processor, s | failed |", "| :--- | ---: | ---: | ---: | ---: |"]
    for name, tally in tallies.items():
        about = CAMPAIGNS[name].about
        failed = "not run: " + tally.skipped if tally.skipped else str(len(tally.failures))
        rows.append(f"| {about} | {tally.trials:,} | {tally.commands:,} | {tally.cpu:,.0f} | {failed} |")
    trials, commands, cpu, failed = (
        sum(values)
        for values in zip(
            *((tally.trials, tally.commands, tally.cpu, len(tally.failures)) for tally in tallies.values()), strict=True
        )
    )
    rows.append(f"| together | {trials:,} | {commands:,} | {cpu:,.0f} | {failed} |")
    command = f"make torture ARGS='--seed {seed}'"
    note = f"{date.today()}, {seconds / 60:.0f} minutes, `{command}`, Linux, {os.cpu_count()} cores."
    return "\n".join([note, "", *rows])


def main() -> int:
    """Run the campaigns that the command line asks for."""
    parser = argparse.ArgumentParser(prog="make torture ARGS=…", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the whole run; drawn and printed if left out")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at a time (cores)")
    parser.add_argument(
        "--only", nargs="+", choices=list(CAMPAIGNS), default=list(CAMPAIGNS), help="only these campaigns"
    )
    parser.add_argument("--again", nargs=2, metavar=("CAMPAIGN", "SEED"), help="run one trial again, alone")
    parser.add_argument("--write-docs", action="store_true", help=f"write the table into {DOCUMENT.relative_to(ROOT)}")
    options = parser.parse_args()
    if options.again:
        trial = trial_here(options.again[0], int(options.again[1]))
        print(trial.fault or "nothing is wrong", trial.printed, sep="\n")
        return bool(trial.fault)
    seed = Random().randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}, {options.minutes:g} minutes, {options.jobs} processes", flush=True)
    started = time.monotonic()
    tallies = run_campaigns(options.only, options.minutes, seed, options.jobs)
    result = table(tallies, seed, time.monotonic() - started)
    print(result)
    for fault, count in Counter(_kind(trial) for tally in tallies.values() for trial in tally.failures).most_common():
        print(f"{count:4} × {fault}")
    if options.write_docs:
        text = DOCUMENT.read_text("utf-8")
        pattern = f"(?s)(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})"
        DOCUMENT.write_text(re.sub(pattern, lambda _: f"\n{result}\n\n", text), "utf-8")
    return any(tally.failures for tally in tallies.values())


def _kind(trial: Trial) -> str:
    """The fault without numbers and names, so that equal ones are counted together."""
    return f"{trial.name}: " + re.sub(r"\d+(\.\d+)?|'[^']*'", "…", trial.fault)[:120]


if __name__ == "__main__":
    sys.exit(main())
