"""Trainings side by side on one GPU, which a single small network leaves idle for most of the time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Event

import torch

from ..core.errors import UserError
from .config import TrainConfig
from .loop import training
from .training_data import TrainingData


def train_side_by_side(
    configs: Sequence[TrainConfig], stop: Event, resume: Sequence[bool], data: Sequence[TrainingData | None] = ()
) -> dict[Path, UserError]:
    """Train several networks in turn, one step of each, on a GPU each on a stream of its own.

    Each ends as it would alone, since nothing random is shared; only its time is that of all together.

    Args:
        configs: the options of the trainings, each with a folder of its own; `device` and `threads` resolved.
        stop: once set, all trainings end after their current step, with everything saved.
        resume: for each training, whether to go on from the state in its folder.
        data: for each training, the data that its options name; empty to load the data of each.

    Returns:
        The errors of the trainings that failed, by folder; the others went on.
    """
    running = {
        config.folder: (training(config, stop, resume=begun, data=loaded), stream_of(config.device))
        for config, begun, loaded in zip(configs, resume, data or [None] * len(configs), strict=True)
    }
    failed: dict[Path, UserError] = {}
    try:
        while running:
            for folder, (steps, stream) in list(running.items()):
                try:
                    with stream:
                        going_on = next(steps, None) is not None
                except UserError as error:
                    failed[folder] = error
                    going_on = False
                if not going_on:
                    del running[folder]
    finally:
        for steps, _ in running.values():
            steps.close()
    return failed


def stream_of(device: str) -> AbstractContextManager[object]:
    """A context, to be entered again and again, in which a GPU works on a stream of its own."""
    if not device.startswith("cuda"):
        return nullcontext()
    return torch.cuda.stream(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]
