"""Masked training: pixels of the distorted image are hidden."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from .episode import Batch, Episode
from .gradients import gradient
from .method import Method
from .objective import Objective
from .params import Params
from .search_space import Uniform

HIDDEN = -0.1
"""The value of hidden pixels, as in the published code: below [0, 1], so that none is taken for a black pixel."""


class InputMasking(Method):
    """Masked training: random pixels of the input are hidden, and restored with the rest (Chen et al., CVPR 2023).

    Chen, Gu, Liu, Magid, Dong, Wang, Pfister, Zhu: Masked Image Training for Generalizable Deep Image Denoising.

        min_θ E L(f_θ(M(I_d)), I_c),   M hides each pixel of an image, all its channels, with probability r

    with r drawn evenly from [low, high], anew for each image of the query. The loss is of all pixels. Validation and
    tests hide nothing.

    Departures: no attention masks, with which the published code hides 75 % inside SwinIR as well, so that training
    and tests differ less; here any network will do. Instead r reaches down to 0, and images of which nothing is
    hidden, as in tests, are among those trained on: from the published r of 0.8 to 0.9 alone, a convolutional network
    learns to fill in what is missing on every side, and fails where nothing is. What is left of an image is not
    divided by 1 − r, which would keep its mean: pixels are to be restored as they are, not from multiples of them.

    Args:
        low: The lower end of the range of r, 0 ≤ low ≤ high; with low and high both 0 the method is ERM.
        high: The upper end of the range of r, low ≤ high < 1.

    Raises:
        ValueError: For other values.
    """

    cost = "1"
    ranges: ClassVar = {"high": Uniform(0.1, 0.9)}

    def __init__(self, low: float = 0.0, high: float = 0.8):
        if not 0 <= low <= high < 1:
            raise ValueError(f"InputMasking: low {low!r}, high {high!r}: 0 ≤ low ≤ high < 1 does not hold")
        self.low = low
        self.high = high

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇_θ L on the query, pixels hidden: one gradient evaluation."""
        return gradient(objective, params, self._masked(episode.query, episode.generator))

    def _masked(self, batch: Batch, draws: torch.Generator | None) -> Batch:
        n, _, height, width = batch.distorted.shape
        shares = self.low + (self.high - self.low) * torch.rand(n, 1, 1, 1, generator=draws)
        hidden = torch.rand(n, 1, height, width, generator=draws) < shares
        return replace(batch, distorted=batch.distorted.masked_fill(hidden.to(batch.distorted.device), HIDDEN))
