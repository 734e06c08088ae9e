"""Training on more than the seen degrees, made of the seen distortions alone: extrapolated ERM and widened ERM."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..core.shares import Shares
from .episode import Batch, Episode
from .erm import ERM
from .gradients import gradient
from .method import Method, require_share
from .objective import Objective
from .params import Params
from .search_space import Uniform


class ExtrapolatedERM(Method):
    """ERM that scales what a distortion did to an image, and so trains on degrees that were never seen (ours).

    The counterfactual of the paper asks what I_d would have been, had d been another *seen* distortion. Its degree can
    be asked beyond these: to first order in the degree, k times the distortion has k times the effect on I_c,

        I_{kd} ≈ I_c + k (I_d − I_c),   clipped to [0, 1],

        min_θ E L(f_θ(I_{kd}), I_c),   log k even between −log largest and log largest for a share of the images,
                                       else k = 1

    For additive noise the approximation is exact but for clipping: k times the residual is noise of k times the
    deviation. For blur it is the first term of a series, which holds near k = 1. No kind of distortion is named, and
    none is drawn but the seen ones. k < 1 stands beside k > 1, since an unseen degree may be weaker.

    Where the task is to enlarge, I_c in the difference is the clean image shrunk bicubically to the size of I_d.

    Args:
        largest: the largest k, and the inverse of the smallest, above 1.
        share: the share of images that are scaled, in expectation, within [0, 1).

    Raises:
        ValueError: for other values.
    """

    cost = "1"
    ranges: ClassVar = {"largest": Uniform(1.2, 4), "share": Uniform(0.1, 0.9)}

    def __init__(self, largest: float = 3.0, share: float = 0.5):
        if not 1 < largest < torch.inf:
            raise ValueError(f"ExtrapolatedERM: largest {largest!r} is not above 1, or not finite")
        require_share("ExtrapolatedERM", share=share)
        self.largest = largest
        self.share = share

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇_θ L on the query, residuals scaled: one gradient evaluation."""
        batch = episode.query
        factors = self._factors(len(batch) * objective.shares.world, objective.shares, episode.generator)
        return gradient(objective, params, scaled(batch, factors.to(batch.clean)))

    def _factors(self, n: int, shares: Shares, draws: torch.Generator | None) -> Tensor:
        """The k of this process's images, (B, 1, 1, 1), of n in all."""
        chosen, exponents = torch.rand(2, n, 1, 1, 1, generator=draws)
        return shares.own(torch.where(chosen < self.share, self.largest ** (2 * exponents - 1), 1.0))


class WidenedERM(ERM):
    """ERM on seen distortions, and for half of the images on two one after the other or on a faded one (ours).

        min_θ E L(f_θ(I_d), I_c),   half of the d even among d_i, a quarter among d_i > d_j, a quarter among k·d_i

    d_i > d_j distorts by d_i, then by d_j, which is drawn evenly among the seen ones for each image. Two degrees of one
    distortion make a higher one: Gaussian blurs of σ_1 and σ_2 make exactly one of √(σ_1² + σ_2²), and so do white
    noises but for clipping. Two kinds make a hybrid. k·d_i leaves a share k, even in [0, 1], of what d_i does, a lower
    degree: I_c + k (I_d − I_c). So training reaches past both ends of the seen degrees by seen distortions alone. A
    degree that they make is then unseen in name alone, and held-out degrees among them are no judge of this method.

    Recorded pairs are left as they are, since no other image can be given their distortion; the shares above are of
    protocols without any.
    """

    trains_on = "widened"

    def __init__(self) -> None:
        super().__init__()


def scaled(batch: Batch, factors: Tensor) -> Batch:
    """The batch with what was done to each image scaled by its factor: I_c + k (I_d − I_c), clipped to [0, 1].

    Args:
        batch: distorted and clean images.
        factors: k, (B, 1, 1, 1).
    """
    size = batch.distorted.shape[-2:]
    clean = batch.clean
    if clean.shape[-2:] != size:
        clean = interpolate(clean, size, mode="bicubic", antialias=True, align_corners=False)
    return replace(batch, distorted=clean.lerp(batch.distorted, factors).clamp(0, 1))
