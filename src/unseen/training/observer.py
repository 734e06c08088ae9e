"""The observation of a training between its steps: diagnoses, kept weights, validation, saving, peak memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from ..core.memory import Memory
from ..core.randomness import generator
from ..core.terminal import tell
from ..methods import Batch, Episode
from ..protocols.confounder import Synthetic
from .config import CHOSEN_ON
from .diagnostics import IMAGES, PathLength, diagnose
from .journal import Journal
from .kept_weights import keep_weights, keeping_due
from .run import TrainingRun, tested_network
from .state import TrainingState, save_run, start_folder
from .tensorboard import TensorBoard


class Observer:
    """The observer of one training; nothing that it does changes a step or is counted in the budget.

    Args:
        run: the training.
        state: the state of the training, which the loop carries on.
        journal: what this process says of the training; None in all processes but the first.
    """

    def __init__(self, run: TrainingRun, state: TrainingState, journal: Journal | None = None) -> None:
        self.run, self.state, self.journal = run, state, journal
        self.tensorboard = TensorBoard(run) if run.config.tensorboard and run.ranks.rank == 0 else None
        self.path = PathLength(run.parameters, state.path) if run.config.diagnose else None
        self.memory = Memory(torch.device(run.config.device))
        for file in run.skipped:
            tell(f"skipped {file}")

    def after_step(self, episode: Episode) -> None:
        """Diagnose, keep weights and validate where one of them is due after a step."""
        state, config = self.state, self.run.config
        if state.step == 1:  # not before: a refused training must leave an earlier one in the folder as it was
            start_folder(self.run)
        if self.journal:
            self.journal.after_step()
        if self.path:
            self.path.add(self.run.parameters)
        diagnosis_due = config.diagnose > 0 and state.step % config.diagnose == 0
        validation_due = state.validation_due(config)
        weights_due = keeping_due(config, state)
        if not (diagnosis_due or validation_due or weights_due):
            return
        self._settle()
        if diagnosis_due:
            self._diagnose(episode)
        if weights_due:
            keep_weights(self.run, state)
        if validation_due:
            self.validate(episode.notes)
        self.memory.restart()  # the memory of diagnosis and validation does not count as that of the steps

    def finish(self) -> None:
        """Save the training; if its budget is spent, validate once more and measure the weights that are kept."""
        run, state = self.run, self.state
        self._settle()
        if state.step == 0:
            start_folder(run)
        finished = not state.affords_a_step(run.config)
        if finished and run.config.keep and (not state.kept or state.kept[-1].step < state.step):
            keep_weights(run, state)
        if finished and (not state.log or state.log[-1]["step"] < state.step):
            self.validate({})
        state.finished = finished
        save_run(run, state, to_checkpoint=run.select == "last")
        if self.journal:
            self.journal.finish()
        if self.tensorboard:
            self.tensorboard.finish()

    def _settle(self) -> None:
        """Bring the state up to date, for which a GPU is waited for."""
        self.state.settle(self.run.config)
        self.state.memory = max(self.state.memory, self.memory.peak())
        if self.path:
            self.state.path = self.path.length()

    def _diagnose(self, episode: Episode) -> None:
        """Append a diagnosis: this step's episode at the weights after the step."""
        run, state = self.run, self.state
        held_out = held_out_batches(run, episode, state.step)
        diagnosis = diagnose(run.objective, run.parameters, run.start, episode, state.path, held_out)
        when = {"step": state.step, "evaluations": state.evaluations_spent(run.config)}
        state.diagnoses.append(when | asdict(diagnosis) | numbers(episode.notes))

    def validate(self, notes: Mapping[str, float | Tensor]) -> None:
        """Append a point of the learning curve, keep the weights if they are the best so far, and save.

        Args:
            notes: scalars of the method that go into the point, such as its curvature ratio.
        """
        run, state = self.run, self.state
        network = tested_network(run)
        psnr_by_split = run.validation.measure(network, run.config.device) if run.ranks.rank == 0 else {}
        state.log.append(
            {
                "step": state.step,
                "evaluations": state.evaluations_spent(run.config),
                "seconds": round(state.seconds, 3),
                "waiting": round(state.waiting / state.seconds, 4),
                "loss": state.loss / state.calls if state.calls else None,
                **({"clipped": state.share_clipped()} if run.config.clip else {}),
                **{f"{split.replace('-', '_')}_psnr": psnr for split, psnr in psnr_by_split.items()},
                **numbers(notes),
            }
        )
        if self.journal:
            self.journal.after_validation(state.log[-1])
        if self.tensorboard:
            self.tensorboard.after_validation(state.log, network)
        state.loss, state.calls, state.clipped = 0.0, 0, 0
        chosen_on = CHOSEN_ON.get(run.select)
        better = chosen_on is None or psnr_by_split.get(chosen_on, -math.inf) > state.best
        if chosen_on and better:
            state.best = psnr_by_split[chosen_on]
        save_run(run, state, to_checkpoint=better)


def held_out_batches(run: TrainingRun, episode: Episode, step: int) -> list[Batch]:
    """Clean images of an episode under every held-out distortion that can be made and is not trained on."""
    seen = {confounder.name for confounder in run.episodes.confounders}
    clean = episode.confounders[0].clean[:IMAGES]
    return [
        Batch(*confounder.pair(clean, generator(run.config.seed, "diagnosis", step, confounder.name)), confounder.name)
        for confounder in run.protocol.held_out
        if isinstance(confounder, Synthetic) and confounder.name not in seen
    ]


def numbers(notes: Mapping[str, float | Tensor]) -> dict[str, float]:
    """The notes of a method as numbers, for which a GPU is waited for."""
    return {name: float(value) for name, value in notes.items()}
