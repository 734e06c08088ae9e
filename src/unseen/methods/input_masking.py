"""Masked training: pixels of the distorted image are hidden."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from ..core.shares import Shares
from .episode import Batch, Episode
from .gradients import gradient
from .method import Method
from .objective import Objective
from .params import Params
from .search_space import Uniform

HIDDEN = -0.1
"""The value of hidden pixels, as in the published code: below [0, 1], so that none is taken for a black pixel."""


class InputMasking(Method):
    """Masked training: random input pixels are hidden, and the network restores them too (Chen et al., CVPR 2023).

    Chen, Gu, Liu, Magid, Dong, Wang, Pfister, Zhu: Masked Image Training for Generalizable Deep Image Denoising.

        min_θ E L(f_θ(M(I_d)), I_c),   M hides each pixel of an image, all its channels, with probability r

    with r drawn evenly from [low, high], anew for each image of the query. The loss is of all pixels. Validation and
    tests hide nothing.

    Departures: no attention masks, by which the published code hides 75 % inside SwinIR as well, so that training and
    tests differ less; here any network will do. Instead r goes down to 0, so that some training images have no hidden
    pixel, as in tests: trained with the published r of 0.8 to 0.9 alone, a convolutional network learns to fill in
    pixels with hidden neighbours on every side, and fails where no pixel is hidden. The visible pixels are not divided
    by 1 − r, which would keep the mean of the image: the network is to restore from true values, not multiples.

    Args:
        low: the lower end of the range of r, 0 ≤ low ≤ high; with low and high both 0 the method is ERM.
        high: the upper end of the range of r, low ≤ high < 1.

    Raises:
        ValueError: for other values.
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
        return gradient(objective, params, self._masked(episode.query, objective.shares, episode.generator))

    def _masked(self, batch: Batch, shares: Shares, draws: torch.Generator | None) -> Batch:
        n, _, height, width = batch.distorted.shape
        n *= shares.world
        hidden_shares = self.low + (self.high - self.low) * torch.rand(n, 1, 1, 1, generator=draws)
        hidden = shares.own(torch.rand(n, 1, height, width, generator=draws) < hidden_shares)
        return replace(batch, distorted=batch.distorted.masked_fill(hidden.to(batch.distorted.device), HIDDEN))
