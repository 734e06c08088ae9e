"""Inner optimisers: how a virtual update φ = θ − α∇L is taken, and what it says about the outer gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam

from .episode import Params


class InnerOptimiser(Protocol):
    """Takes virtual steps without touching the network."""

    lr: float

    def step(self, params: Params, gradient: Params) -> Params:
        """New parameters after one step; those given stay as they are."""
        ...

    def pseudo_gradient(self, start: Params, end: Params, steps: int) -> Params:
        """What the outer optimiser is given for having moved from `start` to `end` in so many steps."""
        ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


class SGD:
    """φ = θ − αg, equation (3). The pseudo-gradient (θ − φ)/(αK) is the mean gradient along the path."""

    def __init__(self, lr: float):
        self.lr = lr

    def step(self, params: Params, gradient: Params) -> Params:
        return {name: value.detach() - self.lr * gradient[name] for name, value in params.items()}

    def pseudo_gradient(self, start: Params, end: Params, steps: int) -> Params:
        return {name: (value.detach() - end[name]) / (self.lr * steps) for name, value in start.items()}

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if state:
            raise ValueError(f"inner SGD keeps no state, but was given {', '.join(sorted(state))}")


class Adam:
    """Adam with β1 = 0, β2 = 0.999 whose second moments outlive the iteration, as the published code has it.

    The pseudo-gradient is θ − φ as it stands: the outer Adam takes out its scale.
    """

    def __init__(self, lr: float):
        self.lr = lr
        self.second_moments: Params = {}
        self.steps_taken = 0

    def step(self, params: Params, gradient: Params) -> Params:
        names = list(params)
        if not self.second_moments:
            self.second_moments = {name: torch.zeros_like(gradient[name]) for name in names}
        moved = [params[name].detach().clone() for name in names]
        adam(  # torch's own functional form, which updates `moved` and the moments in place
            moved,
            [gradient[name] for name in names],
            [torch.zeros_like(value) for value in moved],  # first moments: with β1 = 0 they carry nothing over
            [self.second_moments[name] for name in names],
            [],
            [torch.tensor(float(self.steps_taken)) for _ in names],
            amsgrad=False,
            beta1=0.0,
            beta2=0.999,
            lr=self.lr,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )
        self.steps_taken += 1
        return dict(zip(names, moved, strict=True))

    def pseudo_gradient(self, start: Params, end: Params, steps: int) -> Params:
        return {name: value.detach() - end[name] for name, value in start.items()}

    def state_dict(self) -> dict[str, Tensor]:
        moments = {f"second_moments.{name}": value for name, value in self.second_moments.items()}
        return moments | {"steps_taken": torch.tensor(self.steps_taken)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if "steps_taken" not in state:
            raise ValueError("inner Adam: the state has no steps_taken")
        self.steps_taken = int(state["steps_taken"])
        prefix = "second_moments."
        self.second_moments = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
