"""Notes under the tables of a study: whole sentences on how to read them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.text import Text

from ...core.console import styled
from ...core.grouping import grouped
from ..entry_names import BASELINE, SEPARATOR, is_ceiling, is_stopped, is_widened
from ..summary import StudySummary

CEILING_NOTE = "trained on the held-out and unseen levels too"
WIDENED_NOTE = "trained on degrees made of the seen ones, held-out and unseen ones perhaps among them"
SEEDS_TOO = "images (bootstrap) and seeds (t), paired by both"
ORACLE = "oracle"
WEIGHTS = {
    "last": "the last weights of each training",
    "seen": "of each training the weights that were best on seen levels",
    "held-out": "of each training the weights that were best on held-out levels",
    ORACLE: "of each training the weights that were best on the UNSEEN levels themselves",
}


def study_notes(study: StudySummary) -> list[str]:
    """List what was compared, how the numbers were made, and what is odd about them; an oracle's warning first."""
    return [*oracle(study), conditions(study), *intervals(study), *comparison(study), *_column_notes(study)]


def conditions(study: StudySummary) -> str:
    """Say budget, selection and tuning, which are equal for every entry."""
    equal = "Equal for all: " if len(study.methods) > 1 else ""
    return f"{equal}{study.budget}; {selection(study)}; {tuning(study)}."


def selection(study: StudySummary) -> str:
    """Say which weights of a training were tested."""
    weights = WEIGHTS.get(study.select, f"weights selected by {study.select}")
    stopped = [method for method in study.methods if is_stopped(method)]
    return f"{weights} ({', '.join(stopped)}: the best on held-out levels)" if stopped else weights


def tuning(study: StudySummary) -> str:
    """Say where the settings of the methods come from."""
    return f"settings the best of {study.tuned} tried on held-out levels" if study.tuned else "settings as given"


def oracle(study: StudySummary) -> Iterator[str]:
    """Yield the warning that weights were chosen on unseen levels, if they were."""
    if study.select == ORACLE:
        yield (
            "ORACLE SELECTION: weights were chosen by what they do on the unseen levels. Nobody could choose so in "
            "earnest: these numbers are upper bounds, and no estimate of quality on unseen levels."
        )


def warning(study: StudySummary) -> str:
    """The warning behind the title of a table; empty if no weights were chosen on unseen levels."""
    return " (ORACLE SELECTION)" if study.select == ORACLE else ""


def styled_note(note: str) -> Text:
    """Style a note for a terminal: dim, but for the one that must not be missed."""
    return styled(note, "bold red" if note.startswith(ORACLE.upper()) else "dim")


def intervals(study: StudySummary) -> Iterator[str]:
    """Yield an explanation of the half-widths behind ±."""
    fewest, most = min(study.seeds.values()), max(study.seeds.values())
    if most == 1:
        yield "One seed: no interval over seeds is known, and small differences may be chance."
    elif fewest == most:
        yield f"Mean ± half-width of the 95 % interval over {most} seeds (t)."
    else:
        listed = ", ".join(f"{method} {count}" for method, count in study.seeds.items())
        yield f"Mean ± half-width of the 95 % interval over seeds (t), of which there are: {listed}."


def comparison(study: StudySummary) -> Iterator[str]:
    """Yield explanations of gap closed, or why it is undefined, and of differences from ERM."""
    if any(map(is_ceiling, study.methods)):
        yield f"ceiling: {CEILING_NOTE}; it bounds the others and does not compete."
    if widened := [entry for entry in study.methods if is_widened(entry)]:
        yield f"{', '.join(widened)}: {WIDENED_NOTE}."
    if study.gap:
        means = "of the mean PSNR on unseen levels over the seeds of all three"
        yield f"Gap closed: (method − ERM) / (ceiling − ERM), {means}."
    if study.gap_undefined:
        yield f"Gap closed is undefined: {study.gap_undefined}."
    if study.differences:
        yield from _difference_notes(study)


def _column_notes(study: StudySummary) -> Iterator[str]:
    if len(study.levels_in("unseen")) > 1:
        yield f"Worst unseen, the level of the lowest PSNR: {_worst_levels(study)}."
    yield from _trajectory_notes(study)
    if study.seen_cost:
        yield "Seen cost: PSNR of ERM less the method's, on seen levels; above zero, something was given up."
    if "unseen" in study.splits:
        yield "Harm: share of test images on unseen levels that leave the network worse than they came, by PSNR."
    if not all(math.isnan(estimate.mean) for estimate in study.invariance.values()):
        yield (
            "Invariance: PSNR between restorations of one content under different levels, all splits together; a "
            "network that shows the same whatever it is given is invariant too."
        )
    if len(study.machines) > 1:
        yield f"Training times are of {len(study.machines)} different machines, and cannot be compared."
    yield from _number_notes(study)


def _trajectory_notes(study: StudySummary) -> Iterator[str]:
    if study.at_equal_seen:
        yield (
            f"At equal seen PSNR: unseen PSNR less that of {BASELINE} of the same seed when its own training first "
            f"reached the same seen PSNR; above zero, the method has what stopping {BASELINE} early does not give. "
            f"'{BASELINE} below': its seen PSNR never came that high; '{BASELINE} above': it stood higher at the first "
            "weights that were kept."
        )
    if study.at_equal_steps:
        steps = _steps(study)
        yield f"At equal steps: unseen PSNR of both at as many outer steps as the shorter training has: {steps}."


def _steps(study: StudySummary) -> str:
    listed = {name: compared.steps for name, compared in study.at_equal_steps.items() if compared.steps > 0}
    return ", ".join(f"{name} {steps:.0f}" for name, steps in listed.items()) or "none in common"


def _worst_levels(study: StudySummary) -> str:
    by_level = grouped(study.methods, lambda name: study.worst[name][0].name)
    if len(by_level) == 1:
        return f"{next(iter(by_level))}, for every method"
    return "; ".join(f"{level} for {', '.join(names)}" for level, names in by_level.items())


def _difference_notes(study: StudySummary) -> Iterator[str]:
    differences = [*study.differences.values(), *study.differences_same_backbone.values()]
    paired = {difference.seeds for difference in differences}
    over = "images (bootstrap); with one seed, nothing is known of others" if paired == {1} else SEEDS_TOO
    number = f", p corrected for {study.comparisons} comparisons (Holm)" if study.comparisons > 1 else ""
    yield f"From {BASELINE}: difference of the unseen means, with its 95 % interval over {over}{number}."
    if study.differences_same_backbone:
        yield (
            f"Lines with {SEPARATOR.strip()} are on another backbone: the first difference is from {BASELINE} on the "
            f"study's own and is of backbone and method together, the second from {BASELINE} on the same backbone."
        )


def _number_notes(study: StudySummary) -> Iterator[str]:
    total = len(study.results)
    infinite = sum(math.isinf(result.psnr) or math.isinf(result.input_psnr) for result in study.results)
    unknown = sum(math.isnan(result.psnr) or math.isnan(result.ssim) for result in study.results)
    if infinite:
        yield (
            f"∞: {infinite} of {total} results are exact to the last digit, their PSNR is infinite, and so is every "
            "mean that they enter; of these there are no differences."
        )
    if unknown:
        yield f"n/a: {unknown} of {total} results are not numbers, nor are means they enter."
