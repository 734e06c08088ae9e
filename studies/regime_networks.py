"""Which other networks break, deeper, wider, with a residual and in colour: a table of docs/results/regime.md.

`make regime` runs the studies of regime-networks as well. Every network has the same entries at the same budget.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pages import read_study, table

from unseen.core.number_text import percent
from unseen.study.entry_names import BASELINE, CEILING
from unseen.study.summary import StudySummary

STUDIES = Path(__file__).with_name("regime-networks")
NETWORKS = {
    "deep": "12 layers",
    "wide": "48 channels",
    "residual": "its output a difference",
    "colour": "in colour",
}
"""Networks by what sets them apart from that of the gray study."""

RIVALS = {f"{BASELINE} @ bias=false": "ERM, bias-free", "dil_sf": "DIL_sf", "dil_control": "DIL's control"}


def read_studies() -> dict[str, StudySummary]:
    """The studies of other networks that have rows, by name."""
    return {name: read_study(STUDIES / name) for name in NETWORKS if (STUDIES / name / "runs.jsonl").exists()}


def fall(study: StudySummary) -> dict[str, tuple[float, float]]:
    """By entry, the highest mean PSNR on the strongest unseen level along the training, and that of its end, dB."""
    strongest = study.levels_in("unseen")[-1]
    falls = {}
    for name, own in study.trajectories.items():
        means = np.mean([one.psnr[strongest] for one in own.values()], axis=0)
        falls[name] = float(means.max()), float(means[-1])
    return falls


def breaks(studies: dict[str, StudySummary]) -> str:
    """The table: how far ERM falls on the strongest unseen level, and what its rivals close of the unseen gap."""
    rivals = [entry for entry in RIVALS if any(entry in study.methods for study in studies.values())]
    headings = ["network", "ERM at σ 50, best on the way (dB)", "at the end", "ERM, unseen (dB)", "ceiling"]
    headings += [heading for entry in rivals for heading in (RIVALS[entry], "gap closed")]
    rows = []
    for name, study in studies.items():
        unseen = study.estimates("psnr", "unseen")
        cells = [NETWORKS[name], *(f"{value:.2f}" for value in fall(study)[BASELINE])]
        cells += [f"{unseen[entry].mean:.2f}" if entry in unseen else "" for entry in (BASELINE, CEILING)]
        for entry in rivals:
            cells += [f"{unseen[entry].mean:.2f}" if entry in unseen else ""]
            cells += [percent(study.gap[entry]) if entry in study.gap else ""]
        rows.append(cells)
    return table(headings, rows)
