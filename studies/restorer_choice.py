"""Which method and network the restorer is trained by: the table of the study restorer-choice.yaml, from its kept rows.

    unseen compare --config studies/restorer-choice.yaml && python studies/restorer_choice.py

The rule of choice is the PSNR at the end of the training on held-out kinds of noise, on validation photographs, mean of
the seeds. Test photographs, seen and unseen noise are printed beside it and decide nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from pages import table

from unseen.core.grouping import grouped
from unseen.core.number_text import number
from unseen.evaluation.results import RESULTS, ImageResult, read_results
from unseen.study.runs import RUNS, RunRecord, read_runs

STUDY = Path(__file__).with_name("restorer-choice")
SPLITS = ("seen", "held-out", "unseen")

Entry = tuple[str, str]
"""Method and backbone."""


def choice_table(folder: Path = STUDY) -> str:
    """The entries, the best of the rule first, as Markdown."""
    runs = grouped(read_runs(folder / RUNS), lambda record: (record.method, record.backbone))
    tested = read_results(folder / RESULTS) if (folder / RESULTS).exists() else []
    results = grouped(tested, lambda result: (result.method, result.backbone))
    order = sorted(runs, key=lambda entry: -fmean(held_out_psnrs(runs[entry])))
    headings = [
        "trained by",
        "**held out, validation** (the rule)",
        *(f"{split}, CBSD68" for split in SPLITS),
        "CC15",
        "steps",
        "evaluations",
    ]
    return table(headings, [cells_of(entry, runs[entry], results.get(entry, [])) for entry in order])


def cells_of(entry: Entry, runs: Sequence[RunRecord], results: Sequence[ImageResult]) -> list[str]:
    """One line of the table."""
    method, backbone = entry
    chosen = held_out_psnrs(runs)
    spread = f" ± {number(stdev(chosen))}" if len(chosen) > 1 else ""
    clean = [result for result in results if result.dataset != "cc15"]
    return [
        method if "@" in method else f"{method} @ {backbone}",
        f"**{number(fmean(chosen))}**{spread}",
        *(mean_psnr([result for result in clean if result.split == split]) for split in SPLITS),
        mean_psnr([result for result in results if result.dataset == "cc15"]),
        number(fmean(run.steps for run in runs), ".0f"),
        number(fmean(run.evaluations for run in runs), ".0f"),
    ]


def held_out_psnrs(runs: Sequence[RunRecord]) -> list[float]:
    """The last PSNR on held-out noise of each seed's training, dB."""
    return [run.curve[-1]["held_out_psnr"] for run in runs]


def mean_psnr(results: Sequence[ImageResult]) -> str:
    """The mean over images and seeds; a dash where nothing was tested."""
    return number(fmean(min(60.0, result.psnr) for result in results)) if results else "–"


if __name__ == "__main__":
    print(choice_table())
