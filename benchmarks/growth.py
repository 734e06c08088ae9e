"""Growth: how time and memory grow with confounders, weights, patch and picture, as exponents of a power law.

    python benchmarks/growth.py [--rounds 3]

An exponent is the slope of a straight line through the logarithms, by least squares, with its 95 % interval: 1 is
linear growth. Every point is measured in a fresh process on one thread: CPU time of a step, the median over the rounds,
and the peak of memory beyond what the process held before. The points are kept in docs/results/growth.jsonl, and drawn
in docs/results/growth.svg.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
from pairs import Ratio, Row, measure, repeated, show_measured
from PIL import Image
from scipy.special import stdtrit

RESULTS = Path(__file__).parents[1] / "docs" / "results"
"""Where the points and their figure are written."""

NETWORKS = {
    f"rrdb_small:features={features},growth={growth},blocks={blocks}": weights
    for features, growth, blocks, weights in (
        (16, 8, 1, 50_595),
        (16, 8, 4, 185_811),
        (64, 32, 1, 796_803),
        (64, 32, 4, 2_955_075),
        (64, 32, 23, 16_624_131),
    )
}
"""Networks with their number of weights; the last one is the paper's."""

T = TypeVar("T")

LEAST = 0.3
"""CPU seconds that a round of steps takes at least."""


@dataclass(frozen=True)
class Cost:
    """What one point takes.

    Attributes:
        seconds: CPU time.
        mebibytes: peak of memory beyond what the process held before.
    """

    seconds: float
    mebibytes: float


Work = Callable[[int], Cost]
"""A function from the number of rounds to what the work takes, which runs in a process of its own."""


@dataclass(frozen=True)
class Curve:
    """What grows, and against what.

    Attributes:
        what: what is measured, such as a step of a method.
        against: the variable.
        works: value of the variable → the work.
        bounded: whether the memory is to stay the same.
    """

    what: str
    against: str
    works: dict[float, Work]
    bounded: bool = False


def rows(rounds: int) -> Iterator[Row]:
    """Two rows for each curve: the exponents of time and memory."""
    measured: list[tuple[Curve, list[Cost]]] = []
    with tempfile.TemporaryDirectory() as folder:
        for curve in curves(Path(folder)):
            costs = [in_fresh_process(work, rounds) for work in curve.works.values()]
            measured.append((curve, costs))
            sizes = list(curve.works)
            span = f"{curve.against}, {sizes[0]:,.0f} to {sizes[-1]:,.0f}"
            yield Row(f"time: {curve.what}", span, "≤ 1", exponent(sizes, [c.seconds for c in costs]), "exponent")
            memory = exponent(sizes, [c.mebibytes for c in costs])
            yield Row(f"memory: {curve.what}", span, "≤ 0.25" if curve.bounded else "≤ 1", memory, "exponent")
    keep(measured)
    draw(measured)


def curves(folder: Path) -> Iterator[Curve]:
    """All curves; their files are written to the folder."""
    counts = (2, 4, 8, 16, 32)
    protocols = {n: str(protocol_of(folder, n)) for n in counts}
    for method in ("dil_sf", "dil_ps"):
        works: dict[float, Work] = {
            n: partial(step_cost, method, "plain:features=16", 4, 24, protocols[n]) for n in counts
        }
        yield Curve(f"a step of `{method}`, `plain:features=16`, batch 4, patch 24", "confounders", works)
    for method in ("erm", "dil_sf"):
        works = {
            weights: partial(step_cost, method, network, 1, 24, protocols[2]) for network, weights in NETWORKS.items()
        }
        yield Curve(f"a step of `{method}`, RRDB, batch 1, patch 24, 2 confounders", "weights", works)
    for method in ("erm", "dil_ps"):
        works = {
            side**2: partial(step_cost, method, "plain:features=16", 2, side, protocols[4])
            for side in (24, 48, 96, 192)
        }
        yield Curve(f"a step of `{method}`, `plain:features=16`, batch 2, 4 confounders", "pixels of a patch", works)
    works = {size: partial(restoring_cost, size) for size in (1, 3, 10, 30, 100)}
    what = "`unseen restore --memory 64MiB`, `plain:features=4,depth=2`, a PNG file"
    yield Curve(what, "megapixels", works, bounded=True)


def protocol_of(folder: Path, n: int) -> Path:
    """Write a protocol with n seen confounders."""
    path = folder / f"noise{n}.yaml"
    seen = [f"gaussian_noise:{5 + 45 * i / n:g}" for i in range(n)]
    rest = {"held_out": ["gaussian_noise:60"], "unseen": ["gaussian_noise:70"]}
    path.write_text(json.dumps({"name": f"noise{n}", "version": 1, "about": "levels of noise", "seen": seen, **rest}))
    return path


