"""What tests of training share: a tiny training, stops in the middle of it, the comparison of two trainings."""

from __future__ import annotations

from threading import Event

import torch
from safetensors.torch import load_file

from unseen.models.checkpoint import CHECKPOINT, load_checkpoint
from unseen.training.config import TrainConfig
from unseen.training.loop import train
from unseen.training.state import TrainingState

TINY = TrainConfig(
    device="cpu",
    threads=1,
    data=["embedded"],
    backbone="plain:features=4,depth=2",
    budget=64,
    batch=2,
    patch=12,
    validations=4,
)


class StopAfter(Event):
    """An event that is set when it has been asked `steps` times, as if Ctrl-C came in that step."""

    def __init__(self, steps: int):
        super().__init__()
        self.left = steps

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def trained(config: TrainConfig, stop: Event | None = None, resume: bool = False) -> TrainingState:
    return train(config, stop or Event(), resume=resume)


def without_times(log: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in line.items() if k not in ("seconds", "waiting")} for line in log]


def stopped_and_resumed(config: TrainConfig, stops: list[int]) -> TrainingState:
    """Train with a stop after each number of steps in `stops`; the checkpoint must be usable after each."""
    for i, steps in enumerate(stops):
        state = trained(config, StopAfter(steps), resume=i > 0)
        assert not state.finished
        load_checkpoint(config.folder)
    return trained(config, resume=True)


def check_equal_runs(one: TrainConfig, other: TrainConfig, states: tuple[TrainingState, TrainingState]) -> None:
    first, second = states
    assert first.finished
    assert second.finished
    assert without_times(first.log) == without_times(second.log)
    assert (first.step, first.images) == (second.step, second.images)
    for name in (CHECKPOINT, "resume.safetensors"):
        tensors, others = load_file(one.folder / name), load_file(other.folder / name)
        assert tensors.keys() == others.keys()
        assert all(torch.equal(tensors[key], others[key]) for key in tensors), name
