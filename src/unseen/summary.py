"""Rows to means: over images, over the confounders of a split, over seeds.

Everything printed, plotted or published is computed here, so that no table can disagree with another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import fmean, stdev
from typing import Any, Literal, TypeAlias, TypeVar

from .errors import UserError
from .rows import SPLITS, Level, Row, Split

Measure: TypeAlias = Literal["psnr", "ssim"]
T = TypeVar("T")
K = TypeVar("K")

BASELINE = "erm"
CEILING = "ceiling"
INPUT = "input (no restoration)"
SMALLEST_GAP = 0.1
"""dB between baseline and ceiling below which a share of that gap would be mostly chance."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and their standard deviation (ddof 1).

    `spread` is None where it does not exist: one seed, or a mean that is not finite.
    """

    mean: float
    spread: float | None = None


@dataclass(frozen=True)
class Means:
    """What a method restores to within one split, and what it was given, on `images` distinct images."""

    method: str
    split: Split
    psnr: Estimate
    ssim: Estimate
    input_psnr: Estimate
    input_ssim: Estimate
    seeds: int
    images: int


@dataclass(frozen=True)
class Summary(Means):
    """One cell of a per-level table: a method under one confounder."""

    distortion: str
    degree: str | float


@dataclass(frozen=True)
class SplitMean(Means):
    """A method over all confounders of one split, each confounder with the same weight."""

    levels: int


def methods_of(rows: Iterable[Row]) -> list[str]:
    """The methods, in order of appearance."""
    return list(dict.fromkeys(row.method for row in rows))


def levels_of(rows: Iterable[Row]) -> list[Level]:
    """The confounders with their split, in order of appearance."""
    return list(dict.fromkeys(row.level for row in rows))


def is_ceiling(method: str) -> bool:
    """Whether a method trained on the unseen levels too, and so bounds the others instead of competing."""
    return method.casefold() == CEILING


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """Mean of each seed over its images, then mean and spread over seeds, for every method and level.

    Methods and then levels come in order of appearance. An infinite PSNR makes its mean infinite.
    Raises UserError where `check_comparable` does.
    """
    check_comparable(rows)
    cells = grouped(rows, lambda row: (row.method, row.level))
    return [
        Summary(**_means(cells[method, level]), distortion=level[1], degree=level[2])
        for method in methods_of(rows)
        for level in levels_of(rows)
    ]


def split_means(rows: Sequence[Row]) -> list[SplitMean]:
    """Mean over the confounders of each split, one weight each whatever their number of images.

    Within a confounder the images of all data sets are pooled; over seeds as in `summarise`. Methods in
    order of appearance, splits as in `SPLITS`, those without rows left out.
    Raises UserError where `check_comparable` does.
    """
    check_comparable(rows)
    cells = grouped(rows, lambda row: (row.method, row.split))
    return [
        SplitMean(**_means(cells[method, split]), levels=len(levels_of(cells[method, split])))
        for method in methods_of(rows)
        for split in SPLITS
        if (method, split) in cells
    ]


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """The items by key, both in order of appearance."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _means(rows: Sequence[Row]) -> dict[str, Any]:
    """The fields of `Means`, from rows of one method and split."""
    by_seed = grouped(rows, lambda row: row.seed).values()
    seeds = [grouped(of_seed, lambda row: row.level).values() for of_seed in by_seed]
    found: dict[str, Any] = {"method": rows[0].method, "split": rows[0].split, "seeds": len(seeds)}
    for measure in ("psnr", "ssim", "input_psnr", "input_ssim"):
        means = [fmean(fmean(map(attrgetter(measure), images)) for images in levels) for levels in seeds]
        exists = len(means) > 1 and all(map(math.isfinite, means))
        found[measure] = Estimate(fmean(means), stdev(means) if exists else None)
    return {**found, "images": len({(row.dataset, row.image) for row in rows})}


