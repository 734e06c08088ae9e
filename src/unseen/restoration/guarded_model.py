"""Guards around a model for `unseen restore`: clear errors, and changes that are limited and measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

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


class MonitoredModel:
    """A model that blends its output with its input, and measures its changes over the tiles of one batch.

    Attributes:
        model: the model to run.
        changes: for each image of the batch, the largest change of a value so far, in units of the range; infinite for
            a model that enlarges.
    """

    def __init__(self, model: Model, shares: Sequence[float]) -> None:
        """Monitor `model` for a batch of as many images as `shares`.

        Args:
            model: the model to monitor.
            shares: for each image, the share of the restoration in the blend, in [0, 1]; the input makes up the rest.
        """
        self.model = replace(model, run=self._run)
        self.changes = [math.inf if model.receptive_field.scale > 1 else 0.0] * len(shares)
        self._unmonitored = model.run
        self._shares = torch.tensor(shares).view(-1, 1, 1, 1)

    def _run(self, images: Tensor) -> Tensor:
        restored = self._unmonitored(images)
        if restored.shape != images.shape:
            return restored
        if bool((self._shares < 1).any()):
            restored = images + self._shares * (restored - images)
        changes = (restored - images).abs().amax((1, 2, 3)).tolist()
        self.changes = [max(pair) for pair in zip(self.changes, changes, strict=True)]
        return restored
