"""Averages of the weights along the training: EMA and SWA."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from .episode import Episode, Params
from .erm import ERM
from .objective import Objective
from .search_space import Uniform


class WeightAveraging(ERM):
    """ERM whose weights are a running average θ̄ of the iterates θ_0, θ_1 ..., those that `share` says how to count.

    θ itself is trained as by ERM, and never sees the average:

        θ̄ ← θ̄ + s (θ − θ̄)

    with the share s of the newest. `gradient` is handed θ before its step, and takes it into θ̄; `weights` adds the
    iterate that it is handed, for the occasion, so that what is validated and saved does not lag.

    start: the share of the budget, by `episode.progress`, from which iterates are averaged.
    """

    def __init__(self, start: float = 0.0):
        self.start = start
        self.mean: Params = {}
        self.averaged = 0

    @abstractmethod
    def share(self, averaged: int) -> float:
        """s for an iterate that comes after so many others; 1 for the first."""

    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """∇_θ L on the query, as ERM has it: one gradient evaluation."""
        if episode.progress >= self.start:
            self.mean = self.weights(params)
            self.averaged += 1
        return super().gradient(objective, params, episode)

    def weights(self, params: Params) -> Params:
        """θ̄ with `params` as its newest iterate: `params` themselves, copied, while there is no other."""
        share = self.share(self.averaged)
        return {name: self.mean.get(name, value).detach().lerp(value.detach(), share) for name, value in params.items()}

    def state_dict(self) -> dict[str, Tensor]:
        return {f"mean.{name}": value for name, value in self.mean.items()} | {"averaged": torch.tensor(self.averaged)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if "averaged" not in state:
            raise ValueError(f"{type(self).__name__}: the state does not say how many were averaged")
        self.averaged = int(state["averaged"])
        self.mean = {k.removeprefix("mean."): v for k, v in state.items() if k.startswith("mean.")}


class EMA(WeightAveraging):
    """EMA: ERM, its weights averaged exponentially along the training (after Polyak & Juditsky 1992).

    Polyak, Juditsky: Acceleration of Stochastic Approximation by Averaging, SIAM Journal on Control and
    Optimization 1992, average all iterates alike; restoration codes forget them exponentially:

        θ̄_t = d_t θ̄_{t−1} + (1 − d_t) θ_t,   d_t = min(d, t / (t + 9))

    The second term of the minimum is the warm-up of TensorFlow's ExponentialMovingAverage: the average spans about
    the last tenth of the steps until that is 1 / (1 − d) of them, and what is left of the initial weights falls
    as t⁻⁹. Without it, they would make up d^t of the average.

    decay: d, the share of the average that a step keeps, 0 (no averaging) to below 1; 0.999 as in Real-ESRGAN
        (Wang et al. 2021).
    Raises ValueError for other values.
    """

    ranges = MappingProxyType({"decay": Uniform(0.99, 0.9995)})

    def __init__(self, decay: float = 0.999):
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: decay {decay!r} is not in [0, 1)")
        self.decay = decay

    def share(self, averaged: int) -> float:
        return max(1 - self.decay, 9 / (averaged + 9))


class SWA(WeightAveraging):
    """SWA, stochastic weight averaging: ERM, the mean of its late weights (Izmailov et al., UAI 2018).

    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson: Averaging Weights Leads to Wider Optima and Better
    Generalization, algorithm 1:

        θ̄ ← (n θ̄ + θ) / (n + 1)

    over the iterates from the share `start` of the budget on; until then the weights are θ.

    Departures: every step is averaged (c = 1), under the learning rate that the training has, where the paper
    averages once a cycle or epoch, under a cyclic or constant one. No batch statistics are computed anew: they are
    frozen here. SWAD (Cha et al.: SWAD: Domain Generalization by Seeking Flat Minima, NeurIPS 2021) averages every
    step too, over an interval that it finds by validation; ours is set beforehand.

    start: the share of the budget after which averaging begins, 0 to below 1; the paper's 0.75.
    Raises ValueError for other values.
    """

    ranges = MappingProxyType({"start": Uniform(0.3, 0.9)})

    def __init__(self, start: float = 0.75):
        super().__init__(start)
        if not 0 <= start < 1:
            raise ValueError(f"SWA: start {start!r} is not in [0, 1)")

    def share(self, averaged: int) -> float:
        return 1 / (averaged + 1)
