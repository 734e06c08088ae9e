"""One HTML page of a study: tables, charts, pictures to compare, and how it was made.

The page is a single file that fetches nothing: styles, scripts, charts (SVG) and pictures are inside it, and it
forbids the browser to load anything else, or to run any other script. Equal arguments give an equal file, byte for
byte. Without scripts everything but the gallery and the sorting of tables works.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.atomic import write_text
from ...core.statistics import Estimate
from ...protocols.levels import Level
from ..entry_names import BASELINE, CEILING, INPUT, SEPARATOR, is_ceiling
from ..summary import StudySummary
from . import appendix as numbers
from . import columns as tables
from . import notes as remarks
from .gallery import GalleryPicture, gallery

if TYPE_CHECKING:
    from ...protocols.protocol import Reported
    from ..tuning import Trial

REPORT = "report.html"


ONE_SEED_MOVES = 0.5
"""dB that another seed may move a mean of a short training; below it, one seed settles nothing."""

LEGIBLE = 8
"""How many lines a chart shows to begin with, without a choice among them."""

SCRIPTS = ("gallery.js", "tables.js", "lines.js")


def write_report(
    path: Path,
    study: StudySummary,
    pictures: Sequence[GalleryPicture],
    *,
    title: str,
    command: str,
    machine: str,
    notes: Sequence[str],
    trials: Sequence[Trial],
    reported: Sequence[Reported],
    definitions: Mapping[Level, str] | None = None,
) -> None:
    """Write one self-contained HTML page, atomically: tables, charts, pictures and how they were made.

    pictures: labelled "clean", "input", or as the study's lines; see `page.pictures` for the order in which they are
    shown. notes: paragraphs of plain words. trials: what tuning tried. reported: goes to tables of its own, said to
    be the authors'. definitions: what a level is, word for word, where its name does not tell.
    Raises UserError where the file cannot be written.
    """
    # Late: these take a second to import, and most commands write no page.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    jinja = Environment(
        loader=PackageLoader("unseen.study.report", "templates"), autoescape=True, undefined=StrictUndefined
    )
    jinja.trim_blocks = jinja.lstrip_blocks = True
    jinja.tests["ceiling"] = is_ceiling
    folder = files(__package__) / "static"
    scripts = [(folder / name).read_text("utf-8") for name in SCRIPTS if pictures or name != "gallery.js"]
    page = jinja.get_template("report.html.jinja").render(
        title=title,
        study=study,
        tables=tables,
        numbers=numbers,
        finding=_finding(study),
        warning=" ".join(remarks.oracle(study)),
        remarks=remarks,
        notes=notes,
        shown=shown_first(study),
        gallery=gallery(study, pictures),
        trials=trials,
        seconds={name: cost.seconds for name, cost in study.costs.items()},
        groups=[(split, len(list(run))) for split, run in groupby(level.split for level in study.levels)],
        definitions={level: text for level, text in (definitions or {}).items() if level in study.levels},
        reported=reported,
        command=command,
        machine=machine,
        style=(folder / "style.css").read_text("utf-8"),
        scripts=scripts,
        script_sources=[_source(script) for script in scripts],
        **_charts(study),
    )
    write_text(path, page)


def shown_first(study: StudySummary) -> set[str]:
    """The lines that the charts show to begin with: all, if these are few.

    Else the input, the three best by their mean on unseen levels, and on the study's own backbone ERM, the ceiling
    and the family of DIL.
    """
    if len(study.entries) <= LEGIBLE:
        return set(study.entries)
    found = study.estimates("psnr", "unseen" if "unseen" in study.splits else study.splits[-1])
    best = sorted(study.rivals, key=lambda name: -found[name].mean if math.isfinite(found[name].mean) else 0)[:3]
    fixed = {name for name in study.methods if name in (BASELINE, CEILING) or name.startswith("dil")}
    return {INPUT, *best, *(name for name in fixed if SEPARATOR not in name)}


def _charts(study: StudySummary) -> dict[str, Any]:
    """All that is drawn, and what it was drawn from."""
    from . import charts, curves, drawing

    looks = drawing.line_styles(study.entries)
    learnt = {name: of for name, of in curves.curves_of(study.records, "curve").items() if name in curves.OUTCOMES}
    seen_inside = curves.diagnostics_of(study.records)
    beside = {name: of for name, of in learnt.items() if name == "held_out_psnr"} if seen_inside else {}
    return {
        "looks": looks,
        "legend": drawing.legend(looks),
        "degree_charts": charts.degree_charts(study, looks),
        "bar_charts": charts.bar_charts(study, looks),
        "learnt": learnt,
        "learning_charts": curves.learning_charts(learnt, looks),
        "diagnostics": seen_inside,
        "diagnostic_charts": curves.diagnostic_charts(beside | seen_inside, looks),
        "words": {name: curves.quantity_in_words(name) for name in (*learnt, *seen_inside)},
    }


def _source(script: str) -> str:
    """By which the page allows this one script (Content Security Policy, level 2)."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii") + "'"


def _finding(study: StudySummary) -> str:
    """One sentence on the unseen levels, in numbers only: what it means is for the notes to say."""
    if "unseen" not in study.splits:
        return ""
    found = study.estimates("psnr", "unseen")
    rivals = [name for name in study.rivals if math.isfinite(found[name].mean)]
    if not rivals:
        return ""
    best, *others = sorted(rivals, key=lambda name: -found[name].mean)
    rest = f"; the next method reaches {found[others[0]].mean:.2f} dB" if others else ""
    if others and _within_chance(found[best], found[others[0]]):
        rest += ", too near to tell apart"
    reached, given = (" ".join(filter(None, tables.estimate_text(found[name]))) for name in (best, INPUT))
    return (
        f"On levels never seen in training, {best} restores to {reached} dB on average{rest}. "
        f"The distorted input stands at {given} dB."
    )


def _within_chance(best: Estimate, next_best: Estimate) -> bool:
    """Whether two means are nearer than their spreads; without spreads, than what seeds are known to move."""
    spreads = [e.spread for e in (best, next_best) if e.spread is not None]
    return best.mean - next_best.mean < (sum(spreads) if spreads else ONE_SEED_MOVES)
