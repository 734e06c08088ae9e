"""The base class of training methods, with the one verb `gradient`, and checks of settings that methods share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

from torch import Tensor

from .episode import Batch, Episode
from .objective import Objective
from .params import Params
from .search_space import SearchRange

TrainsOn: TypeAlias = Literal["seen", "widened", "all"]
"""Which confounders a method trains on: see `Method.trains_on`."""


class Method(ABC):
    """A way to turn an episode into a gradient for the outer optimiser. One small class a paper.

    A method sees an objective, parameters and an episode; never a data loader, a device or a process group.
    The arguments of `__init__` are the method's settings. Everything that must last from one step to the next goes
    through `state_dict` and `load_state_dict`.
    """

    cost: ClassVar[str] = ""
    """The gradient evaluations of one step, in terms of n, the number of confounders: "1", "n + 1", "4n".

    Every built-in method states its cost; docs/comparing.md shows the cost, and a test counts the evaluations.
    """

    trains_on: ClassVar[TrainsOn] = "seen"
    """Which of a protocol's confounders an episode is made of.

    `seen`: those that the protocol calls seen. `widened`: these, and each of them again, followed by another of them or
    faded. `all`: held-out and unseen ones too, for the ceiling alone, which is labelled so.
    """

    capturable: bool = False
    """Whether all steps are the same operations on tensors that stay in place, which a graph can repeat.

    Such a method takes its randomness from `Episode.in_random_order` alone, reads neither `Episode.progress` nor a
    tensor's value, and `state_dict` returns the very tensors that its steps change. A subclass with a `gradient` of
    its own must say so anew.
    """

    takes_whole_batches: ClassVar[bool] = False
    """Whether the loss of a batch is no mean over its images, so that no pieces of it can stand for the batch.

    Other methods compute their gradients by `unseen.methods.gradients`, which takes pieces where the objective asks
    for them (`Objective.accumulate`).
    """

    lr_share: float = 1.0
    """The share of the learning rate, whatever its schedule, at which the outer optimiser moves by the gradient."""

    select: ClassVar[Literal["", "held-out"]] = ""
    """The levels on which a method that stops early chooses the weights to keep, among those that were validated.

    Empty for methods that leave this choice to the options of the training.
    """

    ranges: ClassVar[Mapping[str, SearchRange]] = {}
    """The range from which tuning draws each setting, by its name; a setting without a range keeps its default."""

    def __init_subclass__(cls) -> None:
        """Let no class inherit `capturable` from the gradient that it replaces: its graph might repeat one draw."""
        super().__init_subclass__()
        if "gradient" in vars(cls) and "capturable" not in vars(cls):
            cls.capturable = False

    @abstractmethod
    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The gradient, or pseudo-gradient, by parameter name; `params` are left as they are."""

    def check(self, objective: Objective, params: Params, batch: Batch) -> None:  # noqa: B027 (most can train anything)
        """Refuse a network, loss or batch that this method cannot train; called once, before the first step.

        A method of second order calls the check of its Hessian-vector product, one of
        `unseen.methods.second_order.HESSIAN_PRODUCTS`.

        Raises:
            ValueError: the method cannot train this network, or not with this loss or batch.
        """

    def weights(self, params: Params) -> Params:
        """The weights to validate and to save when training stands at `params`.

        For most methods `params` themselves; for those that average weights, the average.
        """
        return params

    def state_dict(self) -> dict[str, Tensor]:
        """The state that must survive from one step to the next, as tensors by name; empty for most methods."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state of `state_dict`.

        Raises:
            ValueError: for the state of another method.
        """
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, but the state has {', '.join(sorted(state))}")


def require_nonnegative(owner: str, **settings: float) -> None:
    """Raise ValueError, naming the owner of the settings, for one that is below zero or not finite."""
    for name, value in settings.items():
        if not 0 <= value < math.inf:
            reason = "below zero" if value < 0 else "not finite"
            raise ValueError(f"{owner}: {name} {value!r} is {reason}")


def require_positive(owner: str, **settings: float) -> None:
    """Raise ValueError, naming the owner of the settings, for one that is not above zero, or not finite."""
    for name, value in settings.items():
        if not 0 < value < math.inf:
            reason = "not above zero" if value <= 0 else "not finite"
            raise ValueError(f"{owner}: {name} {value!r} is {reason}")


def require_share(owner: str, **settings: float) -> None:
    """Raise ValueError, naming the owner of the settings, for one that is not in [0, 1)."""
    for name, value in settings.items():
        if not 0 <= value < 1:
            raise ValueError(f"{owner}: {name} {value!r} is not within [0, 1)")


def require_count(owner: str, most: int = 256, **settings: int) -> None:
    """Raise ValueError, naming the owner of the settings, for one below 1 or above `most`.

    A training ends between two steps, so that one step must not take for ever.
    """
    for name, value in settings.items():
        if not 1 <= value <= most:
            raise ValueError(f"{owner}: {name} {value!r} is not from 1 to {most}")
