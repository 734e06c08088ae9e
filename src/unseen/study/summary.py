"""The statistics of a study: means over images, over the confounders of a split and over seeds, and differences.

Everything printed, plotted or published is computed here, so that no table can disagree with another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from statistics import fmean

from ..core.errors import UserError
from ..core.grouping import grouped
from ..core.statistics import Estimate, Resampled, estimate, holm
from ..evaluation.results import ImageResult
from ..protocols.levels import SPLITS, Level, Split
from .entry_names import BASELINE, CEILING, INPUT, entry_name, is_ceiling
from .entry_results import EntryResults, Measure
from .runs import RunRecord
from .trajectory import AtEqual, BySeed, Trajectory, at_equal_seen, at_equal_steps, trajectories

SMALLEST_GAP = 0.1
"""dB between baseline and ceiling below which a share of that gap would be mostly chance."""


@dataclass(frozen=True)
class Difference(Resampled):
    """The unseen mean PSNR of an entry less that of another, dB, paired over images and common seeds.

    Attributes:
        reference: the entry that is subtracted.
        seeds: number of seeds that both entries have.
        corrected: p corrected for all comparisons of the study (Holm). None for a ceiling, which does not compete,
            and where p is nan, with one seed and one image.
    """

    reference: str
    seeds: int
    corrected: float | None = None


@dataclass(frozen=True)
class Cost:
    """The mean cost of an entry's trainings.

    Attributes:
        trainings: number of trainings.
        evaluations: mean number of gradient evaluations.
        steps: mean number of outer steps.
        seconds: mean time of these steps.
        memory: mean peak memory of a training, MiB; nan where it is unknown.
    """

    trainings: int
    evaluations: float
    steps: float
    seconds: float
    memory: float


def levels_in_order(results: Iterable[ImageResult]) -> list[Level]:
    """List the levels of these results, in order of appearance."""
    return list(dict.fromkeys(result.level for result in results))


def with_entry_names(results: Sequence[ImageResult], own: str) -> list[ImageResult]:
    """Return the results with the name of their entry for a method; `own` is the study's backbone."""
    return [replace(result, method=entry_name(result.method, result.backbone, own)) for result in results]


def check_comparable(results: Sequence[ImageResult], own: str = "") -> None:
    """Refuse results whose means would not be about the same thing.

    A network is a method on a backbone, and a seed.

    Args:
        results: the results of one study.
        own: the study's backbone; that of the first result if empty.

    Raises:
        UserError: for no results; more than one convention, protocol, budget, selection of weights or number of
            settings tried; two backbones under one name; an image counted twice for one network and confounder;
            networks measured on different images or confounders.
    """
    if not results:
        raise UserError("no results: there is nothing to tabulate")
    for what, values in (
        ("protocols", {result.protocol for result in results}),
        ("versions of a protocol", {result.protocol_hash for result in results}),
        ("metric conventions", {result.convention for result in results}),
        ("budgets", {result.budget for result in results}),
        ("selections of weights (select)", {result.select for result in results}),
        ("numbers of settings tried (tune)", {str(result.tuned) for result in results}),
    ):
        if len(values) > 1:
            listed = ", ".join(sorted(values))
            raise UserError(f"results of {len(values)} {what} in one table ({listed}): keep one")
    measured: dict[str, set[tuple[Level, str, str]]] = {}
    backbones: dict[str, str] = {}
    for result in results:
        entry = entry_name(result.method, result.backbone, own or results[0].backbone)
        if backbones.setdefault(entry, result.backbone) != result.backbone:
            both = f"{backbones[entry]} and {result.backbone}"
            raise UserError(f"{entry} would stand for two backbones, {both}: keep one")
        network, item = f"{entry}, seed {result.seed}", (result.level, result.dataset, result.image)
        items = measured.setdefault(network, set())
        if item in items:
            raise UserError(f"{_item_name(item)} appears twice for {network}: remove one")
        items.add(item)
    (first, expected), *others = measured.items()
    for network, items in others:
        if unlike := expected ^ items:
            example = min(unlike, key=str)
            has, lacks = (first, network) if example in expected else (network, first)
            raise UserError(
                f"{lacks} was not measured on {_item_name(example)} but {has} was ({len(unlike)} such "
                "differences): measure every network on the same images"
            )


