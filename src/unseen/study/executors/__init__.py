"""The processes that do the jobs of a study: this one, a pool on this machine, or a Ray cluster."""

from __future__ import annotations

from threading import Event

from ..plan import StudyPlan
from .executor import Executor, ThisProcess


def executor_for(plan: StudyPlan, stop: Event) -> Executor:
    """The processes that the options of a study ask for.

    Args:
        plan: the plan of the study.
        stop: as for `Executor`.

    Raises:
        UserError: they cannot be had.
    """
    if plan.config.ray:
        from .cluster import RayCluster  # an extra

        return RayCluster(plan, stop)
    if plan.config.workers > 1:
        from .pool import LocalPool

        return LocalPool(plan, stop)
    return ThisProcess(plan, stop)
