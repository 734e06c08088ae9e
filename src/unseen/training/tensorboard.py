"""Curves and restored pictures of a training for TensorBoard, in event files beside its log.jsonl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from torch import nn

from ..core.jsonl import Measured
from .config import TrainConfig
from .outer_step import lr_factor
from .run import TrainingRun
from .state import EVENTS

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """The event file of one training, written by its first process after each validation.

    A full disk stops the next save of the training, and not this.

    Args:
        run: the training.
    """

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        self.writer: SummaryWriter | None = None

    def after_validation(self, log: Sequence[Mapping[str, Measured]], network: nn.Module) -> None:
        """Write the last point of the learning curve, and pictures.

        Args:
            log: the learning curve.
            network: the network that was validated.
        """
        *earlier, point = log
        with suppress(OSError):
            self.writer = self.writer or self._opened(earlier)
            self._add_scalars(self.writer, point)
            for level, picture in self.run.validation.pictures(network, self.run.config.device).items():
                self.writer.add_image(level, picture, step_of(point))
            self.writer.flush()

    def finish(self) -> None:
        """Close the event file."""
        if self.writer:
            with suppress(OSError):
                self.writer.close()

    def _opened(self, earlier: Sequence[Mapping[str, Measured]]) -> SummaryWriter:
        """A new event file, which takes back what a killed training wrote after the last point that it saved.

        Args:
            earlier: the points of the learning curve up to now; all are written if no event file has them.
        """
        from torch.utils.tensorboard import SummaryWriter

        folder = self.run.config.folder
        begins = not any(folder.glob(EVENTS))
        purge_step = step_of(earlier[-1]) + 1 if earlier else None
        writer = SummaryWriter(str(folder), purge_step=purge_step)
        for point in earlier if begins else ():
            self._add_scalars(writer, point)
        return writer

    def _add_scalars(self, writer: SummaryWriter, point: Mapping[str, Measured]) -> None:
        for name, value in scalars(point, self.run.config).items():
            writer.add_scalar(name, value, step_of(point))


def step_of(point: Mapping[str, Measured]) -> int:
    """The place of a point on TensorBoard's axis, which has whole numbers alone: gradient evaluations."""
    return int(point["evaluations"] or 0)


def scalars(point: Mapping[str, Measured], config: TrainConfig) -> dict[str, float]:
    """The numbers of a point of the learning curve under the names of log.jsonl, and the learning rate `lr` there."""
    spent = point[config.limit.unit] or 0.0
    lr = config.lr * lr_factor(config.schedule, min(1.0, spent / config.limit.amount), config.warmup)
    return {name: value for name, value in point.items() if name != "evaluations" and value is not None} | {"lr": lr}
