"""The columns of a study's tables: numbers as text, and what each column is about."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...core.statistics import Estimate
from ...protocols.levels import SPOKEN, Level, plain_words
from ..entry_names import BASELINE, CEILING, INPUT, is_ceiling
from ..entry_results import Measure
from ..summary import Difference, StudySummary
from .table import Cell, Column

DECIMALS: dict[Measure, int] = {"psnr": 2, "ssim": 3}

UNITS: dict[Measure, str] = {"psnr": "PSNR (dB)", "ssim": "SSIM"}


def cell(estimate: Estimate, measure: Measure, best: bool = False) -> Cell:
    """The estimate with the decimals that its measure is printed with."""
    if math.isnan(estimate.mean):
        return Cell("n/a")
    if math.isinf(estimate.mean):
        return Cell("∞" if estimate.mean > 0 else "−∞", best=best)
    decimals = DECIMALS[measure]
    spread = "" if estimate.spread is None else f"±{estimate.spread:.{decimals}f}"
    return Cell(f"{estimate.mean:.{decimals}f}", spread, best)


def signed(value: float, decimals: int = 2) -> str:
    """A difference: with its sign, a true minus, and none before zero."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if not any(digit in text for digit in "123456789") else text.replace("-", "−")


def duration(seconds: float) -> str:
    """`53.2 s`, `12 min 05 s`, `1 h 03 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def winners(values: Mapping[str, float], decimals: int, above: float = -math.inf) -> set[str]:
    """The best by the printed digits, all of them in a tie; ceilings apart, and nobody without a rival.

    above: what the best must be better than to be called so; for PSNR and SSIM, the input's own.
    """
    rivals = {
        name: round(value, decimals)
        for name, value in values.items()
        if name != INPUT and not is_ceiling(name) and not math.isnan(value)
    }
    best = max(rivals.values(), default=math.nan)
    found = len(rivals) > 1 and (best > round(above, decimals) if math.isfinite(above) else best > above)
    return {name for name, value in rivals.items() if found and value == best}


def _column(study: StudySummary, heading: str, under: str, cells: Mapping[str, Cell]) -> Column:
    return Column(heading, under, {name: cells.get(name, Cell("")) for name in study.entries})


def _of_estimates(
    study: StudySummary, measure: Measure, estimates: Mapping[str, Estimate], heading: str, under: str
) -> Column:
    means = {name: estimate.mean for name, estimate in estimates.items()}
    best = winners(means, DECIMALS[measure], above=means[INPUT])
    return _column(study, heading, under, {name: cell(e, measure, name in best) for name, e in estimates.items()})


def split_columns(study: StudySummary, measure: Measure) -> list[Column]:
    """One column a split."""
    return [
        _of_estimates(study, measure, study.estimates(measure, split), split, UNITS[measure]) for split in study.splits
    ]


def _heading(study: StudySummary, level: Level) -> str:
    """The degree of a level, under its distortion where the study has several distortions."""
    return level.degree_text if len(study.distortions) == 1 else level.heading


def level_columns(study: StudySummary, measure: Measure) -> list[Column]:
    """One column a level; the heading names its distortion only where there are several."""
    return [
        _of_estimates(study, measure, study.estimates(measure, level), _heading(study, level), level.split)
        for level in study.levels
    ]


def worst_columns(study: StudySummary, measure: Measure) -> list[Column]:
    """Each line at the unseen level where its PSNR is lowest, of several: a list of one column or none."""
    if len(study.levels_in("unseen")) < 2:
        return []
    found = {level: study.estimates(measure, level) for level, _ in study.worst.values()}
    worst = {name: found[level][name] for name, (level, _) in study.worst.items()}
    return [_of_estimates(study, measure, worst, "worst unseen", UNITS[measure])]


def gap_columns(study: StudySummary) -> list[Column]:
    """The share of the gap to the ceiling, or "undefined", where both ends are there: a list of one column or none."""
    if study.gap_undefined:
        rivals = [name for name in study.rivals if name != BASELINE]
        return [_column(study, "gap", "closed", {name: Cell("undefined") for name in rivals})]
    return [_of_shares(study, study.gap, "gap", "closed")] if study.gap else []


def gap_level_columns(study: StudySummary) -> list[Column]:
    """Gap closed at each unseen level; "undefined" where the ceiling is not clearly above ERM there."""
    if BASELINE not in study.methods or CEILING not in study.methods:
        return []
    return [
        _of_shares(study, study.gap_at(level), _heading(study, level), level.split)
        for level in study.levels_in("unseen")
    ]


def _of_shares(study: StudySummary, shares: Mapping[str, float], heading: str, under: str) -> Column:
    best = winners(shares, 2, above=0)
    cells = {name: Cell("undefined") for name in study.rivals if name != BASELINE}
    cells |= {
        name: Cell(f"{round(100 * share)} %".replace("-", "−"), best=name in best) for name, share in shares.items()
    }
    return _column(study, heading, under, cells)


def difference_columns(study: StudySummary) -> list[Column]:
    """Differences from ERM on unseen levels with their intervals, and p; for lines on another backbone, two of each."""
    kinds = [(f"from {BASELINE}", study.differences), (f"from {BASELINE}, same backbone", study.differences_there)]
    columns = []
    for heading, differences in kinds:
        means = {name: Cell(signed(d.mean), _interval(d)) for name, d in differences.items()}
        p = {name: Cell(_probability(d.corrected)) for name, d in differences.items() if d.corrected is not None}
        if differences:
            columns += [_column(study, heading, "unseen, dB", means), _column(study, "p", "corrected", p)]
    return columns


def _interval(difference: Difference) -> str:
    known = not math.isnan(difference.low)
    return f"[{signed(difference.low)}, {signed(difference.high)}]" if known else ""


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def behaviour_columns(study: StudySummary) -> list[Column]:
    """What a gain may cost: PSNR given up on seen levels, images made worse on unseen ones, and invariance."""
    costs = {name: Cell(signed(e.mean), cell(e, "psnr").spread) for name, e in study.seen_cost.items()}
    harm = {name: Cell(_percent(shares["unseen"])) for name, shares in study.harm.items() if "unseen" in shares}
    invariance = {name: cell(e, "psnr") for name, e in study.invariance.items() if not math.isnan(e.mean)}
    found = {
        ("seen cost", "dB"): costs,
        ("harm", "unseen"): harm,
        ("invariance", "dB"): invariance,
    }
    return [_column(study, *headings, cells) for headings, cells in found.items() if cells]


def _percent(share: float) -> str:
    return "n/a" if math.isnan(share) else f"{round(100 * share)} %"


def cost_columns(study: StudySummary) -> list[Column]:
    """What training took, where there are records of it."""
    costs = study.costs
    found = {
        ("gradient", "evaluations"): {name: Cell(f"{c.evaluations:.0f}") for name, c in costs.items()},
        ("training", "time"): {name: Cell(duration(c.seconds)) for name, c in costs.items()},
        ("memory", "MiB"): {name: Cell(f"{c.memory:.0f}") for name, c in costs.items() if not math.isnan(c.memory)},
    }
    return [_column(study, *headings, cells) for headings, cells in found.items() if cells]


def by_level(study: StudySummary, measure: Measure) -> str:
    """The title of a table whose columns are levels."""
    if len(study.distortions) > 1:
        return f"{UNITS[measure]} by level"
    (distortion,) = study.distortions
    kind = "set" if distortion in SPOKEN else "degree"
    return f"{UNITS[measure]} by {kind} of {plain_words(distortion)}"


def behaviour_title(study: StudySummary) -> str:
    return "Against ERM" if BASELINE in study.methods else "Harm, invariance and cost"
