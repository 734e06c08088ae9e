"""Correlation alignment: features of the same mean and covariance under every confounder."""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor

from ..core.shares import Shares
from .episode import Episode
from .gradients import whole_derivative
from .method import Method, require_nonnegative
from .objective import Objective
from .params import Params
from .search_space import LogUniform


class CORAL(Method):
    """CORAL: the last features have the same mean and covariance under every confounder (Sun, Saenko 2016).

    Sun, Saenko: Deep CORAL: Correlation Alignment for Deep Domain Adaptation, ECCV Workshops 2016; between training
    domains, and with the means, as in Gulrajani, Lopez-Paz: In Search of Lost Domain Generalization, ICLR 2021
    (DomainBed). With L_i the loss under confounder d_i, and the mean over all n(n − 1)/2 pairs of confounders:

        min_θ (1/n) Σ_i L_i + λ mean_{i<j} ( ‖μ_i − μ_j‖² / C + ‖Σ_i − Σ_j‖² / C² )

    μ_i and Σ_i are mean and covariance, under d_i, of the input of the network's last layer, (B, C, H, W): every
    pixel is a sample of C channels. With counterfactual content all confounders distort the same clean images, so that
    the distortions alone make the moments differ; with independent content, different images do, too.

    Departures: the features are divided by their root mean square under all confounders together. Without this
    division a network could lower the penalty by small features and large weights in the last layer, and the effect of
    λ would depend on the square and the fourth power of the features' scale. Pixels are samples, where classification
    has one vector an image. Three departures are DomainBed's: the paper has two domains, no means, and the factor 1/4.

    Args:
        penalty_weight: λ, at least zero, in units of the loss; its default and its range are DomainBed's. Under L1 the
            default makes the penalty's slope comparable with the loss's (`plain`, `unet`), far smaller where the
            features hardly tell the distortions apart (`rrdb_small` in its first steps).
        normalised: whether the features are divided by their root mean square; without, the penalty is DomainBed's.

    Raises:
        ValueError: for other values.
    """

    cost = "n"
    takes_whole_batches = True
    ranges: ClassVar = {"penalty_weight": LogUniform(0.1, 10)}

    def __init__(self, penalty_weight: float = 1.0, normalised: bool = True):
        require_nonnegative("CORAL", penalty_weight=penalty_weight)
        self.penalty_weight = penalty_weight
        self.normalised = normalised

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The gradient of the objective above: n evaluations, in one graph, since all pairs of confounders meet."""

        def penalised(leaves: Params) -> Tensor:
            losses, features = [], []
            for batch in episode.confounders:
                restored, inputs = objective.restore_with_features(leaves, batch)
                losses.append(objective.judge(leaves, restored, batch))
                features.append(inputs)
            penalty = self._penalty(features, objective.shares)
            episode.notes["penalty"] = float(penalty.detach())
            return torch.stack(losses).mean() + self.penalty_weight * penalty

        return whole_derivative(objective, penalised, params)

    def _penalty(self, features: list[Tensor], shares: Shares) -> Tensor:
        """The mean distance of moments over all pairs of confounders; zero for one alone. Features: (B, C, ...)."""
        if len(features) < 2:
            return features[0].new_zeros(())
        if self.normalised:
            power = shares.pooled(torch.stack([feature.square().mean() for feature in features]).mean())
            features = [feature / power.sqrt() for feature in features]
        samples = [feature.transpose(0, 1).flatten(1) for feature in features]
        moments = [_mean_and_covariance(sample, shares) for sample in samples]
        distances = [
            (mean - other_mean).square().mean() + (covariance - other_covariance).square().mean()
            for (mean, covariance), (other_mean, other_covariance) in combinations(moments, 2)
        ]
        return torch.stack(distances).mean()


def _mean_and_covariance(sample: Tensor, shares: Shares) -> tuple[Tensor, Tensor]:
    """The mean (C,) and the covariance (C, C) of samples (C, N) and of those of all other shares together."""
    mean = shares.pooled(sample.mean(1))
    centred = sample - mean[:, None]
    products: Tensor = shares.pooled(centred @ centred.T) * shares.world
    return mean, products / (sample.shape[1] * shares.world - 1)