def in_fresh_process(work: Callable[[int], T], rounds: int) -> T:
    """Do the work in a new interpreter, whose memory nothing else has touched."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, rounds).result()


def step_cost(method: str, backbone: str, batch: int, patch: int, protocol: str, rounds: int) -> Cost:
    """A step of training; its memory is that of the first two, which make the state of the optimiser too."""
    import torch
    from steps import training_step

    from unseen import keep_freed_memory
    from unseen.core.memory import Memory
    from unseen.training.config import TrainConfig

    torch.set_num_threads(1)
    keep_freed_memory()
    config = TrainConfig(
        method=method,
        backbone=backbone,
        batch=batch,
        patch=patch,
        protocol=protocol,
        budget=10**6,
        device="cpu",
        threads=1,
    )
    step = training_step(config)
    memory = Memory(torch.device("cpu"))
    step()
    started = time.process_time()
    step()
    times = math.ceil(LEAST / (time.process_time() - started))
    peak = memory.peak()
    seconds = measure({"steps": repeated(step, times)}, rounds)["steps"]
    return Cost(statistics.median(seconds) / times, peak)


def restoring_cost(megapixels: float, rounds: int) -> Cost:
    """`unseen restore` of one file; once, since even the smallest takes a second."""
    import torch

    from unseen.cli.main import main as unseen
    from unseen.core.memory import Memory

    with tempfile.TemporaryDirectory() as folder:
        in_fresh_process(partial(prepare, folder, megapixels), rounds)
        words = f"{folder}/picture.png -o {folder}/restored.png --memory 64MiB --device cpu --threads 1"
        command = ["restore", *words.split(), "--model", f"{folder}/run/checkpoint.safetensors"]
        memory, started = Memory(torch.device("cpu")), time.process_time()
        if unseen(command):
            raise RuntimeError("nothing restored")
        return Cost(time.process_time() - started, memory.peak())


def prepare(folder: str, megapixels: float, rounds: int) -> None:
    """Train a network, and write a square picture of a gradient with a little noise."""
    from unseen.cli.main import main as unseen

    words = "--budget 8 --validations 1 --method erm --backbone plain:features=4,depth=2 --device cpu --threads 1"
    unseen(["train", *words.split(), "--out", f"{folder}/run"])
    side = round(math.sqrt(megapixels * 10**6))
    ramp = np.linspace(40, 200, side).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 8, (side, 1, 3), np.uint8)
    Image.fromarray(ramp[None, :, None] + noise).save(f"{folder}/picture.png", compress_level=1)


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> Ratio:
    """The slope of log cost against log size by least squares, with its 95 % interval (Student's t)."""
    x, y = np.log(sizes), np.log(costs)
    (slope, shift), spread = np.polyfit(x, y, 1), x - x.mean()
    free = len(x) - 2
    error = math.sqrt(float(((y - slope * x - shift) ** 2).sum()) / free / float((spread**2).sum()))
    half = float(stdtrit(free, 0.975)) * error
    return Ratio(float(slope), float(slope) - half, float(slope) + half)


def keep(measured: Sequence[tuple[Curve, list[Cost]]]) -> None:
    """Write the points, a line each."""
    lines = [
        {"what": curve.what, "against": curve.against, "size": size, **asdict(cost)}
        for curve, costs in measured
        for size, cost in zip(curve.works, costs, strict=True)
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (RESULTS / "growth.jsonl").write_text(text, encoding="utf-8")


def draw(measured: Sequence[tuple[Curve, list[Cost]]]) -> None:
    """Draw time above memory, a column for each variable, with the fitted lines."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    variables = list(dict.fromkeys(curve.against for curve, _ in measured))
    with rc_context({"svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}):
        figure = Figure(figsize=(3 * len(variables), 5.6), layout="constrained")
        panels = figure.subplots(2, len(variables), squeeze=False, sharex="col")
        for curve, costs in measured:
            column = variables.index(curve.against)
            label = curve.what.split("`")[1].partition(" --")[0]
            for panel, kind in zip(panels[:, column], ("seconds", "mebibytes"), strict=True):
                sizes, values = np.array(list(curve.works)), np.array([getattr(cost, kind) for cost in costs])
                slope = exponent(sizes.tolist(), values.tolist()).median
                points = panel.loglog(sizes, values, "o", markersize=4)[0]
                fitted = np.exp(np.log(values).mean() + slope * (np.log(sizes) - np.log(sizes).mean()))
                panel.loglog(sizes, fitted, color=points.get_color(), linewidth=1, label=f"{label}: {slope:.2f}")
        for column, variable in enumerate(variables):
            panels[1, column].set_xlabel(variable)
            ticks = next(list(curve.works) for curve, _ in measured if curve.against == variable)
            panels[1, column].xaxis.set_minor_formatter(NullFormatter())
            if max(ticks) <= 100:
                panels[1, column].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panels[0, 0].set_ylabel("CPU time, s")
        panels[1, 0].set_ylabel("peak memory, MiB")
        for panel in panels.flat:
            panel.legend(frameon=False, title="exponent", alignment="left")
            panel.grid(alpha=0.25)
            panel.spines[["top", "right"]].set_visible(False)
        figure.savefig(RESULTS / "growth.svg", metadata={"Date": None})


if __name__ == "__main__":
    show_measured(__doc__, rows, rounds=3)
