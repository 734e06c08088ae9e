"""Empirical risk minimisation, and its trained-on-it ceiling."""

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

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇_θ L on the query: one gradient evaluation."""
        return gradient(objective, params, episode.query)


class Ceiling(ERM):
    """ERM that trains on the held-out and unseen levels too: the trained-on-it ceiling, no competitor.

    What the same network reaches at the same budget when nothing is unseen; the yardstick for gap closed.
    """

    sees_unseen = True
