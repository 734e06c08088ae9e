"""The columns of a study: each quantity once, with how it is written, for every table and file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import get_args

from ...core.number_text import duration, number, percent, signed
from ...core.statistics import Estimate
from ...protocols.levels import SPOKEN, Level, Split, plain_words
from ..entry_names import BASELINE, CEILING, INPUT, SEPARATOR, is_ceiling
from ..entry_results import Measure
from ..summary import Difference, StudySummary
from ..trajectory import AtEqual
from .table import Column, Format, Plain

MEASURES: tuple[Measure, ...] = get_args(Measure)

DECIMALS: dict[Measure, int] = {"psnr": 2, "ssim": 3}

UNITS: dict[Measure, str] = {"psnr": "PSNR (dB)", "ssim": "SSIM"}


def estimate_text(estimate: Estimate, decimals: int = 2, sign: str = "") -> tuple[str, str]:
    """Write an estimate as its mean and `±` half-width; a mean that is not finite has no half-width."""
    if math.isnan(estimate.mean):
        return "n/a", ""
    has_spread = estimate.spread is not None and math.isfinite(estimate.mean)
    mean = signed(estimate.mean, decimals) if sign else number(estimate.mean, f".{decimals}f")
    return mean, f"±{estimate.spread:.{decimals}f}" if has_spread else ""


def _difference_text(difference: Difference) -> tuple[str, str]:
    has_interval = not math.isnan(difference.low)
    return signed(difference.mean), f"[{signed(difference.low)}, {signed(difference.high)}]" if has_interval else ""


def _at_equal_text(compared: AtEqual) -> tuple[str, str]:
    """Write the difference over the seeds that have one, and how many these are; or where all of them lie."""
    inside = compared.seeds - compared.below - compared.above
    if not inside:
        return f"{BASELINE} {'above' if compared.below else 'below'}", ""
    mean, spread = estimate_text(compared.difference, sign="+")
    return mean, f"{spread} ({inside} of {compared.seeds} seeds)".strip() if inside < compared.seeds else spread


def _probability_text(difference: Difference) -> tuple[str, str]:
    if difference.corrected is None:
        return "", ""
    return "< 0.001" if difference.corrected < 0.001 else f"{difference.corrected:.3f}", ""


def _estimates(decimals: int, sign: str = "") -> Format:
    numbers = {"": attrgetter("mean"), " ±": attrgetter("spread")}
    return Format(lambda estimate: estimate_text(estimate, decimals, sign), numbers)


def float_format(text: Callable[[float], str], *, sorts_by_value: bool = False) -> Format:
    """A format of plain numbers, which have no interval."""
    return Format(lambda value: (text(value), ""), {"": lambda value: value}, sorts_by_value)


QUALITY: dict[Measure, Format] = {measure: _estimates(decimals) for measure, decimals in DECIMALS.items()}
DECIBELS_GIVEN_UP = _estimates(DECIMALS["psnr"], sign="+")
DIFFERENCE = Format(_difference_text, {"": attrgetter("mean"), " low": attrgetter("low"), " high": attrgetter("high")})
AT_EQUAL = Format(
    _at_equal_text,
    {
        "": attrgetter("difference.mean"),
        " ±": attrgetter("difference.spread"),
        " below": attrgetter("below"),
        " above": attrgetter("above"),
        " at steps": attrgetter("steps"),
    },
)
PROBABILITY = Format(_probability_text, {" p": attrgetter("p"), " p corrected": attrgetter("corrected")})
GAP = float_format(lambda share: percent(share) or "undefined")
SHARE = float_format(lambda share: percent(share) or "n/a")
COUNT = float_format(lambda count: number(count, ".0f"))
DURATION = float_format(duration, sorts_by_value=True)
PLAIN = Format(lambda value: (str(value), ""), {"": lambda value: value})


def winners(values: Mapping[str, float], decimals: int, above: float = -math.inf) -> frozenset[str]:
    """Names to print bold: the highest value as printed, ties included.

    Ceilings and the input do not compete; a single competitor wins nothing.

    Args:
        values: the values by entry; nan does not compete.
        decimals: number of decimals printed.
        above: value that the highest must exceed; for PSNR and SSIM, the value of the distorted input.
    """
    rivals = {
        name: round(value, decimals)
        for name, value in values.items()
        if name != INPUT and not is_ceiling(name) and not math.isnan(value)
    }
    highest = max(rivals.values(), default=math.nan)
    exceeds = highest > round(above, decimals) if math.isfinite(above) else highest > above
    return frozenset(name for name, value in rivals.items() if len(rivals) > 1 and exceeds and value == highest)


def _quality(measure: Measure, name: str, heading: str, under: str, estimates: Mapping[str, Estimate]) -> Column:
    means = {entry: estimate.mean for entry, estimate in estimates.items()}
    best = winners(means, DECIMALS[measure], above=means.get(INPUT, math.nan))
    return Column(f"{measure} {name}", heading, under, estimates, QUALITY[measure], best)


def split_columns(study: StudySummary, measure: Measure) -> list[Column]:
    """One column a split: PSNR or SSIM over its levels."""
    return [_quality(measure, split, split, UNITS[measure], study.estimates(measure, split)) for split in study.splits]


def level_column(study: StudySummary, measure: Measure, level: Level) -> Column:
    """PSNR or SSIM at one level."""
    return _quality(measure, _level_name(level), _heading(study, level), level.split, study.estimates(measure, level))


def level_columns(study: StudySummary, measure: Measure) -> list[Column]:
    """One column a level; the heading names its distortion only where there are several."""
    return [level_column(study, measure, level) for level in study.levels]


def _level_name(level: Level) -> str:
    return f"{level.split} {level.distortion} {level.degree_text}"


def _heading(study: StudySummary, level: Level) -> str:
    return level.degree_text if len(study.distortions) == 1 else level.heading


def worst_column(study: StudySummary, measure: Measure) -> Column:
    """PSNR or SSIM of each entry at the unseen level where its PSNR is lowest; blank where nothing is unseen."""
    by_level = {level: study.estimates(measure, level) for level, _ in study.worst.values()}
    estimates = {name: by_level[level][name] for name, (level, _) in study.worst.items()}
    return _quality(measure, "worst unseen", "worst unseen", UNITS[measure], estimates)


def worst_columns(study: StudySummary, measure: Measure) -> list[Column]:
    """`worst_column` where several levels are unseen: a list of one column or none."""
    return [worst_column(study, measure)] if len(study.levels_in("unseen")) > 1 else []


def gap_column(study: StudySummary, level: Level | None = None) -> Column:
    """The share of the gap from ERM to the ceiling that each rival closes, on all unseen levels or at one."""
    shares = study.gap if level is None else study.gap_at(level)
    values = {name: shares.get(name, math.nan) for name in study.rivals if name != BASELINE}
    best = winners(values, 2, above=0)
    if level is None:
        return Column("gap closed", "gap", "closed", values, GAP, best)
    return Column(f"gap closed {_level_name(level)}", f"gap at {_heading(study, level)}", "closed", values, GAP, best)


def gap_columns(study: StudySummary) -> list[Column]:
    """`gap_column` of all unseen levels, if both ERM and a ceiling exist: a list of one column or none."""
    return [gap_column(study)] if study.gap or study.gap_undefined else []


def gap_level_columns(study: StudySummary) -> list[Column]:
    """`gap_column` at each unseen level; "undefined" where the ceiling is not clearly above ERM there."""
    if BASELINE not in study.methods or CEILING not in study.methods:
        return []
    return [gap_column(study, level) for level in study.levels_in("unseen")]


def _differences(name: str, heading: str, differences: Mapping[str, Difference]) -> list[Column]:
    return [
        Column(name, heading, "unseen, dB", differences, DIFFERENCE),
        Column(name, "p", "corrected", differences, PROBABILITY),
    ]


def _all_differences(study: StudySummary) -> list[Column]:
    return [
        *_differences("from erm", f"from {BASELINE}", study.differences),
        *_differences(
            "from erm on the same backbone", f"from {BASELINE}, same backbone", study.differences_same_backbone
        ),
    ]


def difference_columns(study: StudySummary) -> list[Column]:
    """Differences from ERM on unseen levels with intervals, and their p: two columns, four with another backbone."""
    return [column for column in _all_differences(study) if column.values]


def at_equal_columns(study: StudySummary) -> list[Column]:
    """Differences from ERM's own trajectory on unseen levels: where its seen PSNR was equal, and its outer steps."""
    return _filled(_all_at_equal(study))


