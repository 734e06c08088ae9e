"""Averages of the weights along the training: EMA and SWA."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from .episode import Episode
from .erm import ERM
from .inner_optimiser import saved_count
from .method import require_share
from .objective import Objective
from .params import Params, interpolate
from .search_space import Uniform

Share: TypeAlias = Callable[[int], float]
"""The share s of the newest iterate in θ̄, as a function of the number of earlier iterates in θ̄; 1 for none."""


class WeightAverage:
    """A running average θ̄ of the iterates θ_0, θ_1 ... of a training.

        θ̄ ← θ̄ + s (θ − θ̄)

    Before each step θ is averaged into θ̄ by `add`. After a step `weights` returns the average with the new θ, without
    keeping that average: so the weights that are validated and saved are not one step late.

    Args:
        share: s.

    Attributes:
        mean: θ̄; empty before the first iterate.
        averaged: the number of iterates in θ̄.
    """

    def __init__(self, share: Share):
        self.share = share
        self.mean: Params = {}
        self.averaged = 0

    def add(self, params: Params) -> None:
        """Average `params` into θ̄."""
        self.mean = self.weights(params)
        self.averaged += 1

    def weights(self, params: Params) -> Params:
        """θ̄ with `params` as its newest iterate; a copy of `params` while there is no other iterate."""
        return interpolate(self.mean or params, params, self.share(self.averaged))

    def state_dict(self) -> dict[str, Tensor]:
        """θ̄ and the number of iterates in it."""
        return {f"mean.{name}": value for name, value in self.mean.items()} | {"averaged": torch.tensor(self.averaged)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore θ̄. Raises ValueError where the number of averaged iterates is missing."""
        self.averaged = saved_count(state, "averaged")
        self.mean = {k.removeprefix("mean."): v for k, v in state.items() if k.startswith("mean.")}


def ema_share(decay: float) -> Share:
    """The share 1 − d_t of the newest iterate in an exponential average: see `EMA`, which says what `decay` is."""
    return lambda averaged: max(1 - decay, 9 / (averaged + 9))


class WeightAveraging(ERM):
    """ERM whose tested weights are a running average of the iterates; θ itself does not depend on the average.

    Args:
        share: the share of the newest iterate in the average.
        start: the share of the budget, by `episode.progress`, from which iterates are averaged.
    """

    def __init__(self, share: Share, start: float = 0.0):
        super().__init__()
        self.average = WeightAverage(share)
        self.start = start

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇_θ L on the query, as for ERM: one gradient evaluation. Averages `params` into θ̄."""
        if episode.progress >= self.start:
            self.average.add(params)
        return super().gradient(objective, params, episode)

    def weights(self, params: Params) -> Params:
        """θ̄ with `params` as its newest iterate."""
        return self.average.weights(params)

    def state_dict(self) -> dict[str, Tensor]:
        """θ̄ and the number of iterates in it."""
        return self.average.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore θ̄. Raises ValueError where the number of averaged iterates is missing."""
        self.average.load_state_dict(state)


class EMA(WeightAveraging):
    """EMA: ERM, its weights averaged exponentially along the training (after Polyak & Juditsky 1992).

    Polyak, Juditsky: Acceleration of Stochastic Approximation by Averaging, SIAM Journal on Control and
    Optimization 1992, average all iterates alike; restoration codes forget them exponentially:

        θ̄_t = d_t θ̄_{t−1} + (1 − d_t) θ_t,   d_t = min(d, t / (t + 9))

    The second term of the minimum is the warm-up of TensorFlow's ExponentialMovingAverage: the average spans about
    the last tenth of the steps until a tenth of the steps is 1 / (1 − d), and the share of the initial weights falls
    as t⁻⁹. Without the warm-up, the initial weights would make up d^t of the average.

    Args:
        decay: d, the share of the average that a step keeps, 0 (no averaging) to below 1; 0.999 as in Real-ESRGAN
            (Wang et al. 2021).

    Raises:
        ValueError: for other values.
    """

    cost = "1"
    ranges: ClassVar = {"decay": Uniform(0.99, 0.9995)}

    def __init__(self, decay: float = 0.999):
        require_share("EMA", decay=decay)
        super().__init__(ema_share(decay))


class SWA(WeightAveraging):
    """SWA, stochastic weight averaging: ERM, the mean of its late weights (Izmailov et al., UAI 2018).

    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson: Averaging Weights Leads to Wider Optima and Better
    Generalization, algorithm 1:

        θ̄ ← (n θ̄ + θ) / (n + 1)

    over the iterates from the share `start` of the budget on; until then the weights are θ.

    Departures: every step is averaged (c = 1), under the learning rate that the training has, where the paper
    averages once a cycle or epoch, under a cyclic or constant rate. No batch statistics are computed anew: they are
    frozen here. SWAD (Cha et al.: SWAD: Domain Generalization by Seeking Flat Minima, NeurIPS 2021) averages every
    step too, over an interval that validation chooses; here `start` sets the interval beforehand.

    Args:
        start: the share of the budget after which averaging begins, 0 to below 1; the paper's 0.75.

    Raises:
        ValueError: for other values.
    """

    cost = "1"
    ranges: ClassVar = {"start": Uniform(0.3, 0.9)}

    def __init__(self, start: float = 0.75):
        require_share("SWA", start=start)
        super().__init__(lambda averaged: 1 / (averaged + 1), start)
