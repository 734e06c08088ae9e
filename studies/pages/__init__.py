"""Pages of results: Markdown templates, written by hand, whose numbers come from the kept rows of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure

from unseen.core.atomic import replacing
from unseen.core.config import load_config
from unseen.core.number_text import percent, signed
from unseen.evaluation.results import RESULTS as RESULT_ROWS
from unseen.evaluation.results import read_results
from unseen.study.runs import RUNS, read_runs
from unseen.study.summary import StudySummary

RESULTS = Path(__file__).parents[2] / "docs" / "results"
"""The folder of the pages."""


def read_study(folder: Path) -> StudySummary:
    """A study as far as it is finished, from its kept rows."""
    backbone: str = load_config(folder / "config.yaml")["backbone"]
    return StudySummary(read_results(folder / RESULT_ROWS), read_runs(folder / RUNS), backbone)


def render(name: str, **numbers: object) -> str:
    """The page made of the template `name`.md.jinja; a number that the template asks for and is not there is refused.

    Filters of the templates: `db` (`23.85`), `signed` (`−0.07`), `percent` (`−4 %`).
    """
    jinja = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined)
    jinja.trim_blocks = jinja.lstrip_blocks = jinja.keep_trailing_newline = True
    jinja.filters |= {"db": "{:.2f}".format, "signed": signed, "percent": percent}
    return jinja.get_template(f"{name}.md.jinja").render(**numbers)


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as SVG, the same bytes for the same content."""
    with replacing(path) as temporary, rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(temporary, format="svg", metadata={"Date": None}, bbox_inches="tight")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A Markdown table whose first `words` columns are text and whose others are numbers."""
    aligned = [":---"] * words + ["---:"] * (len(headings) - words)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, aligned, *rows))
