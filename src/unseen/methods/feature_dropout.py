"""Dropout of whole channels before a network's last layer."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .episode import Batch, Episode
from .gradients import gradient
from .method import Method, require_share
from .objective import Objective
from .params import Params
from .search_space import Uniform


class FeatureDropout(Method):
    """Dropout of channels before the last layer, and nowhere else (Kong et al., CVPR 2022).

    Kong, Liu, Gu, Qiao, Dong: Reflash Dropout in Image Super-Resolution; its `last-conv`, channel-wise. With the
    last layer h and its input z = (z_1 ... z_C), f_θ = h(z):

        min_θ E L(h(m ⊙ z(I_d)), I_c),   m_c = 0 with probability p, else 1 / (1 − p)

    with one m_c for each image of the query and each channel, the same in all pixels. As E m_c = 1, validation and
    tests use the network unchanged, with no channel dropped.

    Departures: any restoration task, and any network whose last layer takes (B, C, H, W); the paper has
    super-resolution alone.

    Args:
        p: the probability that a channel is dropped, 0 (which is ERM) to below 1. The published code drops 0.5 in
            RRDB, the default here, and 0.7 in SRResNet.

    Raises:
        ValueError: for other values.
    """

    cost = "1"
    ranges: ClassVar = {"p": Uniform(0.1, 0.8)}

    def __init__(self, p: float = 0.5):
        require_share("FeatureDropout", p=p)
        self.p = p

    def check(self, objective: Objective, params: Params, batch: Batch) -> None:
        """Raise ValueError where the input of the last layer has no maps (B, C, H, W)."""
        with torch.no_grad():
            shape = tuple(objective.uncounted().features(params, batch).shape)
        if len(shape) != 4:
            raise ValueError(f"the input of the last layer is {shape}: no channels (B, C, H, W) to drop")

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇_θ L on the query, channels dropped: one gradient evaluation."""
        batch, shares = episode.query, objective.shares
        left: list[Tensor] = []  # of the images that are not yet evaluated, where the batch is taken in pieces

        def drop(features: Tensor) -> Tensor:
            if not left:
                drawn = torch.rand(len(batch) * shares.world, features.shape[1], 1, 1, generator=episode.generator)
                left.append(shares.own(drawn) >= self.p)
            kept, left[0] = left[0][: len(features)], left[0][len(features) :]
            return features * kept.to(features.device) / (1 - self.p)

        return gradient(objective, params, batch, drop)
