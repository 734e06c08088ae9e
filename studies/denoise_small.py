"""Every method on one small network: from the rows under studies/denoise-small to docs/results/denoise-small.md.

`make denoise-small` runs the studies and then this. Every word about a number is made from the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unseen.core.atomic import replacing, write_text
from unseen.evaluation.results import RESULTS, read_results
from unseen.study.entry_names import BASELINE, CEILING, INPUT, SEPARATOR, is_ceiling
from unseen.study.report.columns import (
    COUNT,
    difference_columns,
    float_format,
    gap_columns,
    harm_column,
    invariance_column,
    level_columns,
    seen_cost_column,
    split_columns,
)
from unseen.study.report.notes import study_notes
from unseen.study.report.table import Column, markdown
from unseen.study.runs import RUNS, read_runs
from unseen.study.summary import StudySummary

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs" / "results"
PAGE = DOCS / "denoise-small.md"
PLAIN, RRDB = "denoise-small", "denoise-small-rrdb"
FREE, EQUIVARIANT = f"{SEPARATOR}bias=false", f"{SEPARATOR}plain_ne"
VISIBLE = 0.01  # dB; what is less is no difference to speak of, however sure
DIL = ("dil_sf", "dil_pf", "dil_ss", "dil_ps")

HEAD = """# Every method on one small network

Four levels of Gaussian noise are seen (σ 5 to 20), one is held out (25), three are unseen (30, 40, 50). Who closes how
much of the gap between a network that has seen the weak noise alone (ERM) and the same network that was told of the
strong noise, too (the ceiling)? All at an equal number of gradient evaluations, with the settings that the methods have
by default ([comparing.md](../comparing.md) has the methods, the rules and the numbers): nothing was tuned.

Size and budget were set before the study, by one ERM and one ceiling on Set14, so that ERM fails on the unseen noise
and the ceiling does not. `make denoise-small` makes all of it and goes on where it stopped; it needs
`UNSEEN_TEST_DATA`, the folder of the [data sets](../datasets.md). This page is written from the kept rows
([studies/denoise-small](../../studies/denoise-small)) by [denoise_small.py](../../studies/denoise_small.py), the
paragraphs too.
"""


def read_study(name: str) -> StudySummary | None:
    """The study as far as it is finished for every line, None where nothing is: only seeds that all lines have."""
    folder = HERE / name
    rows = read_results(folder / RESULTS) if (folder / RESULTS).exists() else []
    lines = {(row.method, row.backbone) for row in rows}
    seeds = [{row.seed for row in rows if (row.method, row.backbone) == line} for line in lines]
    common = set.intersection(*seeds) if seeds else set()
    records = [record for record in read_runs(folder / RUNS) if record.seed in common]
    own = yaml.safe_load((HERE / f"{name}.yaml").read_text())["backbone"]
    return StudySummary([row for row in rows if row.seed in common], records, own) if common else None


def page() -> str:
    """The whole page, as far as there are rows for it."""
    parts = [HEAD]
    for name, title in ((PLAIN, "A plain network"), (RRDB, "A small RRDB")):
        study = read_study(name)
        parts += [f"## {title}\n", *section(name, study)] if study else []
    return "\n".join(parts)


def section(name: str, study: StudySummary) -> Iterator[str]:
    """What was found, figures, tables, and how it was made."""
    yield " ".join(verdict(study)) + "\n"
    if name == PLAIN:
        yield " ".join(architectures(study)) + "\n"
    yield " ".join(kin(study)) + "\n"
    for file, about in FIGURES.items():
        if name == PLAIN:
            yield f"![{about}]({PLAIN}/{file}.svg)\n"
    order = by_unseen(study)
    yield "Best on what is unseen first; the ceilings were trained on it and do not compete.\n"
    main = [*split_columns(study, "psnr"), *gap_columns(study), *difference_columns(study)]
    yield markdown(order, main) + "\n"
    yield "What it costs:\n"
    yield markdown(order, behaviour(study)) + "\n"
    yield "PSNR in dB by σ:\n"
    yield markdown(order, level_columns(study, "psnr")) + "\n"
    yield " ".join(study_notes(study)) + "\n"
    yield how(name, study)


def by_unseen(study: StudySummary) -> list[str]:
    """The lines, the highest mean PSNR on unseen levels first."""
    found = study.estimates("psnr", "unseen")
    return sorted(study.entries, key=lambda line: -found[line].mean)


def verdict(study: StudySummary) -> Iterator[str]:
    """The ends, and who of those on the study's own backbone is above ERM."""
    unseen = study.estimates("psnr", "unseen")
    yield (
        f"On unseen noise ERM restores to {unseen[BASELINE].mean:.2f} dB and the ceiling to "
        f"{unseen[CEILING].mean:.2f} dB; the noisy images stand at {unseen[INPUT].mean:.2f} dB."
    )
    own = {line: d for line, d in study.differences.items() if SEPARATOR not in line and not is_ceiling(line)}
    above = sorted((n for n, d in own.items() if d.low > 0 and d.mean >= VISIBLE), key=lambda n: -own[n].mean)
    below = sorted((n for n, d in own.items() if d.high < 0 and d.mean <= -VISIBLE), key=lambda n: own[n].mean)
    yield f"Of {len(own)} methods on the same network, {said(study, above, 'above')}; {said(study, below, 'below')}."
    sure = [n for n in (*above, *below) if (own[n].corrected or 0) < 0.05]
    remain = f"{listed(sure)} remain{'s' * (len(sure) == 1)}" if sure else "none remains"
    yield (
        "Those intervals are of one difference each. Corrected for all "
        f"{study.comparisons} comparisons of the table, {remain} beyond chance at the 5 % level."
    )
    if max(study.seeds.values()) == 1:
        yield "All of this is of one seed: the intervals are over images alone, and tell nothing of other trainings."
    best = max(own, key=lambda line: own[line].mean)
    if study.gap:
        yield f"The best of them, {best}, closes {share(study, best)} of the gap, at {cost(study, best)} on seen noise."