def _all_at_equal(study: StudySummary) -> list[Column]:
    return [
        Column("at equal seen", "at equal\nseen PSNR", "unseen, dB", study.at_equal_seen, AT_EQUAL),
        Column("at equal steps", "at equal\nsteps", "unseen, dB", study.at_equal_steps, AT_EQUAL),
    ]


def seen_cost_column(study: StudySummary) -> Column:
    """PSNR that each entry gives up on seen levels, against ERM."""
    return Column("seen cost", "seen cost", "dB", study.seen_cost, DECIBELS_GIVEN_UP)


def harm_column(study: StudySummary, split: Split = "unseen") -> Column:
    """The share of a split's test images that each entry makes worse; blank where nothing is of this split."""
    shares = {name: by_split[split] for name, by_split in study.harm.items() if split in by_split}
    return Column(f"harm {split}", "harm", split, shares, SHARE)


def invariance_column(study: StudySummary) -> Column:
    """PSNR between restorations of one content; blank for an entry of which it is not known."""
    estimates = {name: estimate for name, estimate in study.invariance.items() if not math.isnan(estimate.mean)}
    return Column("invariance", "invariance", "dB", estimates, QUALITY["psnr"])


def behaviour_columns(study: StudySummary) -> list[Column]:
    """Columns of the price of a gain: PSNR lost on seen levels, images made worse on unseen ones, and invariance."""
    return _filled([seen_cost_column(study), harm_column(study), invariance_column(study)])


