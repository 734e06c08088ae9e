"""What a training says while it runs: how long it will take, and lines of progress in train.log."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from typing import Any

from ..core.number_text import rough_duration
from ..core.progress import INTERVAL, Task
from ..core.terminal import harmless, tell
from .run import TrainingRun
from .state import TRAIN_LOG, TrainingState

TRIAL = 3.0
"""Seconds of training after which the speed is taken to be known."""

LONG = 3600.0
"""Seconds beyond which the advice to give a budget of time is worth its words."""


class Journal:
    """The lines of one training, in its first process: in train.log, and an estimate on standard error.

    Args:
        run: the training.
        state: the state of the training, which the loop carries on.
        bar: the task of the training, whose lines are written into train.log every `INTERVAL` seconds.
    """

    def __init__(self, run: TrainingRun, state: TrainingState, bar: Task) -> None:
        self.run, self.state, self.bar = run, state, bar
        self.first = (state.step, state.seconds)
        self.estimated = False
        self.due = time.monotonic() + INTERVAL
        patches = run.episodes.patches
        mirrored = patches.mirrored
        if mirrored:
            tell(
                f"patch: {patches.size} is larger than {mirrored} of {len(patches.clean)} training photographs, "
                "which are continued by their mirror image; a smaller --patch does without"
            )

    def after_step(self) -> None:
        """Say how long the training will take, once that is known; write a line of progress where one is due."""
        state = self.state
        if state.step == self.first[0] + 1:
            way = f", {self.run.engine.description}" if self.run.config.engine == "auto" else ""
            verb = "goes on" if self.first[0] else "begins"
            self.write(f"{verb}: {self.bar.description}, {self.run.config.limit}{way}")
        self.bar.note = f"loss {state.loss / state.calls:.4f}" if state.calls else ""
        if not self.estimated and state.step >= self.first[0] + 2 and state.seconds - self.first[1] >= TRIAL:
            self.estimated = True
            self._estimate()
        if time.monotonic() >= self.due:
            self.due = time.monotonic() + INTERVAL
            self.write(self.bar.line())

    def after_validation(self, point: dict[str, Any]) -> None:
        """Write a point of the learning curve."""
        measured = [f"{name.removesuffix('_psnr')} {value:.2f} dB" for name, value in point.items() if "_psnr" in name]
        self.write(f"validation at {point['evaluations']:g} gradient evaluations: {', '.join(measured)}")

    def finish(self) -> None:
        """Write how the training ended."""
        ending = "is finished" if self.state.finished else "is interrupted; --resume goes on"
        self.write(f"{ending}: {self.state.evaluations_spent(self.run.config):g} gradient evaluations")

    def write(self, text: str) -> None:
        """Append a line with its time to train.log; a full disk stops the next save, and not this."""
        with suppress(OSError), (self.run.config.folder / TRAIN_LOG).open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now().astimezone().isoformat(' ', 'seconds')} {harmless(text)}\n")

    def _estimate(self) -> None:
        """Say how long the training will take, and, if that is long, how to make it shorter."""
        config, left = self.run.config, self.bar.seconds_left()
        if left is None or config.limit.unit == "seconds":
            return
        text = f"{self.bar.description}: {config.limit} take about {rough_duration(left)} more on {config.device}"
        if left > LONG:
            text += "; --budget 30min is shorter, and Ctrl-C saves what there is"
        self.write(text)
        if self.bar.parent is None:  # a study says when all of it will be done
            tell(text)
