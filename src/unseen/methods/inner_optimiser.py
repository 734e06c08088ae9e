"""Inner optimisers: they take virtual steps such as φ = θ − α∇L, and turn these into the outer gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam

from .params import Params, add_scaled, divide, subtract, zeros_like


class InnerOptimiser(Protocol):
    """An optimiser that takes virtual steps: it returns new parameters, and leaves the network as it is.

    Attributes:
        lr: α, the virtual learning rate.
    """

    lr: float

    def step(self, params: Params, gradient: Params) -> Params:
        """The parameters after one step; `params` stay as they are."""
        ...

    def pseudo_gradient(self, start: Params, end: Params, steps: int) -> Params:
        """The gradient for the outer optimiser after `steps` virtual steps have led from `start` to `end`."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """The state that outlives the iteration, as tensors by name."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state of `state_dict`. Raises ValueError for the state of another optimiser."""
        ...


def saved_count(state: Mapping[str, Tensor], name: str) -> int:
    """Read a count from the state of a method. Raises ValueError where it is missing, or no whole number from 0 on."""
    count = state.get(name)
    if count is None or count.shape != () or count.is_floating_point() or count < 0:
        raise ValueError(f"{name}: {'is missing' if count is None else 'is no whole number of 0 or more'}")
    return int(count)


class SGD:
    """Plain gradient descent φ = θ − αg, equation (3) of DIL.

    Args:
        lr: α, the virtual learning rate.
    """

    def __init__(self, lr: float):
        self.lr = lr

    def step(self, params: Params, gradient: Params) -> Params:
        """θ − αg."""
        return add_scaled(params, -self.lr, gradient)

    def pseudo_gradient(self, start: Params, end: Params, steps: int) -> Params:
        """(θ − φ)/(αK), which is the mean gradient along a path of K steps."""
        return divide(subtract(start, end), self.lr * steps)

    def state_dict(self) -> dict[str, Tensor]:
        """An empty state: plain descent keeps nothing between steps."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Raise ValueError for any state but an empty one."""
        if state:
            raise ValueError(f"inner SGD keeps no state, but the state has {', '.join(sorted(state))}")


class Adam:
    """Adam with β1 = 0, β2 = 0.999 whose second moments outlive the iteration, as the published code of DIL has it.

    Args:
        lr: α, the virtual learning rate.
    """

    def __init__(self, lr: float):
        self.lr = lr
        self.second_moments: Params = {}
        self.steps_taken = 0

    def step(self, params: Params, gradient: Params) -> Params:
        """The parameters after one step of Adam; the second moments are updated too."""
        names = list(params)
        self.second_moments = self.second_moments or zeros_like(gradient)
        moved = [params[name].detach().clone() for name in names]
        adam(  # torch's own functional form, which updates `moved` and the moments in place
            moved,
            [gradient[name] for name in names],
            [torch.zeros_like(value) for value in moved],  # first moments: with β1 = 0 they carry nothing over
            [self.second_moments[name] for name in names],
            [],
            [torch.tensor(float(self.steps_taken)) for _ in names],
            amsgrad=False,
            foreach=True,
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
        """θ − φ, unscaled: the outer Adam divides by the scale of its gradients anyway."""
        return subtract(start, end)

    def state_dict(self) -> dict[str, Tensor]:
        """The second moments and the number of steps taken."""
        moments = {f"second_moments.{name}": value for name, value in self.second_moments.items()}
        return moments | {"steps_taken": torch.tensor(self.steps_taken)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore moments and number of steps. Raises ValueError where the number of steps is missing or none."""
        self.steps_taken = saved_count(state, "steps_taken")
        prefix = "second_moments."
        self.second_moments = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
