"""Weights that a training keeps on its way, at shares of its budget, so that its course can be tested afterwards."""

from __future__ import annotations

from pathlib import Path

from ..models.checkpoint import save_checkpoint
from .config import TrainConfig
from .run import TrainingRun, tested_network
from .state import KEPT, KeptPoint, TrainingState, card_of

FIRST_SHARE = 0.01
"""Share of the budget at which a geometric spacing begins."""


def keeping_amounts(config: TrainConfig) -> list[float]:
    """The amounts of the budget, in its own unit and rising, at which weights are kept; the last one is all of it."""
    count, amount = config.keep, config.limit.amount
    if config.keep_spacing == "geometric" and count > 1:
        return [amount * FIRST_SHARE ** ((count - i) / (count - 1)) for i in range(1, count + 1)]
    return [amount * i / count for i in range(1, count + 1)]


def keeping_due(config: TrainConfig, state: TrainingState) -> bool:
    """Whether the step just taken has reached an amount at which weights are kept.

    A step that reaches several amounts keeps its weights once. What is due depends on the points kept before and on
    nothing else, so that a resumed training keeps the same points.
    """
    if not config.keep:
        return False
    before = getattr(state.kept[-1], config.limit.unit) if state.kept else 0
    return any(before < amount <= state.budget_spent(config) for amount in keeping_amounts(config))


def keep_weights(run: TrainingRun, state: TrainingState) -> None:
    """Keep the weights that would be tested now, with their card, and note the point in the state.

    The state is saved later than the weights: where a training is killed in between, its resumption writes the same
    file again.
    """
    state.kept.append(KeptPoint(state.step, state.evaluations_spent(run.config), state.seconds))
    if run.ranks.rank == 0:
        file = kept_file(run.config.folder, len(state.kept))
        save_checkpoint(file, tested_network(run).state_dict(), card_of(run, state))


def kept_file(folder: Path, number: int) -> Path:
    """The file of the weights that the run in `folder` kept at its point `number`, counted from 1."""
    return folder / KEPT / f"{number:03}.safetensors"
