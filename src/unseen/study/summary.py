"""Rows to a study: means over images, over the confounders of a split, over seeds, and what methods differ by.

Everything printed, plotted or published is computed here, so that no table can disagree with another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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

SMALLEST_GAP = 0.1
"""dB between baseline and ceiling below which a share of that gap would be mostly chance."""


@dataclass(frozen=True)
class Difference(Resampled):
    """The unseen mean PSNR of a line less that of `reference`, dB, paired over images and `seeds` common seeds.

    `corrected` is p corrected for all comparisons of the study; None for a ceiling, which does not compete, and where
    p is nan, with one seed and one image.
    """

    reference: str
    seeds: int
    corrected: float | None = None


@dataclass(frozen=True)
class Cost:
    """What a training took, in the mean over `trainings`: seconds of its steps, MiB of memory (nan if unknown)."""

    trainings: int
    evaluations: float
    steps: float
    seconds: float
    memory: float


def levels_in_order(rows: Iterable[ImageResult]) -> list[Level]:
    """The confounders with their split, in order of appearance."""
    return list(dict.fromkeys(row.level for row in rows))


def with_entry_names(rows: Sequence[ImageResult], own: str) -> list[ImageResult]:
    """The rows with the label of their line for a method; `own` is the study's backbone."""
    return [replace(row, method=entry_name(row.method, row.backbone, own)) for row in rows]


def check_comparable(rows: Sequence[ImageResult], own: str = "") -> None:
    """Refuse rows whose means would not be about the same thing.

    Raises UserError for: no rows; more than one convention, protocol, budget, selection of weights or number of
    settings tried; two backbones under one label; an image counted twice for one network and confounder; networks
    measured on different images or confounders. A network is a method on a backbone, and a seed.
    own: the study's backbone; that of the first row if left out.
    """
    if not rows:
        raise UserError("no rows: there is nothing to tabulate")
    for what, values in (
        ("protocols", {row.protocol for row in rows}),
        ("versions of a protocol", {row.protocol_hash for row in rows}),
        ("metric conventions", {row.convention for row in rows}),
        ("budgets", {row.budget for row in rows}),
        ("selections of weights (select)", {row.select for row in rows}),
        ("numbers of settings tried (tune)", {str(row.tuned) for row in rows}),
    ):
        if len(values) > 1:
            listed = ", ".join(sorted(values))
            raise UserError(f"rows of {len(values)} {what} in one table ({listed}): keep one")
    measured: dict[str, set[tuple[Level, str, str]]] = {}
    backbones: dict[str, str] = {}
    for row in rows:
        line = entry_name(row.method, row.backbone, own or rows[0].backbone)
        if backbones.setdefault(line, row.backbone) != row.backbone:
            raise UserError(f"{line} would stand for two backbones, {backbones[line]} and {row.backbone}: keep one")
        network, item = f"{line}, seed {row.seed}", (row.level, row.dataset, row.image)
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


