"""Guards around a model for `unseen restore`: clear errors, and changes that are limited and measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.errors import UserError
from ..models.loading import Model


def with_clear_errors(model: Model) -> Model:
    """The same model, whose failures become UserErrors about the current photograph."""

    def run(images: Tensor) -> Tensor:
        try:
            return model.run(images)
        except UserError:
            raise
        except Exception as error:  # torch, onnxruntime and networks of others raise what they like
            if isinstance(error, MemoryError) or "memory" in str(error).lower():
                raise UserError("out of memory; give a smaller --memory or --tile") from error
            reason = " ".join(str(error).split())
            raise UserError(f"{model.name} fails on it: {type(error).__name__}: {reason}") from error

    return replace(model, run=run)


@dataclass
class Change:
    """The change of one image by a model, in units of the range; infinite for a model that enlarges.

    Attributes:
        mean: mean absolute change of a value, over all tiles.
        largest: largest change of a value.
    """

    mean: float = math.inf
    largest: float = math.inf


class MonitoredModel:
    """A model that blends its output with its input, and measures its changes over the tiles of one batch.

    Attributes:
        model: the model to run.
        changes: for each image of the batch, its change so far.
    """

    def __init__(self, model: Model, kept: Sequence[float]) -> None:
        """Monitor `model` for a batch of as many images as `kept`.

        Args:
            model: the model to monitor.
            kept: for each image, the share of the restoration in the blend, in [0, 1]; the input makes up the rest.
        """
        self.model = replace(model, run=self._run)
        self.changes = [Change() if model.receptive_field.scale > 1 else Change(0.0, 0.0) for _ in kept]
        self._values = 0
        self._unmonitored = model.run
        self._kept = torch.tensor(kept).view(-1, 1, 1, 1)

    def _run(self, images: Tensor) -> Tensor:
        if not self._kept.any():
            return images  # to the bit, whatever the model would have made
        restored = self._unmonitored(images)
        if restored.shape != images.shape:
            return restored
        if bool((self._kept < 1).any()):
            restored = torch.where(self._kept < 1, images + self._kept * (restored - images), restored)
        moved, values = (restored - images).abs_().flatten(1), images[0].numel()
        for change, mean, largest in zip(self.changes, moved.mean(1).tolist(), moved.amax(1).tolist(), strict=True):
            change.mean += (mean - change.mean) * values / (self._values + values)
            change.largest = max(change.largest, largest)
        self._values += values
        return restored
