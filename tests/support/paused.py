"""`unseen` in a process of its own that waits in the middle of its work, to be sent signals."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from support.commandline import CommandResult
from support.forked import forked, wait_for

# A module whose method is ERM; where PAUSE is set, it waits at its tenth of 16 steps, between the two validations.
PAUSING = """
import os, time
from pathlib import Path
from unseen.methods.erm import ERM

class Pausing(ERM):
    steps = 0

    def gradient(self, objective, params, episode):
        self.steps += 1
        if self.steps == 10 and "PAUSE" in os.environ:
            marker = Path(os.environ["PAUSE"])
            marker.touch()
            while marker.exists():
                time.sleep(0.01)
        return super().gradient(objective, params, episode)
"""


class Paused:
    """`unseen` in a copy of this process that waits at the tenth step of `pausing.Pausing`."""

    def __init__(self, folder: Path, *words: object):
        self.marker = folder / "paused"
        (folder / "pausing.py").write_text(PAUSING)

        def where_it_pauses() -> None:
            os.chdir(folder)
            os.environ["PAUSE"] = str(self.marker)

        self.process = forked(folder / "log", *words, change=where_it_pauses)
        wait_for(self.marker, self.process)

    def stop(self, number: signal.Signals) -> CommandResult:
        """Send one signal while the process waits, then let the step in hand go on; returns how the process ended."""
        self.process.kill(number)
        self.marker.unlink()
        return self.process.ended()

    def stop_twice(self) -> CommandResult:
        """Send two signals while the process waits: two different ones, as two of one kind may arrive as one."""
        self.process.kill(signal.SIGINT)
        self.process.kill(signal.SIGTERM)
        return self.process.ended()
