"""Mixup: training on weighted means of images under different confounders."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.shares import Shares
from .episode import Batch, Episode
from .gradients import gradient
from .method import Method, require_positive
from .objective import Objective
from .params import Params
from .search_space import LogUniform


class Mixup(Method):
    """Mixup of images under different distortions (Zhang et al., ICLR 2018; between domains, Yan et al. 2020).

    Zhang, Cisse, Dauphin, Lopez-Paz: mixup: Beyond Empirical Risk Minimization. Yan, Song, Li, Zou, Ren: Improve
    Unsupervised Domain Adaptation with Mixup Training, arXiv 2001.00677, whose mixing of domains DomainBed took up.
    With two confounders d_i ≠ d_j drawn evenly:

        min_θ E L(f_θ(λ I_{d_i} + (1 − λ) I_{d_j}), λ I_{c,i} + (1 − λ) I_{c,j}),   λ ~ Beta(alpha, alpha)

    Under counterfactual content both images have one clean image: the distortion alone is mixed, and the mixture is a
    degradation of that image between the two kinds of distortion. In strength it need not lie between them: the two
    noises are independent and partly cancel, σ² = λ² σ_i² + (1 − λ)² σ_j², so that a mixture is weaker than the
    stronger noise, and may be weaker than both.
    A single confounder is mixed within its batch, with a random permutation of the batch, as by Zhang et al. Then, and
    under independent content, the contents are mixed too.

    Departures: one λ for each image, not each batch, at no cost. One pair of confounders in a step, where DomainBed
    takes as many pairs as domains, so that a step costs as much as one of ERM. Targets are mixed, where DomainBed mixes
    two losses: both are the same for cross-entropy, but not for the losses here.

    Args:
        alpha: the shape of the Beta distribution, above 0. Towards 0 nothing is mixed, and each image is under d_i or
            d_j; above 1, λ near 1/2 is the most likely. 0.2 as in DomainBed.

    Raises:
        ValueError: for other values.
    """

    cost = "1"
    ranges: ClassVar = {"alpha": LogUniform(0.1, 10)}

    def __init__(self, alpha: float = 0.2):
        require_positive("Mixup", alpha=alpha)
        self.alpha = alpha

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇_θ L on the mixed batch: one gradient evaluation."""
        first, second = _pair(episode, objective.shares)
        whole = self._shares(len(first) * objective.shares.world, episode.generator)
        share = objective.shares.own(whole).to(first.clean)
        mixed = Batch(second.distorted.lerp(first.distorted, share), second.clean.lerp(first.clean, share))
        return gradient(objective, params, mixed)

    def _shares(self, n: int, draws: torch.Generator | None) -> Tensor:
        """The λ of n images, (n, 1, 1, 1), by NumPy: no public function of torch draws from a Beta with a generator."""
        seed = int(torch.randint(2**63 - 1, (), generator=draws))
        return torch.from_numpy(np.random.default_rng(seed).beta(self.alpha, self.alpha, (n, 1, 1, 1)))


def _pair(episode: Episode, shares: Shares) -> tuple[Batch, Batch]:
    """Two confounders' batches, or the only one's and a permutation of it, whose images may come from all shares."""
    if len(episode.confounders) > 1:
        i, j = torch.randperm(len(episode.confounders), generator=episode.generator)[:2].tolist()
        return episode.confounders[i], episode.confounders[j]
    batch = episode.confounders[0]
    order = shares.own(torch.randperm(len(batch) * shares.world, generator=episode.generator)).to(batch.clean.device)
    return batch, Batch(shares.gather(batch.distorted)[order], shares.gather(batch.clean)[order])
