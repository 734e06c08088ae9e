"""One HTML page of a study: tables, curves against severity, before/after pictures, and how it was made.

The page is a single file that fetches nothing: styles, charts (SVG) and pictures (PNG) are inside it, and
it forbids the browser to load anything else. Equal arguments give an equal file, byte for byte.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import tables
from .files import write_text
from .rows import Row, Split
from .summary import INPUT, Estimate, Study, grouped, is_ceiling

if TYPE_CHECKING:
    from .protocols import Reported


ONE_SEED_MOVES = 0.5
"""dB that another seed may move a mean of a short training; below it, one seed settles nothing."""


@dataclass(frozen=True)
class Picture:
    """One picture of a before/after strip; strips gather by (image, split, distortion, degree).

    `label` is "clean", "input" or a method. `pixels` is uint8 RGB, (H, W, 3), cropped by the caller;
    `psnr` in dB is shown beneath. Raises ValueError for pixels of another shape or type.
    """

    image: str
    distortion: str
    degree: float | str
    split: Split
    label: str
    psnr: float | None
    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels must be uint8 (H, W, 3), got {self.pixels.dtype} {self.pixels.shape}")


@dataclass(frozen=True)
class LearningCurve:
    """Validation during one training: gradient evaluations, seconds since the start, PSNR in dB.

    Entry k of every list belongs to the k-th validation; a list of PSNR may be empty where that split was
    not validated. Raises ValueError for lists of other lengths.
    """

    method: str
    seed: int
    evaluations: list[float]
    seconds: list[float]
    seen_psnr: list[float]
    held_out_psnr: list[float]

    def __post_init__(self) -> None:
        n = len(self.evaluations)
        if len(self.seconds) != n or {len(self.seen_psnr), len(self.held_out_psnr)} - {0, n}:
            raise ValueError(f"learning curve of {self.method}, seed {self.seed}: lists of unequal length")


def write_report(
    path: Path,
    rows: Sequence[Row],
    pictures: Sequence[Picture],
    *,
    title: str,
    command: str,
    machine: str,
    notes: Sequence[str],
    curves: Sequence[LearningCurve],
    reported: Sequence[Reported],
) -> None:
    """Write one self-contained HTML page, atomically: tables, curves, pictures and how they were made.

    `notes` are paragraphs of plain words. `reported` goes to tables of its own, said to be the authors'.
    Raises UserError where `check_comparable` does, and where the file cannot be written.
    """
    # Late: these take a second to import, and most commands write no page.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from .charts import degree_charts, learning_charts, legend, looks_of

    study = Study(rows)
    looks = looks_of([*study.methods, *(curve.method for curve in curves)])
    held_out = [(curve.method, curve.evaluations, curve.held_out_psnr) for curve in curves]
    seen = [(curve.method, curve.evaluations, curve.seen_psnr) for curve in curves]
    jinja = Environment(loader=PackageLoader("unseen", "."), autoescape=True, undefined=StrictUndefined)
    jinja.trim_blocks = jinja.lstrip_blocks = True
    jinja.tests["ceiling"] = is_ceiling
    jinja.filters.update(png=_png, decibels=_decibels, thousands=_thousands, duration=_duration)
    page = jinja.get_template("report.html.jinja").render(
        title=title,
        study=study,
        tables=tables,
        finding=_finding(study),
        images=len({(row.dataset, row.image) for row in rows}),
        notes=notes,
        legend=legend({name: looks[name] for name in study.lines}, "k"),
        charts=degree_charts(study, looks),
        strips=_strips(pictures),
        learning_legend=legend({curve.method: looks[curve.method].bare for curve in curves}, "lk"),
        learning=learning_charts({"held-out": held_out, "seen": seen}, looks),
        trainings=_trainings(curves),
        groups=[(split, len(list(run))) for split, run in groupby(level[0] for level in study.levels)],
        reported=reported,
        command=command,
        machine=machine,
    )
    write_text(path, page)


def _finding(study: Study) -> str:
    """One sentence on the unseen levels, in numbers only: what it means is for the notes to say."""
    if "unseen" not in study.splits:
        return ""
    found = study.estimates("psnr", "unseen")
    rivals = [name for name in study.methods if not is_ceiling(name) and math.isfinite(found[name].mean)]
    if not rivals:
        return ""
    best, *others = sorted(rivals, key=lambda name: -found[name].mean)
    rest = f"; the next method reaches {found[others[0]].mean:.2f} dB" if others else ""
    if others and _within_chance(found[best], found[others[0]]):
        rest += ", too near to tell apart"
    reached, given = (tables.cell(found[name], "psnr").text for name in (best, INPUT))
    return (
        f"On levels never seen in training, {best} restores to {reached} dB on average{rest}. "
        f"The distorted input stands at {given} dB."
    )


def _within_chance(best: Estimate, next_best: Estimate) -> bool:
    """Whether two means are nearer than their spreads; without spreads, than what seeds are known to move."""
    spreads = [e.spread for e in (best, next_best) if e.spread is not None]
    return best.mean - next_best.mean < (sum(spreads) if spreads else ONE_SEED_MOVES)


def _strips(pictures: Sequence[Picture]) -> list[tuple[str, int, list[Picture], set[str]]]:
    """(title, pictures side by side on a wide screen, pictures, labels of the best) of each strip."""
    found = []
    strips = grouped(pictures, lambda p: (p.image, (p.split, p.distortion, p.degree)))
    for (image, level), strip in strips.items():
        lines = math.ceil(len(strip) / 6)  # at most six side by side, and lines as even as they can be
        psnr = {p.label: p.psnr for p in strip if p.psnr is not None and p.label not in ("clean", "input")}
        title, columns = f"{image}, {tables.level_name(level, ' ')}", math.ceil(len(strip) / lines)
        found.append((title, columns, strip, tables.winners(psnr, tables.DECIMALS["psnr"])))
    return found


def _trainings(curves: Sequence[LearningCurve]) -> list[tuple[str, int, float, float, float]]:
    """(method, trainings, fewest and most gradient evaluations, mean seconds) of each method."""
    found = []
    for method, group in grouped((c for c in curves if c.evaluations), lambda c: c.method).items():
        evaluations = [curve.evaluations[-1] for curve in group]
        seconds = fmean(curve.seconds[-1] for curve in group)
        found.append((method, len(group), min(evaluations), max(evaluations), seconds))
    return found


def _png(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _decibels(psnr: float) -> str:
    return f"{tables.cell(Estimate(psnr), 'psnr').text} dB"


def _thousands(count: float) -> str:
    return f"{count:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
