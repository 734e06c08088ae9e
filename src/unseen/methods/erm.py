"""Empirical risk minimisation, and the ceiling: the same, trained on unseen levels too."""

from __future__ import annotations

from .episode import Episode
from .gradients import gradient
from .method import Method
from .objective import Objective
from .params import Params


class ERM(Method):
    """Empirical risk minimisation: the plain gradient on the mixture of seen distortions (Vapnik 1992).

        min_θ E L(f_θ(I_d), I_c)

    I_d is the query batch: each image under a confounder drawn evenly.
    """

    cost = "1"
    capturable = True

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇_θ L on the query: one gradient evaluation."""
        return gradient(objective, params, episode.query)


class Ceiling(ERM):
    """ERM that trains on the held-out and unseen levels too: the trained-on-it ceiling, no competitor.

    The ceiling measures how well the same network restores at the same budget when no level is unseen; "gap closed" is
    measured between ERM and this ceiling.
    """

    sees_unseen = True
