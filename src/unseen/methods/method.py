"""The one verb that every training method has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from .episode import Batch, Episode, Params
from .objective import Objective
from .search_space import SearchRange


class Method(ABC):
    """A way to turn an episode into a gradient for the outer optimiser. One small class a paper.

    A method sees an objective, parameters and an episode; never a data loader, a device or a process group.
    """

    sees_unseen: ClassVar[bool] = False
    """True only for the ceiling, which trains on held-out and unseen levels too and is labelled so."""

    ranges: ClassVar[Mapping[str, SearchRange]] = {}
    """What its settings may be drawn from where they are tuned, by name; those left out keep their defaults."""

    @abstractmethod
    def gradient(self, objective: Objective, params: Params, episode: Episode) -> Params:
        """The gradient, or pseudo-gradient, by parameter name; `params` are left as they are."""

    def check(self, objective: Objective, params: Params, batch: Batch) -> None:  # noqa: B027 (most can train anything)
        """Called once, before the first step: raises ValueError for what this method cannot train.

        A method of second order calls the check of its Hessian-vector product, one of
        `unseen.methods.second_order.HESSIAN_PRODUCTS`.
        """

    def weights(self, params: Params) -> Params:
        """The weights that stand for the training at `params`, for validation and for the checkpoint.

        `params` themselves for most methods; an average over the training for those that keep one.
        """
        return params

    def state_dict(self) -> dict[str, Tensor]:
        """What must survive from one iteration to the next, as tensors by name; nothing for most methods."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state that `state_dict` gave. Raises ValueError if it is another method's."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, but was given {', '.join(sorted(state))}")