class StudySummary:
    """All that tables, charts and page draw on, computed from the rows of finished runs, and records of their cost.

    A line is a method on a backbone, called by its label (see `labelled`); `rows` and every dictionary go by labels.

    backbone: the study's own; that of the first row if left out.
    rows: as given, labelled. records: as given, labelled, those of lines that have no rows left out.
    methods: the labels, in order of appearance. lines: of every table, `INPUT` and then the methods.
    backbones: of each method. levels, splits, distortions: what was measured under. seeds: how many each method has.
    images: how many test images there are.
    protocol, budget, select, tuned: as in every row.

    Raises UserError where `check_comparable` does.
    """

    def __init__(self, rows: Sequence[ImageResult], records: Sequence[RunRecord] = (), backbone: str = "") -> None:
        check_comparable(rows, backbone)
        self._own_backbone = backbone or rows[0].backbone
        self.results = with_entry_names(rows, self._own_backbone)
        self._by_entry = {
            name: EntryResults(group) for name, group in grouped(self.results, lambda row: row.method).items()
        }
        named = [replace(record, method=self.entry_name(record.method, record.backbone)) for record in records]
        self.records = [record for record in named if record.method in self._by_entry]
        self.methods = list(self._by_entry)
        self.entries = [INPUT, *self.methods]
        self.levels = levels_in_order(self.results)
        self.distortions = list(dict.fromkeys(distortion for _, distortion, _ in self.levels))
        self.splits = [split for split in SPLITS if self.levels_in(split)]
        self.backbones = {name: line.backbone for name, line in self._by_entry.items()}
        self.seeds = {name: len(line.seeds) for name, line in self._by_entry.items()}
        self.images = len({(row.dataset, row.image) for row in rows})
        self.protocol, self.budget = rows[0].protocol, rows[0].budget
        self.select, self.tuned = rows[0].select, rows[0].tuned

    def entry_name(self, method: str, backbone: str) -> str:
        """What the line of a method on a backbone is called here."""
        return entry_name(method, backbone, self._own_backbone)

    def levels_in(self, split: Split) -> list[Level]:
        """The levels of one split."""
        return [level for level in self.levels if level.split == split]

    @property
    def rivals(self) -> list[str]:
        """The methods that compete: all but ceilings."""
        return [name for name in self.methods if not is_ceiling(name)]

    def estimates(self, measure: Measure, where: Split | Level) -> dict[str, Estimate]:
        """One a line: the input's own figure, which has no spread, then every method's."""
        levels = [where] if isinstance(where, tuple) else self.levels_in(where)
        first = next(iter(self._by_entry.values()))
        given = first.by_seed("input_psnr" if measure == "psnr" else "input_ssim", levels)
        restored = {name: estimate(line.by_seed(measure, levels)) for name, line in self._by_entry.items()}
        return {INPUT: Estimate(float(given[0])), **restored}

    @cached_property
    def worst(self) -> dict[str, tuple[Level, Estimate]]:
        """By line, the input's too, the unseen level of the lowest PSNR; empty where nothing is unseen."""
        found = [(level, self.estimates("psnr", level)) for level in self.levels_in("unseen")]
        by_line = {name: [(level, means[name]) for level, means in found] for name in self.entries if found}
        return {name: min(levels, key=lambda item: _or_lowest(item[1].mean)) for name, levels in by_line.items()}

    @cached_property
    def seen_cost(self) -> dict[str, Estimate]:
        """By line, what it gives up on seen levels: PSNR of ERM less its own, dB, paired over the seeds of both."""
        if BASELINE not in self._by_entry or "seen" not in self.splits:
            return {}
        levels, base = self.levels_in("seen"), self._by_entry[BASELINE]
        erm = dict(zip(base.seeds, base.by_seed("psnr", levels), strict=True))
        found = {}
        for name, line in self._by_entry.items():
            psnr = zip(line.seeds, line.by_seed("psnr", levels), strict=True)
            paired = [erm[seed] - value for seed, value in psnr if seed in erm]
            if name != BASELINE and paired:
                found[name] = estimate(paired)
        return found

    @cached_property
    def harm(self) -> dict[str, dict[Split, float]]:
        """By line and split, the share of test images that it makes worse than the input, by PSNR."""
        return {
            name: {split: fmean(line.harm_by_seed(self.levels_in(split))) for split in self.splits}
            for name, line in self._by_entry.items()
        }

    @cached_property
    def invariance(self) -> dict[str, Estimate]:
        """By line, the mean PSNR between restorations of one content under different levels; nan if there are none."""
        return {name: estimate(line.invariance_by_seed()) for name, line in self._by_entry.items()}

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """By line, what its trainings took; only lines of which there are records."""
        return {name: _cost(group) for name, group in grouped(self.records, lambda record: record.method).items()}

    @property
    def machines(self) -> list[str]:
        """Where the trainings of the records ran; times of different machines cannot be compared."""
        return list(dict.fromkeys(record.machine for record in self.records))

    @property
    def differences(self) -> dict[str, Difference]:
        """By line, its unseen mean less that of ERM on the study's own backbone: see `Line.minus` for what has none."""
        return {name: d for (name, reference), d in self._differences.items() if reference == BASELINE}

    @property
    def differences_same_backbone(self) -> dict[str, Difference]:
        """By line of another backbone, its unseen mean less that of ERM on the same backbone: the method's part."""
        return {name: d for (name, reference), d in self._differences.items() if reference != BASELINE}

    @property
    def comparisons(self) -> int:
        """How many p-values were corrected together: those of both kinds of difference, ceilings apart."""
        return sum(difference.corrected is not None for difference in self._differences.values())

    @cached_property
    def _differences(self) -> dict[tuple[str, str], Difference]:
        """By line and the line that it is compared with."""
        pairs = [(name, BASELINE) for name in self.methods]
        pairs += [(name, self.entry_name(BASELINE, line.backbone)) for name, line in self._by_entry.items()]
        found: dict[tuple[str, str], Difference] = {}
        for name, reference in dict.fromkeys(pairs):
            if name != reference and (resampled := self._resampled(name, reference, self.levels_in("unseen"))):
                common = set(self._by_entry[name].seeds) & set(self._by_entry[reference].seeds)
                found[name, reference] = Difference(**asdict(resampled), reference=reference, seeds=len(common))
        p = {pair: d.p for pair, d in found.items() if not is_ceiling(pair[0]) and not math.isnan(d.p)}
        return found | {pair: replace(found[pair], corrected=value) for pair, value in holm(p).items()}

    def _resampled(self, name: str, reference: str, levels: Sequence[Level]) -> Resampled | None:
        known = name in self._by_entry and reference in self._by_entry and len(levels) > 0
        return self._by_entry[name].minus(self._by_entry[reference], levels) if known else None

    @cached_property
    def gap(self) -> dict[str, float]:
        """By line, the share of the way from ERM to the ceiling that it goes, by mean unseen PSNR.

        (method - ERM) / (ceiling - ERM), both ends on the study's own backbone: 0 is no better than ERM, 1 as good as
        training on the unseen levels. For all lines but the two ends and other ceilings. Empty where there are no
        such ends, and where it is undefined: see `gap_undefined`.
        """
        return self._gap(self.levels_in("unseen"))

    def gap_at(self, level: Level) -> dict[str, float]:
        """`gap` at one level alone; empty where the ceiling is not clearly above ERM there."""
        return self._gap([level])

    @cached_property
    def gap_undefined(self) -> str:
        """Why gap closed means nothing, though there are ERM and a ceiling; empty where it is defined, or not asked."""
        return self._undefined(self.levels_in("unseen"))

    def _gap(self, levels: Sequence[Level]) -> dict[str, float]:
        if not self._has_ends(levels) or self._undefined(levels):
            return {}
        psnr = {name: fmean(line.by_seed("psnr", levels)) for name, line in self._by_entry.items()}
        floor, top = psnr[BASELINE], psnr[CEILING]
        finite = [name for name in self.rivals if name != BASELINE and math.isfinite(psnr[name])]
        return {name: (psnr[name] - floor) / (top - floor) for name in finite}

    def _has_ends(self, levels: Sequence[Level]) -> bool:
        return len(levels) > 0 and BASELINE in self._by_entry and CEILING in self._by_entry

    def _undefined(self, levels: Sequence[Level]) -> str:
        if not self._has_ends(levels):
            return ""
        found = self._resampled(CEILING, BASELINE, levels)
        if found is None:
            return "ERM and the ceiling have no seed in common, or a PSNR that is no finite number"
        if found.low > 0 and found.mean >= SMALLEST_GAP:
            return ""
        interval = "" if math.isnan(found.low) else f" (95 % interval {found.low:+.2f} to {found.high:+.2f})"
        return f"the ceiling is not clearly above ERM on unseen levels: by {found.mean:+.2f} dB{interval}"


def _or_lowest(value: float) -> float:
    """Nothing is known to be worse than what is unknown."""
    return -math.inf if math.isnan(value) else value


def _cost(records: Sequence[RunRecord]) -> Cost:
    known = [record.memory for record in records if record.memory]
    evaluations, steps, seconds = (
        fmean(getattr(r, name) for r in records) for name in ("evaluations", "steps", "seconds")
    )
    return Cost(len(records), evaluations, steps, seconds, fmean(known) if known else math.nan)
