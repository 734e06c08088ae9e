"""How θ learns from the confounders: one small class a paper, one verb, `gradient`."""

from collections.abc import Callable

from .dil import DIL, dil_pf, dil_ps, dil_sf, dil_ss
from .episode import Batch, Episode, Params
from .erm import ERM, Ceiling
from .inner import SGD, Adam
from .method import Method
from .objective import Objective, objective_for

METHODS: dict[str, Callable[..., Method]] = {
    "erm": ERM,
    "ceiling": Ceiling,
    "dil_sf": dil_sf,
    "dil_pf": dil_pf,
    "dil_ss": dil_ss,
    "dil_ps": dil_ps,
}

__all__ = [
    "DIL", "ERM", "METHODS", "SGD", "Adam", "Batch", "Ceiling", "Episode", "Method", "Objective", "Params",
    "dil_pf", "dil_ps", "dil_sf", "dil_ss", "objective_for",
]  # fmt: skip