def _item_name(item: tuple[Level, str, str]) -> str:
    (split, distortion, degree), dataset, image = item
    return f"{dataset}/{image} under {distortion} {degree} ({split})"


class StudySummary:
    """All that tables, charts and page show, computed from the results of finished runs and records of their cost.

    An entry is a method on a backbone, called by its name (`entry_names.entry_name`); every dictionary goes by names.

    Attributes:
        results: the image results, with the name of the entry as `method`.
        records: the run records of entries that have results, with the name of the entry as `method`.
        methods: names of the entries, in order of appearance.
        entries: names in the tables: `INPUT`, and then `methods`.
        backbones: the backbone by entry.
        levels: the levels of the results, in order of appearance.
        splits: the splits of these levels, in the order of `SPLITS`.
        distortions: the distortions of these levels.
        seeds: number of seeds by entry.
        images: number of test images.
        protocol: name of the protocol, the same in every result.
        budget: budget, the same in every result.
        select: selection of weights, the same in every result.
        tuned: number of settings tried, the same in every result.
    """

    def __init__(self, results: Sequence[ImageResult], records: Sequence[RunRecord] = (), backbone: str = "") -> None:
        """Compute nothing yet, but check that the results can be compared.

        Args:
            results: the results of one study.
            records: run records of its trainings, as far as they exist.
            backbone: the study's backbone; that of the first result if empty.

        Raises:
            UserError: where `check_comparable` does.
        """
        check_comparable(results, backbone)
        self._own_backbone = backbone or results[0].backbone
        self.results = with_entry_names(results, self._own_backbone)
        self._by_entry = {
            name: EntryResults(group) for name, group in grouped(self.results, lambda result: result.method).items()
        }
        named = [replace(record, method=self.entry_name(record.method, record.backbone)) for record in records]
        self.records = [record for record in named if record.method in self._by_entry]
        self.methods = list(self._by_entry)
        self.entries = [INPUT, *self.methods]
        self.levels = levels_in_order(self.results)
        self.distortions = list(dict.fromkeys(level.distortion for level in self.levels))
        self.splits = [split for split in SPLITS if self.levels_in(split)]
        self.backbones = {name: entry.backbone for name, entry in self._by_entry.items()}
        self.seeds = {name: len(entry.seeds) for name, entry in self._by_entry.items()}
        self.images = len({(result.dataset, result.image) for result in results})
        self.protocol, self.budget = results[0].protocol, results[0].budget
        self.select, self.tuned = results[0].select, results[0].tuned

    def entry_name(self, method: str, backbone: str) -> str:
        """Name the entry of a method on a backbone as this study does."""
        return entry_name(method, backbone, self._own_backbone)

    def levels_in(self, split: Split) -> list[Level]:
        """List the levels of one split."""
        return [level for level in self.levels if level.split == split]

    @property
    def rivals(self) -> list[str]:
        """The entries that compete: all but ceilings."""
        return [name for name in self.methods if not is_ceiling(name)]

    def estimates(self, measure: Measure, where: Split | Level) -> dict[str, Estimate]:
        """Estimate PSNR or SSIM of the distorted input, which has no spread, and of every entry.

        Args:
            measure: PSNR (dB) or SSIM.
            where: a level, or a split, whose levels count the same.

        Returns:
            By name of the entry, the input first.
        """
        levels = [where] if isinstance(where, Level) else self.levels_in(where)
        first = next(iter(self._by_entry.values()))
        distorted = first.by_seed("input_psnr" if measure == "psnr" else "input_ssim", levels)
        restored = {name: estimate(entry.by_seed(measure, levels)) for name, entry in self._by_entry.items()}
        return {INPUT: Estimate(float(distorted[0])), **restored}

    @cached_property
    def worst(self) -> dict[str, tuple[Level, Estimate]]:
        """By entry, the input's too, the unseen level of the lowest PSNR; empty where nothing is unseen."""
        by_level = [(level, self.estimates("psnr", level)) for level in self.levels_in("unseen")]
        psnr = {name: [(level, means[name]) for level, means in by_level] for name in self.entries if by_level}
        return {name: min(levels, key=lambda item: _or_lowest(item[1].mean)) for name, levels in psnr.items()}

    @cached_property
    def seen_cost(self) -> dict[str, Estimate]:
        """By entry, PSNR that it gives up on seen levels: ERM's less its own, dB, paired over the seeds of both."""
        if BASELINE not in self._by_entry or "seen" not in self.splits:
            return {}
        levels, base = self.levels_in("seen"), self._by_entry[BASELINE]
        erm = dict(zip(base.seeds, base.by_seed("psnr", levels), strict=True))
        costs = {}
        for name, entry in self._by_entry.items():
            psnr = zip(entry.seeds, entry.by_seed("psnr", levels), strict=True)
            paired = [erm[seed] - value for seed, value in psnr if seed in erm]
            if name != BASELINE and paired:
                costs[name] = estimate(paired)
        return costs

    @cached_property
    def trajectories(self) -> dict[str, dict[int, Trajectory]]:
        """The trajectories of trainings that kept weights, by entry and seed."""
        return trajectories(self.records)

    @cached_property
    def at_equal_seen(self) -> dict[str, AtEqual]:
        """By entry, its unseen PSNR less that of ERM's trajectory at equal seen PSNR (`trajectory.at_equal_seen`)."""
        return self._at_equal(at_equal_seen)

    @cached_property
    def at_equal_steps(self) -> dict[str, AtEqual]:
        """By entry, its unseen PSNR less that of ERM at equal outer steps (`trajectory.at_equal_steps`)."""
        return self._at_equal(at_equal_steps)

    def _at_equal(self, compare: Callable[[BySeed, BySeed], AtEqual | None]) -> dict[str, AtEqual]:
        base = self.trajectories.get(BASELINE, {})
        trajectories = {name: own for name, own in self.trajectories.items() if name != BASELINE}
        if not {"seen", "unseen"} <= set(self.splits):
            return {}
        compared = {name: compare(own, base) for name, own in trajectories.items()}
        return {name: difference for name, difference in compared.items() if difference}

    @cached_property
    def harm(self) -> dict[str, dict[Split, float]]:
        """By entry and split, the share of test images that it makes worse than the distorted input, by PSNR."""
        return {
            name: {split: fmean(entry.harm_by_seed(self.levels_in(split))) for split in self.splits}
            for name, entry in self._by_entry.items()
        }

    @cached_property
    def invariance(self) -> dict[str, Estimate]:
        """By entry, the mean PSNR between restorations of one content under different levels; nan if there are none."""
        return {name: estimate(entry.invariance_by_seed()) for name, entry in self._by_entry.items()}

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """The mean cost of the trainings by entry; only entries with run records."""
        return {name: _cost(group) for name, group in grouped(self.records, lambda record: record.method).items()}

    @property
    def machines(self) -> list[str]:
        """The machines that the trainings ran on, in words; times of different machines cannot be compared."""
        return list(dict.fromkeys(record.machine for record in self.records))

    @property
    def differences(self) -> dict[str, Difference]:
        """By entry, its unseen mean less that of ERM on the study's backbone, where `EntryResults.minus` has one."""
        return {name: d for (name, reference), d in self._differences.items() if reference == BASELINE}

    @property
    def differences_same_backbone(self) -> dict[str, Difference]:
        """By entry on another backbone, its unseen mean less that of ERM there: the gain of the method alone."""
        return {name: d for (name, reference), d in self._differences.items() if reference != BASELINE}

    @property
    def comparisons(self) -> int:
        """The number of p-values that were corrected together: those of both kinds of difference, ceilings apart."""
        return sum(difference.corrected is not None for difference in self._differences.values())

    @cached_property
    def _differences(self) -> dict[tuple[str, str], Difference]:
        """By entry and the entry that it is compared with."""
        pairs = [(name, BASELINE) for name in self.methods]
        pairs += [(name, self.entry_name(BASELINE, entry.backbone)) for name, entry in self._by_entry.items()]
        differences: dict[tuple[str, str], Difference] = {}
        for name, reference in dict.fromkeys(pairs):
            if name != reference and (resampled := self._resampled(name, reference, self.levels_in("unseen"))):
                common = set(self._by_entry[name].seeds) & set(self._by_entry[reference].seeds)
                differences[name, reference] = Difference(**asdict(resampled), reference=reference, seeds=len(common))
        p = {pair: d.p for pair, d in differences.items() if not is_ceiling(pair[0]) and not math.isnan(d.p)}
        return differences | {pair: replace(differences[pair], corrected=value) for pair, value in holm(p).items()}

    def _resampled(self, name: str, reference: str, levels: Sequence[Level]) -> Resampled | None:
        both = name in self._by_entry and reference in self._by_entry and len(levels) > 0
        return self._by_entry[name].minus(self._by_entry[reference], levels) if both else None

    @cached_property
    def gap(self) -> dict[str, float]:
        """By entry, the share of the gap from ERM to the ceiling that it closes, by mean unseen PSNR.

        (method - ERM) / (ceiling - ERM), each the mean over the seeds that all three have, since seeds of ERM may lie
        farther apart than methods; both ends on the study's own backbone: 0 is no better than ERM, 1 as good as
        training on the unseen levels. For all entries with such seeds but the two ends and other ceilings. Empty where
        an end is missing, and where the gap is undefined: see `gap_undefined`.
        """
        return self._gap(self.levels_in("unseen"))

    @cached_property
    def gap_width(self) -> dict[str, float]:
        """By entry of `gap`, what it is a share of: the ceiling's unseen mean less ERM's, over the same seeds, dB."""
        means = {name: self._means_of_three(name, self.levels_in("unseen")) for name in self.gap}
        return {name: top - floor for name, (_, floor, top) in means.items()}

    def gap_at(self, level: Level) -> dict[str, float]:
        """Compute `gap` at one level alone; empty where the ceiling is not clearly above ERM there."""
        return self._gap([level])

    @cached_property
    def gap_undefined(self) -> str:
        """The reason why gap closed means nothing, though there are ERM and a ceiling; else empty."""
        return self._undefined(self.levels_in("unseen"))

    def _gap(self, levels: Sequence[Level]) -> dict[str, float]:
        if not self._has_ends(levels) or self._undefined(levels):
            return {}
        means = {name: self._means_of_three(name, levels) for name in self.rivals if name != BASELINE}
        return {
            name: (own - floor) / (top - floor)
            for name, (own, floor, top) in means.items()
            if math.isfinite(own) and top - floor >= SMALLEST_GAP
        }

    def _means_of_three(self, name: str, levels: Sequence[Level]) -> tuple[float, float, float]:
        """Mean PSNR of an entry, ERM and the ceiling over the seeds that all three have, dB; nan without any."""
        three = [self._by_entry[one] for one in (name, BASELINE, CEILING)]
        psnr = [dict(zip(entry.seeds, entry.by_seed("psnr", levels), strict=True)) for entry in three]
        seeds = set.intersection(*map(set, psnr))
        own, floor, top = (fmean(one[seed] for seed in seeds) if seeds else math.nan for one in psnr)
        return own, floor, top

    def _has_ends(self, levels: Sequence[Level]) -> bool:
        return len(levels) > 0 and BASELINE in self._by_entry and CEILING in self._by_entry

    def _undefined(self, levels: Sequence[Level]) -> str:
        if not self._has_ends(levels):
            return ""
        above = self._resampled(CEILING, BASELINE, levels)
        if above is None:
            return "ERM and the ceiling have no seed in common, or a PSNR that is no finite number"
        if above.low > 0 and above.mean >= SMALLEST_GAP:
            return ""
        interval = "" if math.isnan(above.low) else f" (95 % interval {above.low:+.2f} to {above.high:+.2f})"
        return f"the ceiling is not clearly above ERM on unseen levels: by {above.mean:+.2f} dB{interval}"


def _or_lowest(value: float) -> float:
    """The value, or minus infinity for nan: an unknown level counts as the worst."""
    return -math.inf if math.isnan(value) else value


def _cost(records: Sequence[RunRecord]) -> Cost:
    memory = [record.memory for record in records if record.memory]
    evaluations, steps, seconds = (
        fmean(getattr(record, name) for record in records) for name in ("evaluations", "steps", "seconds")
    )
    return Cost(len(records), evaluations, steps, seconds, fmean(memory) if memory else math.nan)
