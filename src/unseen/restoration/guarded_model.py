"""Guards around a model for `unseen restore`: clear errors, and changes that are limited and measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core.errors import UserError, one_line
from ..models.backbones.carried_rows import WHOLE, Rows
from ..models.loading import Model
from .colour import MARGIN, colour_shift, with_colours_of

MONITORED_STEP = 4
"""Pixels between the places where shifts of colour are measured: far less than the squares that are averaged."""


def with_clear_errors(model: Model) -> Model:
    """The same model, whose failures become UserErrors about the current photograph."""

    def run(unguarded: Callable[..., Tensor], images: Tensor, **settings: Any) -> Tensor:
        try:
            return unguarded(images, **settings)
        except UserError:
            raise
        except Exception as error:  # torch, onnxruntime and networks of others raise what they like
            if isinstance(error, MemoryError) or "memory" in str(error).lower():
                raise UserError("out of memory; give a smaller --memory or --tile") from error
            reason = one_line(error)
            raise UserError(f"{model.name} fails on it: {type(error).__name__}: {reason}") from error

    return replace(
        model,
        run=partial(run, model.run),
        exact=model.exact and partial(run, model.exact),
        noise_map=model.noise_map and partial(run, model.noise_map),
    )


@dataclass
class Change:
    """The change of one image by a model, in units of the range.

    Attributes:
        mean: mean absolute change of a value; infinite for a model that enlarges.
        largest: largest change of a value; infinite for a model that enlarges.
        colour: largest shift of a colour (`colour_shift`); of the output made small again for a model that enlarges.
        square: mean square change of a value; infinite for a model that enlarges.
        values: number of values that have been counted.
    """

    mean: float = math.inf
    largest: float = math.inf
    colour: float = 0.0
    square: float = math.inf
    values: int = 0

    @classmethod
    def none(cls) -> Self:
        """The change before anything has been counted."""
        return cls(0.0, 0.0, square=0.0)

    @classmethod
    def between(cls, before: Tensor, after: Tensor) -> Self:
        """The change of some pixels, of any shape; colours apart."""
        moved = (after - before).abs_()
        mean, largest = float(moved.mean()), float(moved.amax())
        return cls(mean, largest, square=float(moved.square_().mean()), values=moved.numel())

    @property
    def rms(self) -> float:
        """Root mean square change of a value."""
        return math.sqrt(self.square)

    def add(self, other: Change) -> None:
        """Count the change of other pixels, too; colours apart."""
        self.values += other.values
        share = other.values / self.values
        self.mean += (other.mean - self.mean) * share
        self.square += (other.square - self.square) * share
        self.largest = max(self.largest, other.largest)


class MonitoredModel:
    """A model that measures the changes of one batch, and keeps colours on request.

    Shifts of colours are measured as the model runs, and all else where its caller says which pixels are kept: where
    tiles overlap, the model runs more than once.

    Attributes:
        model: the model to run.
        changes: for each image of the batch, its change so far.
    """

    def __init__(self, model: Model, noise_levels: Sequence[float], keep_colours: bool = False) -> None:
        """Monitor `model` for a batch of as many images as `noise_levels`.

        Args:
            model: the model to monitor.
            noise_levels: for each image, σ in gray levels of 255; nan where it cannot be estimated.
            keep_colours: whether to take shifts of colour back (`with_colours_of`); the model must keep sizes then.
        """
        self.model = replace(model, run=self._run)
        self.changes = [Change() if model.receptive_field.scale > 1 else Change.none() for _ in noise_levels]
        self._lock = Lock()  # several threads may restore columns of one image
        self._unmonitored = model.run
        self._scale = model.receptive_field.scale
        self._noise_levels = torch.tensor(noise_levels).nan_to_num().view(-1, 1, 1, 1)
        self._keep_colours = keep_colours

    def _run(self, images: Tensor, rows: Rows = WHOLE) -> Tensor:
        restored = self._unmonitored(images) if rows is WHOLE else self._unmonitored(images, rows=rows)
        images, restored = rows.together(images, restored)
        if restored.shape[-2:] != tuple(self._scale * side for side in images.shape[-2:]):
            return restored  # to be refused
        if self._keep_colours and rows is WHOLE:
            restored = with_colours_of(images, restored, self._noise_levels)
        elif self._keep_colours:
            restored = rows.local(self._with_colours_kept, torch.cat((images, restored), dim=1), MARGIN)
        elif restored.shape[-2]:
            same_size = F.avg_pool2d(restored, self._scale) if self._scale > 1 else restored
            shift = colour_shift(images, same_size, self._noise_levels, step=MONITORED_STEP)
            moved = shift.abs().amax((1, 2, 3)).tolist()
            with self._lock:
                for change, largest in zip(self.changes, moved, strict=True):
                    change.colour = max(change.colour, largest)
        return restored

    def _with_colours_kept(self, both: Tensor) -> Tensor:
        """Keep the colours of images, in the first half of the channels, in what they became, in the second half."""
        before, after = both.chunk(2, dim=1)
        return with_colours_of(before, after, self._noise_levels)

    def measure(self, before: Tensor, after: Tensor) -> None:
        """Count the changes of pixels that are kept, each once: (B, C, H, W); nothing for a model that enlarges."""
        if self._scale > 1 or not before.shape[-2]:
            return
        counted = [Change.between(*pair) for pair in zip(before, after, strict=True)]
        with self._lock:
            for change, more in zip(self.changes, counted, strict=True):
                change.add(more)