def said(study: StudySummary, lines: Sequence[str], where: str) -> str:
    """`3 are above ERM, by an interval that leaves out zero (a +0.31 dB, ...)`."""
    if not lines:
        return f"none is {where} ERM by an interval that leaves out zero"
    found = ", ".join(f"{line} {study.differences[line].mean:+.2f} dB" for line in lines)
    count = f"{len(lines)} {'is' if len(lines) == 1 else 'are'}"
    return f"{count} {where} ERM by an interval that leaves out zero ({found})"


def architectures(study: StudySummary) -> Iterator[str]:
    """What the network itself does, trained by ERM."""
    for line, what in (
        (BASELINE + EQUIVARIANT, "The normalisation-equivariant network"),
        (BASELINE + FREE, "The network without additive constants"),
    ):
        if line in study.differences:
            d = study.differences[line]
            yield (
                f"{what}, trained by plain ERM, is {d.mean:+.2f} dB from ERM ({d.low:+.2f} to {d.high:+.2f}): "
                f"{share(study, line)} of the gap."
            )
    on_top = [line for line in (f"{name}{EQUIVARIANT}" for name in DIL) if line in study.differences_there]
    for line in on_top:
        d = study.differences_there[line]
        method = line.partition(SEPARATOR)[0]
        yield f"On top of it, {method} is {d.mean:+.2f} dB from ERM ({d.low:+.2f} to {d.high:+.2f})."


def kin(study: StudySummary) -> Iterator[str]:
    """DIL, and what it is beside its nearest kin: the same batches without virtual steps."""
    found = [f"{name} {study.differences[name].mean:+.2f} dB ({share(study, name)})" for name in DIL]
    yield f"DIL against ERM, with the share of the gap: {', '.join(found)}."
    unseen = study.estimates("psnr", "unseen")
    for one, other in (("dil_sf", "balanced_erm"), ("dil_sf", "fish"), ("dil_ss", "mldg")):
        if one in unseen and other in unseen:
            yield f"{one} is {unseen[one].mean - unseen[other].mean:+.2f} dB from {other}, its kin."


def share(study: StudySummary, line: str) -> str:
    """Gap closed in words."""
    return f"{100 * study.gap[line]:.0f} %".replace("-", "−") if line in study.gap else "an undefined share"


def cost(study: StudySummary, line: str) -> str:
    """`a cost of 0.30 dB`, or a gain."""
    mean = study.seen_cost[line].mean
    return f"a {'cost' if mean >= 0 else 'gain'} of {abs(mean):.2f} dB"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def behaviour(study: StudySummary) -> list[Column]:
    """Seen cost, harm, invariance, steps, time and memory."""
    costs = study.costs
    seconds = Column("seconds", "seconds", "", {n: c.seconds for n, c in costs.items()}, COUNT)
    steps = Column("steps", "steps", "", {n: c.steps for n, c in costs.items()}, COUNT)
    evaluations = Column("evaluations", "evaluations", "", {n: c.evaluations for n, c in costs.items()}, COUNT)
    bias = Column("net bias", "net bias at σ 20", "", net_biases(study), float_format("{:.3f}".format))
    measured = (seen_cost_column(study), harm_column(study), invariance_column(study))
    named = [replace(column.bare, heading=f"{column.heading}, {column.under}", under="") for column in measured]
    return [*named, evaluations, steps, seconds, bias]


def excerpt(study: StudySummary) -> str:
    """The table of the README: the ends, the best rival, DIL, the architectures."""
    best = max((line for line in study.gap if SEPARATOR not in line and line not in DIL), key=study.gap.__getitem__)
    wanted = [INPUT, BASELINE, best, *DIL, BASELINE + FREE, BASELINE + EQUIVARIANT, "dil_sf" + EQUIVARIANT, CEILING]
    columns = [*split_columns(study, "psnr"), *gap_columns(study)]
    return markdown(present(study, wanted), [replace(column, best=frozenset()) for column in columns])


def net_biases(study: StudySummary) -> dict[str, float]:
    """By line, the last net bias that was seen in training, under the strongest seen noise, over seeds."""
    by_line: dict[str, list[float]] = {}
    for record in study.records:
        last = record.diagnoses[-1]["net_biases"] if record.diagnoses else None
        if last:
            by_line.setdefault(record.method, []).append(last["gaussian_noise:20"])
    return {line: fmean(values) for line, values in by_line.items()}


