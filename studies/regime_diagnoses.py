"""What the diagnoses of a training tell of its quality on unseen levels: rank correlations over trainings.

Part of docs/results/regime.md, which `make regime` writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from pages import table
from scipy.stats import spearmanr

from unseen.core.number_text import number
from unseen.protocols.levels import Split
from unseen.study.entry_names import BASELINE, CEILING, is_stopped
from unseen.study.runs import RunRecord
from unseen.study.summary import StudySummary

HELD_OUT = "gaussian_noise:25"

DIAGNOSES = {
    "net_biases": "net bias at σ 25, held out",
    "gradient_cosine": "alignment of gradients",
    "distance": "distance travelled",
    "gradient_curvature": "curvature along the gradient",
}
"""Fields of the diagnoses, by their titles."""

DIL = (BASELINE, "dil_sf", "dil_control")
"""Entries of one network and one form of training images: what DIL and its optimiser change."""

LATEST = 8
"""The part of a training, one in so many, over whose last diagnoses a mean is taken."""


def predictions(study: StudySummary) -> str:
    """A table of Spearman's ρ between the unseen PSNR of a training and what is known of it without unseen images.

    One column for all trainings, one for those of the study's own network which saw no unseen level, one for `DIL`.
    Diagnoses are of the trainings that were diagnosed; each cell has the number of trainings. `stopped_erm`, whose
    weights are of a training of ERM, is left out.
    """
    records = [record for record in study.records if not is_stopped(record.method)]
    unseen, seen, held_out = (split_means(study, split) for split in ("unseen", "seen", "held-out"))
    known = {"seen PSNR": seen, "held-out PSNR": held_out} | {
        title: {record.run: latest(record, key) for record in records if record.diagnoses}
        for key, title in DIAGNOSES.items()
    }
    own = study.backbones[BASELINE]
    bare = [record for record in records if study.backbones[record.method] == own and record.method != CEILING]
    groups = {
        "all trainings": records,
        "this network as it is, ceiling left out": bare,
        "ERM, DIL_sf, DIL's control": [record for record in bare if record.method in DIL],
    }
    runs = [{record.run for record in group} for group in groups.values()]
    rows = [
        [name, *(correlation(some & set(values), values, unseen) for some in runs)] for name, values in known.items()
    ]
    return table(["known without unseen images", *groups], rows)


def split_means(study: StudySummary, split: Split) -> dict[str, float]:
    """Mean PSNR of each training on the levels of a split, by the name of the training, dB."""
    rows: dict[str, list[float]] = {}
    for result in study.results:
        if result.split == split:
            rows.setdefault(result.run, []).append(result.psnr)
    return {run: fmean(values) for run, values in rows.items()}


def correlation(runs: Collection[str], values: Mapping[str, float], unseen: Mapping[str, float]) -> str:
    """Spearman's ρ over trainings, with its p value and their number."""
    pairs: NDArray[np.float64] = np.array([(values[run], unseen[run]) for run in sorted(runs)])
    found = spearmanr(pairs[:, 0], pairs[:, 1])
    chance = "< 0.001" if found.pvalue < 0.001 else f"{found.pvalue:.3f}"
    return f"{number(found.statistic)} (p {chance}, {len(pairs)})"


def latest(record: RunRecord, key: str) -> float:
    """Mean of a diagnosis over the last eighth of a training."""
    return fmean(diagnosed(line[key]) for line in record.diagnoses[-max(1, len(record.diagnoses) // LATEST) :])


def diagnosed(value: float | Mapping[str, float] | None) -> float:
    """A diagnosed number; of one by level, that of the held-out level."""
    if isinstance(value, Mapping):
        return float(value[HELD_OUT])
    return float("nan") if value is None else float(value)