def check_comparable(rows: Sequence[Row]) -> None:
    """Refuse rows whose means would not be about the same thing.

    Raises UserError for: no rows; more than one convention, protocol or budget; an image counted twice
    for one method, seed and confounder; networks measured on different images or confounders.
    """
    if not rows:
        raise UserError("no rows: there is nothing to tabulate")
    for what, values in (
        ("protocols", {row.protocol for row in rows}),
        ("versions of a protocol", {row.protocol_hash for row in rows}),
        ("metric conventions", {row.convention for row in rows}),
        ("budgets (gradient evaluations)", {str(row.budget) for row in rows}),
    ):
        if len(values) > 1:
            listed = ", ".join(sorted(values))
            raise UserError(f"rows of {len(values)} {what} in one table ({listed}): keep one")
    measured: dict[str, set[tuple[Level, str, str]]] = {}
    for row in rows:
        network, item = f"{row.method}, seed {row.seed}", (row.level, row.dataset, row.image)
        items = measured.setdefault(network, set())
        if item in items:
            raise UserError(f"{_name(item)} appears twice for {network}: remove one")
        items.add(item)
    (first, expected), *others = measured.items()
    for network, items in others:
        if unlike := expected ^ items:
            example = min(unlike, key=str)
            has, lacks = (first, network) if example in expected else (network, first)
            raise UserError(
                f"{lacks} was not measured on {_name(example)} but {has} was ({len(unlike)} such "
                "differences): measure every network on the same images"
            )


def _name(item: tuple[Level, str, str]) -> str:
    (split, distortion, degree), dataset, image = item
    return f"{dataset}/{image} under {distortion} {degree} ({split})"


def gap_closed(means: Iterable[SplitMean]) -> dict[str, float]:
    """The share of the way from ERM to the ceiling that each other method goes, by mean unseen PSNR.

    (method - ERM) / (ceiling - ERM): 0 is no better than ERM, 1 as good as training on the unseen levels.
    Empty without an ERM and a ceiling, or where less than `SMALLEST_GAP` dB lies between the two.
    """
    psnr = {mean.method: mean.psnr.mean for mean in means if mean.split == "unseen"}
    floor = next((psnr[name] for name in psnr if name.casefold() == BASELINE), math.nan)
    top = next((psnr[name] for name in psnr if is_ceiling(name)), math.nan)
    if not SMALLEST_GAP <= top - floor < math.inf:
        return {}
    rivals = [name for name in psnr if not is_ceiling(name) and name.casefold() != BASELINE]
    return {name: (psnr[name] - floor) / (top - floor) for name in rivals}


class Study:
    """All that tables, charts and page draw on, computed once from the rows.

    `lines` are those of every table: the input, then the methods. `seeds` counts them by method, `gap` is
    `gap_closed`. Raises UserError where `check_comparable` does.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        cells, means = summarise(rows), split_means(rows)
        self.rows = rows
        self.methods = methods_of(rows)
        self.lines = [INPUT, *self.methods]
        self.levels = levels_of(rows)
        self.distortions = list(dict.fromkeys(distortion for _, distortion, _ in self.levels))
        self.splits = list(dict.fromkeys(mean.split for mean in means))
        self.seeds = {mean.method: mean.seeds for mean in means}
        self.gap = gap_closed(means)
        self._means: dict[tuple[str, Split | Level], Means] = {
            **{(mean.method, mean.split): mean for mean in means},
            **{(cell.method, (cell.split, cell.distortion, cell.degree)): cell for cell in cells},
        }

    def estimates(self, measure: Measure, where: Split | Level) -> dict[str, Estimate]:
        """One a line: the input's own figure, which has no spread, then every method's."""
        found = [self._means[method, where] for method in self.methods]
        given = found[0].input_psnr if measure == "psnr" else found[0].input_ssim
        restored = {mean.method: mean.psnr if measure == "psnr" else mean.ssim for mean in found}
        return {INPUT: Estimate(given.mean), **restored}