def how(name: str, study: StudySummary) -> str:
    """The command, the machine, and the time of all trainings together."""
    config = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    seeds = sorted({row.seed for row in study.rows})
    hours = sum(record.seconds for record in study.records) / 3600
    return (
        f"`unseen compare --config studies/{name}.yaml`: {config['backbone']}; {study.budget}, {config['batch']} "
        f"patches of {config['patch']} pixels a batch, Adam {config['lr']:g}; trained on 200 photographs of BSDS500 "
        f"(less the validation ones), tested on the centres of {config['images']} photographs of CBSD68, "
        f"{config['crop']} pixels a side; seeds {', '.join(map(str, seeds))}; {' and '.join(study.machines)}. "
        f"{len(study.records)} trainings, {hours:.1f} hours of them on one core each, beside other work: seconds tell "
        "orders, not speeds.\n"
    )


FIGURES = {
    "gains": "Difference from ERM on unseen noise with its 95 % interval, by method and backbone",
    "severity": "PSNR against σ for the input, ERM, DIL_sf, the ceiling, and the equivariant networks",
}


# Any: the keys are plain text to older matplotlib stubs, a list of literals to newer ones.
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "unseen",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(study: StudySummary) -> None:
    """The figures of the plain network, as SVG."""
    with matplotlib.rc_context(STYLE):
        for name, figure in (("gains", gains(study)), ("severity", severity(study))):
            (DOCS / PLAIN).mkdir(exist_ok=True)
            with replacing(DOCS / PLAIN / f"{name}.svg") as temporary:
                figure.savefig(temporary, format="svg", bbox_inches="tight", metadata={"Date": None})


def gains(study: StudySummary) -> Figure:
    """Dots with intervals: a row a method, a colour a backbone."""
    found = study.differences
    methods = sorted({line.partition(SEPARATOR)[0] for line in found}, key=lambda m: found[m].mean if m in found else 0)
    figure = Figure(figsize=(6.4, 0.26 * len(methods) + 1))
    axes = figure.subplots()
    for ending, colour, shift, name in (
        ("", "#0072b2", 0.18, "plain"),
        (FREE, "#d55e00", 0, "without additive constants"),
        (EQUIVARIANT, "#00835f", -0.18, "normalisation-equivariant"),
    ):
        shown = [(i + shift, found[m + ending]) for i, m in enumerate(methods) if m + ending in found]
        for height, d in shown:
            axes.plot([d.low, d.high], [height, height], color=colour, linewidth=1.2)
        axes.plot([d.mean for _, d in shown], [h for h, _ in shown], "o", color=colour, markersize=4, label=name)
    axes.axvline(0, color="#626c77", linewidth=0.8)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_xlabel("unseen PSNR less that of ERM on the plain network (dB)")
    axes.grid(axis="x", color="#e6e9ec")
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", frameon=False)
    return figure


def severity(study: StudySummary) -> Figure:
    """PSNR by σ, the seen range shaded."""
    figure = Figure(figsize=(6.4, 4))
    axes = figure.subplots()
    degrees = [float(level[2]) for level in study.levels]
    wanted = [INPUT, BASELINE, "dil_sf", BASELINE + FREE, BASELINE + EQUIVARIANT, "dil_sf" + EQUIVARIANT, CEILING]
    for line, colour in zip(present(study, wanted), COLOURS, strict=False):
        curve(axes, study, line, colour, degrees)
    seen = [float(level[2]) for level in study.levels_in("seen")]
    axes.axvspan(min(seen), max(seen), color="#e9eff6", zorder=0)
    axes.text(fmean((min(seen), max(seen))), axes.get_ylim()[0], "seen", ha="center", va="bottom")
    axes.set_xlabel("σ of the noise")
    axes.set_ylabel("PSNR (dB)")
    axes.legend(frameon=False)
    return figure


COLOURS = ("#626c77", "#0072b2", "#d55e00", "#c28100", "#00835f", "#b0568f", "#1b2026")


def present(study: StudySummary, lines: Iterable[str]) -> list[str]:
    """Those of the lines that the study has."""
    return [line for line in lines if line in study.entries]


def curve(axes: Axes, study: StudySummary, line: str, colour: str, degrees: Sequence[float]) -> None:
    """One line with its interval over seeds."""
    found = [study.estimates("psnr", level)[line] for level in study.levels]
    means = [e.mean for e in found]
    dash = "--" if line in (INPUT, CEILING) else "-"
    axes.plot(degrees, means, dash, color=colour, marker="o", markersize=3, linewidth=1.4, label=line)
    half = [e.spread or 0 for e in found]
    low, high = ([m + s * h for m, h in zip(means, half, strict=True)] for s in (-1, 1))
    axes.fill_between(degrees, low, high, color=colour, alpha=0.15, linewidth=0)


if __name__ == "__main__":
    plain = read_study(PLAIN)
    if plain:
        draw(plain)
    write_text(PAGE, page())
    print(PAGE)
