"""A GPU kept busy: captured steps against eager ones, against their arithmetic, and side by side.

    python benchmarks/gpu.py [--rounds 7]

Wall time of a GPU that does nothing else; no rows where there is no CUDA GPU. A step is all that training does but
validating and saving, as in steps.py; a captured step has the drawing of patches and noise in its graph.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from threading import Event

import torch
from pairs import Ratio, Row, measure, ratio, repeated, show_measured
from torch.nn import functional as F

from unseen.training.config import TrainConfig
from unseen.training.engine import cuda_graph
from unseen.training.loop import training
from unseen.training.run import TrainingRun
from unseen.training.side_by_side import stream_of
from unseen.training.state import TrainingState

STEPS = 20
"""Steps that are timed together."""

TOGETHER = 16

CAPTURED = TrainConfig(
    method="dil_sf", engine="graph", draws="device", device="cuda", threads=1, budget=10**9, validations=1
)
SMALL = replace(CAPTURED, backbone="plain:features=32,depth=8", batch=16, patch=40)
LARGE = replace(CAPTURED, backbone="rrdb", batch=8, patch=64, precision="bf16")

Steps = tuple[Iterator[TrainingState], AbstractContextManager[object]]
"""The steps of a training, and the stream that they run on."""


def rows(rounds: int) -> Iterator[Row]:
    """The rows of one GPU; none without one."""
    if not torch.cuda.is_available():
        return
    with tempfile.TemporaryDirectory() as folder:
        yield from small_network(folder, rounds)
        yield side_by_side(folder, rounds)
        yield from large_network(folder, rounds)


def small_network(folder: str, rounds: int) -> Iterator[Row]:
    """Steps of a small network, captured and eager, by the captured arithmetic alone."""
    for method, evaluations in (("erm", 1), ("dil_sf", 4), ("dil_ss", 16)):
        config = replace(SMALL, method=method)
        captured = begun(config, folder)
        eager = begun(replace(config, engine="eager", draws="exact"), folder)
        plain = plain_graph(config)
        seconds = measure(
            {
                "captured": partial(take, [captured]),
                "eager": partial(take, [eager]),
                "floor": repeated(plain, STEPS * evaluations),
            },
            rounds,
            synchronised,
        )
        what, floor = f"`{method}`, `plain` 32 × 8, batch 16, patch 40", f"{evaluations} captured plain evaluations"
        yield Row(f"{what}, captured", floor, "≤ 1.15", ratio(seconds["captured"], seconds["floor"]))
        yield Row(f"{what}, eager", floor, "", ratio(seconds["eager"], seconds["floor"]))


def side_by_side(folder: str, rounds: int) -> Row:
    """Trainings of one study side by side, by as many one after the other."""
    together = [begun(replace(SMALL, seed=seed), folder) for seed in range(TOGETHER)]
    alone = begun(replace(SMALL, seed=TOGETHER), folder)
    seconds = measure({"together": lambda: take(together), "alone": lambda: take([alone])}, rounds, synchronised)
    what = f"{TOGETHER} trainings by `dil_sf`, `plain` 32 × 8, side by side"
    return Row(what, f"{TOGETHER} × one alone", "≤ 0.25", ratio(seconds["together"], seconds["alone"], TOGETHER))


def large_network(folder: str, rounds: int) -> Iterator[Row]:
    """Steps of the paper's network in bf16: milliseconds an evaluation, and the share of the card's own rate."""
    forms = {"captured, bf16": LARGE, "eager, fp32": replace(LARGE, engine="eager", draws="exact", precision="fp32")}
    for name, config in forms.items():
        steps = begun(config, folder)
        seconds = measure({name: partial(take, [steps])}, rounds, synchronised)[name]
        what = f"an evaluation of `dil_sf`, `rrdb` 64 / 23, batch 8, patch 64, {name}"
        target = "≤ 40" if config is LARGE else ""
        yield Row(what, "", target, spread([1e3 * each / (4 * STEPS) for each in seconds]), "ms")
    steps = begun(replace(LARGE, batch=32), folder)
    size = 8192
    one, other = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    ways = {"step": lambda: take([steps]), "product": lambda: [one @ other for _ in range(STEPS)]}
    seconds_by_way = measure(ways, rounds, synchronised)
    weights = sum(value.numel() for value in TrainingRun.of(LARGE).parameters.values())
    operations = 4 * 3 * 2 * weights * 32 * LARGE.patch**2  # four evaluations of three products a weight and pixel
    rates = [
        operations / step / (2 * size**3 / product) for step, product in zip(*seconds_by_way.values(), strict=True)
    ]
    yield Row(
        "rate of `dil_sf`, `rrdb` 64 / 23, batch 32, patch 64, captured, bf16",
        f"a bf16 product of {size}² matrices",
        "≥ 0.25",
        spread(rates),
    )


def begun(config: TrainConfig, folder: str) -> Steps:
    """A training on a stream of its own, past its first step, which records the graph."""
    stream = stream_of("cuda")
    with stream:
        steps = training(replace(config, out=tempfile.mkdtemp(dir=folder)), Event())
        next(steps)
    return steps, stream


def take(trainings: Sequence[Steps]) -> None:
    """Take some steps of every training, a step of each in turn."""
    for _ in range(STEPS):
        for steps, stream in trainings:
            with stream:
                next(steps)


def plain_graph(config: TrainConfig) -> Callable[[], None]:
    """A captured plain evaluation on a batch that lies ready."""
    run = TrainingRun.of(config)
    ready = run.engine.episode((0, 0, 0), 0.0).query

    def evaluation() -> None:
        loss = F.l1_loss(run.network(ready.distorted), ready.clean)
        torch.autograd.grad(loss, list(run.parameters.values()))

    return cuda_graph(evaluation)


def synchronised() -> float:
    """The time when the GPU has done all that it was given, s."""
    torch.cuda.synchronize()
    return time.perf_counter()


def spread(values: list[float]) -> Ratio:
    """The median of measurements that are no ratios, with the lowest and the highest."""
    return Ratio(statistics.median(values), min(values), max(values))


if __name__ == "__main__":
    show_measured(__doc__, rows)
