"""Seen and unseen PSNR along trainings, and comparisons of an entry with another one's trajectory at an equal point."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.statistics import Estimate, estimate
from ..evaluation.results import LevelPsnr
from ..protocols.levels import Level, Split
from .runs import RunRecord


@dataclass(frozen=True)
class Trajectory:
    """The trajectory of one training, of the points at which its weights were kept.

    Attributes:
        steps: outer steps, (points,), rising.
        evaluations: gradient evaluations, (points,), rising.
        psnr: PSNR by level, dB, each (points,).
        chosen: PSNR by level of the weights that the training chose, dB.
    """

    steps: NDArray[np.float64]
    evaluations: NDArray[np.float64]
    psnr: dict[Level, NDArray[np.float64]]
    chosen: dict[Level, float]

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """The trajectory that a run record holds; it must hold one."""
        by_point = [_by_level(point.levels) for point in record.kept]
        return cls(
            np.array([point.steps for point in record.kept], dtype=np.float64),
            np.array([point.evaluations for point in record.kept]),
            {level: np.array([psnr[level] for psnr in by_point]) for level in by_point[0]},
            _by_level(record.chosen),
        )

    def mean(self, split: Split) -> NDArray[np.float64]:
        """Mean PSNR over the levels of a split, dB, (points,); nan where there are none."""
        values = [psnr for level, psnr in self.psnr.items() if level.split == split]
        return np.mean(values, axis=0) if values else np.full(len(self.steps), math.nan)

    def chosen_mean(self, split: Split) -> float:
        """Mean PSNR over the levels of a split of the weights that the training chose, dB; nan where there are none."""
        values = [psnr for level, psnr in self.chosen.items() if level.split == split]
        return fmean(values) if values else math.nan


BySeed: TypeAlias = Mapping[int, Trajectory]
"""The trajectories of the trainings of one entry, by seed."""


def _by_level(levels: Sequence[LevelPsnr]) -> dict[Level, float]:
    return {one.level: math.nan if one.psnr is None else float(one.psnr) for one in levels}


def trajectories(records: Sequence[RunRecord]) -> dict[str, dict[int, Trajectory]]:
    """The trajectories that records hold, by their `method` and seed."""
    by_entry: dict[str, dict[int, Trajectory]] = {}
    for record in records:
        if record.kept:
            by_entry.setdefault(record.method, {})[record.seed] = Trajectory.of(record)
    return by_entry


def mean_over_seeds(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean over seeds of their k-th points, as far as all seeds have one."""
    count = min(map(len, values))
    means: NDArray[np.float64] = np.mean([one[:count] for one in values], axis=0)
    return means


def levels_of_trajectories(by_entry: Mapping[str, BySeed]) -> list[Level]:
    """The levels that all trajectories have, in the order of the protocol."""
    tested = [one.psnr for own in by_entry.values() for one in own.values()]
    return [level for level in next(iter(tested), {}) if all(level in psnr for psnr in tested)]


Outside: TypeAlias = Literal["below", "above"]
"""The side on which a point lies outside a trajectory."""

_Comparison: TypeAlias = Callable[[Trajectory, Trajectory], tuple[float, float] | Outside]


def first_reached(values: NDArray[np.float64], value: float) -> float | Outside:
    """Find where values along a training first reach a given one.

    The values need not rise evenly: what counts is the first point that is not below the given value, as on the
    highest values so far. Between this point and the one before, the values are taken to lie on a straight line.

    Args:
        values: one value a point, (points,).
        value: the value to reach; nan gives nan.

    Returns:
        The position among the points, 0 for the first, with its fraction; "below" if the first point is above the
        value already, so that nothing is known of the moment; "above" if no point reaches it.
    """
    if math.isnan(value):
        return math.nan
    reaching = np.flatnonzero(values >= value)
    if not reaching.size:
        return "above"
    after = int(reaching[0])
    if after == 0:
        return 0.0 if values[0] == value else "below"
    before = values[after - 1]
    return after - 1 + float((value - before) / (values[after] - before))


@dataclass(frozen=True)
class AtEqual:
    """The unseen PSNR of an entry less that of a reference entry at a point of its trajectory, paired by seed.

    Attributes:
        difference: mean over the seeds that have such a point, and its interval, dB; nan if none has.
        seeds: number of seeds that both entries have.
        below: number of seeds for which the point lies before the first that the reference's trajectory has.
        above: number of seeds for which the reference's trajectory never comes there.
        steps: mean number of outer steps at the reference's point; nan if there is none.
    """

    difference: Estimate
    seeds: int
    below: int
    above: int
    steps: float

    @classmethod
    def of(cls, by_seed: Sequence[tuple[float, float] | Outside]) -> Self:
        """Summarise differences and steps, or the side on which the point lies outside the trajectory, one a seed."""
        inside = [one for one in by_seed if not isinstance(one, str)]
        return cls(
            estimate([difference for difference, _ in inside]),
            len(by_seed),
            by_seed.count("below"),
            by_seed.count("above"),
            fmean(steps for _, steps in inside) if inside else math.nan,
        )


def at_equal_seen(ours: BySeed, reference: BySeed) -> AtEqual | None:
    """Compare chosen weights with the reference's trajectory where this first reached their seen PSNR.

    A training that is stopped when its seen PSNR reaches a given value needs no unseen level for it: the reference,
    stopped so, is as good on seen levels, and the difference is what the entry has on unseen ones beyond that.

    Args:
        ours: the entry, its weights those that were chosen.
        reference: the entry whose trajectory is the measure, as a rule ERM. Only seeds of both are compared, each with
            the trajectory of the same seed.

    Returns:
        The comparison; None where no seed is common to both.
    """
    return _compared(ours, reference, _at_equal_seen)


def at_equal_steps(ours: BySeed, reference: BySeed) -> AtEqual | None:
    """Compare two trajectories at the same number of outer steps: as many as the shorter of both has.

    Where an entry's budget reaches as many steps as the reference made, that is the end of the reference; else it is
    the entry's own end, and the reference is compared on its way, at a learning rate that may not have come down yet.
    Arguments and result are those of `at_equal_seen`.
    """
    return _compared(ours, reference, _at_equal_steps)


def _compared(ours: BySeed, reference: BySeed, compare: _Comparison) -> AtEqual | None:
    common = sorted(ours.keys() & reference.keys())
    return AtEqual.of([compare(ours[seed], reference[seed]) for seed in common]) if common else None


def _at_equal_seen(ours: Trajectory, reference: Trajectory) -> tuple[float, float] | Outside:
    place = first_reached(reference.mean("seen"), ours.chosen_mean("seen"))
    if isinstance(place, str):
        return place
    points = np.arange(len(reference.steps))
    unseen, steps = (float(np.interp(place, points, values)) for values in (reference.mean("unseen"), reference.steps))
    return ours.chosen_mean("unseen") - unseen, steps


def _at_equal_steps(ours: Trajectory, reference: Trajectory) -> tuple[float, float] | Outside:
    steps = float(min(ours.steps[-1], reference.steps[-1]))
    if steps < max(ours.steps[0], reference.steps[0]):
        return "below"
    mine, other = (float(np.interp(steps, one.steps, one.mean("unseen"))) for one in (ours, reference))
    return mine - other, steps
