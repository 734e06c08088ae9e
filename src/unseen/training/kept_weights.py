"""Weights that a training keeps on its way, at shares of its budget, so that its trajectory can be tested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event

from ..core.errors import UserError
from ..core.progress import track
from ..evaluation.excerpt_test import ExcerptTest
from ..evaluation.results import KeptResult
from ..models.checkpoint import load_checkpoint, save_checkpoint
from ..models.inference import on_device
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


def kept_results(
    folder: Path, points: Sequence[KeptPoint], backbone: str, test: ExcerptTest, stop: Event
) -> list[KeptResult]:
    """Test the weights that a run kept.

    Args:
        folder: the folder of the run.
        points: the points at which it kept weights, from its state.
        backbone: the network of the run, with its settings, as its card names it.
        test: the test.
        stop: once set, the test ends after the current weights.

    Returns:
        One result for each point; fewer if `stop` was set.

    Raises:
        UserError: a file of kept weights is missing, damaged, or of another network.
    """
    results: list[KeptResult] = []
    for i, point in enumerate(track(points, f"testing weights that {folder.name} kept", len(points))):
        if stop.is_set():
            break
        file = kept_file(folder, i + 1)
        network, card = load_checkpoint(file, backbone)
        if card.config["backbone"] != backbone:
            raise UserError(
                f"{file}: holds weights of {card.config['backbone']!r:.100}, and the run is of {backbone!r}"
            )
        levels = test.levels_psnr(on_device(network, test.device))
        results.append(KeptResult(point.step, point.evaluations, point.seconds, levels))
    return results
