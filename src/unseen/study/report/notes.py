"""What a reader must know to read the tables of a study, in whole sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.text import Text

from ...core.grouping import grouped
from ..entry_names import BASELINE, SEPARATOR, is_ceiling
from ..summary import StudySummary

CEILING_NOTE = "trained on the unseen levels too"
SEEDS_TOO = "images (bootstrap) and seeds (t), paired by both"
ORACLE = "oracle"
WEIGHTS = {
    "last": "the last weights of each training",
    "seen": "of each training the weights that were best on seen levels",
    "held-out": "of each training the weights that were best on held-out levels",
    ORACLE: "of each training the weights that were best on the UNSEEN levels themselves",
}


def study_notes(study: StudySummary) -> list[str]:
    """What was compared, how the numbers were made, and what is odd about them; a choice on unseen levels first."""
    return [*oracle(study), conditions(study), *intervals(study), *comparison(study), *_of_columns(study)]


def conditions(study: StudySummary) -> str:
    """Budget, selection and tuning: equal for every line."""
    equal = "Equal for all: " if len(study.methods) > 1 else ""
    return f"{equal}{study.budget}; {selection(study)}; {tuning(study)}."


def selection(study: StudySummary) -> str:
    """Which weights of a training were tested."""
    return WEIGHTS.get(study.select, f"weights selected by {study.select}")


def tuning(study: StudySummary) -> str:
    """Where the settings of the methods come from."""
    return f"settings the best of {study.tuned} tried on held-out levels" if study.tuned else "settings as given"


def oracle(study: StudySummary) -> Iterator[str]:
    """The loudest remark, where there is cause for it."""
    if study.select == ORACLE:
        yield (
            "ORACLE SELECTION: weights were chosen by what they do on the unseen levels. Nobody could choose so in "
            "earnest: these numbers are upper bounds, and no estimate of quality on unseen levels."
        )


def warning(study: StudySummary) -> str:
    """To stand behind the title of a table; empty where there is nothing to warn of."""
    return " (ORACLE SELECTION)" if study.select == ORACLE else ""


def styled_note(remark: str) -> Text:
    """A remark as a terminal shows it: dim, but for the one that must not be missed."""
    return Text(remark, style="bold red" if remark.startswith(ORACLE.upper()) else "dim")


def intervals(study: StudySummary) -> Iterator[str]:
    """What stands behind ±."""
    fewest, most = min(study.seeds.values()), max(study.seeds.values())
    if most == 1:
        yield "One seed: no interval over seeds is known, and small differences may be chance."
    elif fewest == most:
        yield f"Mean ± half-width of the 95 % interval over {most} seeds (t)."
    else:
        listed = ", ".join(f"{method} {count}" for method, count in study.seeds.items())
        yield f"Mean ± half-width of the 95 % interval over seeds (t), of which there are: {listed}."


def comparison(study: StudySummary) -> Iterator[str]:
    """What gap closed is, or why it is undefined, and what differences from ERM are."""
    if any(map(is_ceiling, study.methods)):
        yield f"ceiling: {CEILING_NOTE}; it bounds the others and does not compete."
    if study.gap:
        yield "Gap closed: (method − ERM) / (ceiling − ERM), of the mean PSNR on unseen levels."
    if study.gap_undefined:
        yield f"Gap closed is undefined: {study.gap_undefined}."
    if study.differences:
        yield from _of_differences(study)


def _of_columns(study: StudySummary) -> Iterator[str]:
    if len(study.levels_in("unseen")) > 1:
        yield f"Worst unseen, the level of the lowest PSNR: {_worst(study)}."
    if study.seen_cost:
        yield "Seen cost: PSNR of ERM less the method's, on seen levels; above zero, something was given up."
    if "unseen" in study.splits:
        yield "Harm: share of test images on unseen levels that leave the network worse than they came, by PSNR."
    if not all(math.isnan(found.mean) for found in study.invariance.values()):
        yield (
            "Invariance: PSNR between restorations of one content under different levels, all splits together; a "
            "network that shows the same whatever it is given is invariant too."
        )
    if len(study.machines) > 1:
        yield f"Training times are of {len(study.machines)} different machines, and cannot be compared."
    yield from _odd_numbers(study)


def _worst(study: StudySummary) -> str:
    by_level = grouped(study.methods, lambda name: study.worst[name][0].name)
    if len(by_level) == 1:
        return f"{next(iter(by_level))}, for every method"
    return "; ".join(f"{level} for {', '.join(names)}" for level, names in by_level.items())


def _of_differences(study: StudySummary) -> Iterator[str]:
    found = [*study.differences.values(), *study.differences_same_backbone.values()]
    paired = {difference.seeds for difference in found}
    over = "images (bootstrap); with one seed, nothing is known of others" if paired == {1} else SEEDS_TOO
    number = f", p corrected for {study.comparisons} comparisons (Holm)" if study.comparisons > 1 else ""
    yield f"From {BASELINE}: difference of the unseen means, with its 95 % interval over {over}{number}."
    if study.differences_same_backbone:
        yield (
            f"Lines with {SEPARATOR.strip()} are on another backbone: the first difference is from {BASELINE} on the "
            f"study's own and is of backbone and method together, the second from {BASELINE} on the same backbone."
        )


def _odd_numbers(study: StudySummary) -> Iterator[str]:
    total = len(study.results)
    infinite = sum(math.isinf(row.psnr) or math.isinf(row.input_psnr) for row in study.results)
    unknown = sum(math.isnan(row.psnr) or math.isnan(row.ssim) for row in study.results)
    if infinite:
        yield (
            f"∞: {infinite} of {total} results are exact to the last digit, their PSNR is infinite, and so is every "
            "mean that they enter; of these there are no differences."
        )
    if unknown:
        yield f"n/a: {unknown} of {total} results are not numbers, nor are means they enter."
