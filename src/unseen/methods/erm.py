"""Empirical risk minimisation, the same stopped early, and the ceiling: the same, trained on unseen levels too."""

from __future__ import annotations

from .episode import Episode
from .gradients import gradient, mean_gradient
from .method import Method, require_count, require_positive
from .objective import Objective
from .params import Params


class ERM(Method):
    """Empirical risk minimisation: the plain gradient on the mixture of seen distortions (Vapnik 1992).

        min_θ E L(f_θ(I_d), I_c)

    I_d is the query batch: each image under a confounder drawn evenly. Two settings make ERM a control of methods that
    look at n batches in each step: with `batches=n` a step sees as many images, and with `lr_share=1/n` n steps go as
    far as one.

    Args:
        batches: the number of mixture batches of which a step takes the mean gradient, one evaluation each; at
            most 256.
        lr_share: the share of the learning rate at which the weights move, above zero.

    Raises:
        ValueError: for other values.
    """

    cost = "1"
    capturable = True
    batches: int = 1

    def __init__(self, batches: int = 1, lr_share: float = 1.0):
        require_count("ERM", batches=batches)
        require_positive("ERM", lr_share=lr_share)
        self.batches = batches
        self.lr_share = lr_share

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇_θ L on the query, one gradient evaluation; or its mean over `batches` mixture batches, one for each."""
        if self.batches == 1:
            return gradient(objective, params, episode.query)
        return mean_gradient(objective, params, episode.mixtures(self.batches))


class StoppedERM(ERM):
    """ERM stopped at its best: the weights are kept that had the highest PSNR on held-out levels (Prechelt 1998).

    Prechelt: Early Stopping, But When?, in Neural Networks: Tricks of the Trade. A method that only delays a collapse
    on unseen levels has to beat this one, which ends before the collapse.

    Departures: the training goes on to the end of its budget, under the schedule of that budget, and the choice is
    made among the weights that were validated on the way (`--validations`).

    Args:
        batches: as of `ERM`.
        lr_share: as of `ERM`.
    """

    select = "held-out"


class Ceiling(ERM):
    """ERM that trains on the held-out and unseen levels too: the trained-on-it ceiling, no competitor.

    The ceiling measures how well the same network restores at the same budget when no level is unseen; "gap closed" is
    measured between ERM and this ceiling.
    """

    trains_on = "all"

    def __init__(self) -> None:
        super().__init__()
