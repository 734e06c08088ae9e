"""Inner optimisers: they take virtual steps such as φ = θ − α∇L, and turn these into the outer gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from .params import Params, add_scaled, divide, subtract, zeros_like

BETA2, EPSILON = 0.999, 1e-8
"""Adam's defaults: the share of the second moments that a step keeps, and what keeps a division by zero away."""


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

    Kingma & Ba 2015, algorithm 1. With β1 = 0 the first moment is the gradient itself:

        t ← t + 1,   s ← β2 s + (1 − β2) g²,   φ ← φ − α g / (√s / √(1 − β2^t) + 1e-8)

    Args:
        lr: α, the virtual learning rate.

    Attributes:
        second_moments: s, by parameter name; empty before the first step.
        steps_taken: t, a whole number on the device of the parameters, so that a step can be captured in a graph.
    """

    def __init__(self, lr: float):
        self.lr = lr
        self.second_moments: Params = {}
        self.steps_taken = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def step(self, params: Params, gradient: Params) -> Params:
        """The parameters after one step of Adam; the second moments are updated too."""
        slopes = [gradient[name] for name in params]
        if not self.second_moments:
            self.second_moments = zeros_like(gradient)
            self.steps_taken = self.steps_taken.to(slopes[0].device)
        moments = [self.second_moments[name] for name in params]
        torch._foreach_mul_(moments, BETA2)
        torch._foreach_addcmul_(moments, slopes, slopes, 1 - BETA2)
        self.steps_taken += 1
        precise = torch.float32 if self.steps_taken.device.type == "mps" else torch.float64  # which MPS does not have
        # √(1 − β2^t), by expm1 since float32 would lose four digits of it in the first steps.
        correction = (-torch.expm1(self.steps_taken.to(precise) * math.log(BETA2))).sqrt().to(slopes[0].dtype)
        scales = torch._foreach_sqrt(moments)
        torch._foreach_div_(scales, correction)
        torch._foreach_add_(scales, EPSILON)
        moved = torch._foreach_addcdiv(list(params.values()), slopes, scales, -self.lr)
        return dict(zip(params, moved, strict=True))

    def pseudo_gradient(self, start: Params, end: Params, steps: int) -> Params:
        """θ − φ, unscaled: the outer Adam divides by the scale of its gradients anyway."""
        return subtract(start, end)

    def state_dict(self) -> dict[str, Tensor]:
        """The second moments and the number of steps taken."""
        moments = {f"second_moments.{name}": value for name, value in self.second_moments.items()}
        return moments | {"steps_taken": self.steps_taken}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore moments and number of steps. Raises ValueError where the number of steps is missing or none."""
        saved_count(state, "steps_taken")
        self.steps_taken = state["steps_taken"]
        prefix = "second_moments."
        self.second_moments = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


class FreshAdam(Adam):
    """Adam with β1 = 0, β2 = 0.999 that begins every iteration anew, where `Adam` keeps its second moments.

    Args:
        lr: α, the virtual learning rate.
    """

    def pseudo_gradient(self, start: Params, end: Params, steps: int) -> Params:
        """θ − φ; second moments and the number of steps go back to zero, in place, as a captured graph needs it."""
        torch._foreach_zero_(list(self.second_moments.values()))
        self.steps_taken.zero_()
        return super().pseudo_gradient(start, end, steps)

    def state_dict(self) -> dict[str, Tensor]:
        """An empty state: nothing outlives the iteration."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Raise ValueError for any state but an empty one."""
        if state:
            raise ValueError(f"a fresh inner Adam keeps no state, but the state has {', '.join(sorted(state))}")
