"""All measurements of the program's speed, and docs/performance.md from them.

    make bench                                   all scripts, 7 rounds
    make bench ARGS='--rounds 2'                 the same in a third of the time, with wider spreads
    make bench ARGS='--only steps second_order'  these alone; the rest of the page stays
    make bench ARGS='--only'                     the page alone, from the rows that are kept

Each script runs in a process of its own on one thread. Rows are kept as they are measured, so that a run that is
stopped loses nothing; the next run of all scripts goes on with the script that was stopped. Rows that need a GPU are
kept from the machine that had one. coverage.py, tiles.py and bf16.py are not among the scripts: they have no rival to
reach, and what they print stands in docs/comparing.md, docs/tiles.md and docs/restoring.md.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from kept import RESULTS, Table, read_table, read_tables, this_machine, write_page

SCRIPTS = [
    "steps",
    "wrappers",
    "second_order",
    "data",
    "restore",
    "photograph",
    "preview",
    "gpu",
    "evaluate",
    "start",
    "workers",
    "processes",
    "pack",
    "growth",
]
"""The scripts in the order of the page; each has a function `rows(rounds)`."""

PENDING = RESULTS / "pending.txt"
"""The scripts that a run of all of them has still to do; there while it runs, and after it was stopped."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=SCRIPTS, help="these scripts; with none, write the page")
    parser.add_argument("--here", choices=SCRIPTS, help="measure one script in this process")
    options = parser.parse_args()
    if options.here:
        measure_here(options.here, options.rounds)
        return 0
    failed = []
    scripts = pending() if options.only is None else options.only
    for i, script in enumerate(scripts):
        if options.only is None:
            PENDING.write_text("\n".join(scripts[i:]), encoding="utf-8")
        print(f"{script} ({i + 1} of {len(scripts)}; {minutes_left(scripts[i:], options.rounds)})", flush=True)
        command = [sys.executable, __file__, "--here", script, "--rounds", str(options.rounds)]
        try:
            if subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}).returncode:
                failed.append(script)
        except KeyboardInterrupt:
            print("stopped: what was measured is kept", flush=True)
            return 130
        finally:
            write_page(read_tables(SCRIPTS))  # after each script, so that the page is what is kept
    if options.only is None:
        PENDING.unlink(missing_ok=True)
    if not scripts:
        write_page(read_tables(SCRIPTS))
    print(f"docs/performance.md is written{'; failed: ' * bool(failed)}{', '.join(failed)}")
    return 1 if failed else 0


def pending() -> list[str]:
    """What a run that was stopped has left, or all scripts."""
    left = PENDING.read_text(encoding="utf-8").split() if PENDING.exists() else []
    return [script for script in SCRIPTS if script in left] or SCRIPTS


def measure_here(script: str, rounds: int) -> None:
    """Measure the rows of a script, and keep each at once; the first takes the place of the older table."""
    module = importlib.import_module(script)
    title = (module.__doc__ or "").partition("\n")[0].rstrip(".:")
    table = Table(script, title, this_machine(), rounds, date.today().isoformat(), os.getloadavg()[0])
    older = read_table(table.file).seconds if table.file.exists() else ()
    started = time.perf_counter()
    for row in module.rows(rounds):  # none where the script is for a GPU and there is none
        now = time.perf_counter()
        table = replace(
            table, rows=(*table.rows, row), seconds=(*table.seconds, round((now - started) / (rounds + 1), 2))
        )
        started = now
        table.save()
        print(f"  {row}  ({minutes(older[len(table.rows) :], rounds)})", flush=True)


def minutes_left(scripts: list[str], rounds: int) -> str:
    """What the scripts took when they were last measured."""
    tables = {table.script: table for table in read_tables(scripts)}
    unknown = f", and {len(scripts) - len(tables)} never measured" if len(tables) < len(scripts) else ""
    return minutes([seconds for table in tables.values() for seconds in table.seconds], rounds) + unknown


def minutes(seconds_a_round: Sequence[float], rounds: int) -> str:
    """The time of so many rounds, and of the one that is not counted."""
    return f"some {sum(seconds_a_round) * (rounds + 1) / 60:.0f} minutes left"


if __name__ == "__main__":
    sys.exit(main())