def _all_costs(study: StudySummary) -> list[Column]:
    costs = study.costs
    return [
        Column("evaluations", "gradient", "evaluations", {name: c.evaluations for name, c in costs.items()}, COUNT),
        Column("steps", "steps", "", {name: c.steps for name, c in costs.items()}, COUNT),
        Column("seconds", "training", "time", {name: c.seconds for name, c in costs.items()}, DURATION),
        Column("memory", "memory", "MiB", {name: c.memory for name, c in costs.items()}, COUNT),
    ]


def cost_columns(study: StudySummary) -> list[Column]:
    """The columns of the cost of training, for entries with run records."""
    return [column for column in _filled(_all_costs(study)) if column.name != "steps"]


def _filled(columns: Iterable[Column]) -> list[Column]:
    return [column for column in columns if not column.is_blank]


def every_column(study: StudySummary) -> list[Column]:
    """Every quantity of each entry, in the order of the CSV file; first come those that are of the whole study.

    What is true of the whole study stands in every line, so that files can be put one below the other.
    """
    columns = [*_identity(study)]
    for by_measure in zip(*(split_columns(study, measure) for measure in MEASURES), strict=True):
        columns += by_measure
    for level in study.levels:
        columns += [level_column(study, measure, level) for measure in MEASURES]
        columns += [gap_column(study, level)] if level.split == "unseen" else []
    columns += [worst_column(study, measure) for measure in MEASURES]
    worst = {name: f"{level.distortion} {level.degree_text}" for name, (level, _) in study.worst.items()}
    return [
        *columns,
        Column("worst unseen", "worst unseen", "level", worst, PLAIN),
        gap_column(study),
        *_all_differences(study),
        *_all_at_equal(study),
        seen_cost_column(study),
        *(harm_column(study, split) for split in study.splits),
        invariance_column(study),
        *_all_costs(study),
    ]


def _identity(study: StudySummary) -> list[Column]:
    """Columns of the conditions of the study, and of the names of its entries."""
    shared: dict[str, Plain] = {
        "protocol": study.protocol,
        "convention": study.results[0].convention,
        "budget": study.budget,
        "select": study.select,
        "tuned": study.tuned,
        "images": study.images,
    }
    values: dict[str, Mapping[str, Plain]] = {
        **{name: dict.fromkeys(study.entries, value) for name, value in shared.items()},
        "line": {name: name for name in study.entries},
        "method": {name: name.partition(SEPARATOR)[0] for name in study.methods},
        "backbone": study.backbones,
        "seeds": study.seeds,
    }
    return [Column(name, name, "", by_entry, PLAIN) for name, by_entry in values.items()]


def level_table_title(study: StudySummary, measure: Measure) -> str:
    """The title of a table whose columns are levels."""
    if len(study.distortions) > 1:
        return f"{UNITS[measure]} by level"
    (distortion,) = study.distortions
    kind = "set" if distortion in SPOKEN else "degree"
    return f"{UNITS[measure]} by {kind} of {plain_words(distortion)}"


def behaviour_title(study: StudySummary) -> str:
    """The title of the table of what a gain may cost."""
    return "Against ERM" if BASELINE in study.methods else "Harm, invariance and cost"
