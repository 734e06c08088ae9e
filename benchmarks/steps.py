"""Training steps against their arithmetic: as many plain forward and backward passes as the method's budget counts.

    python benchmarks/steps.py [--rounds 7] [--methods erm dil_sf] [--networks plain:features=16]

A step is all that training does: drawing patches, distorting them, the method, the optimiser. The floor is one network
call, an L1 loss and `backward` on a batch that lies ready, in the same process with the same allocator.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence

import torch
from pairs import Row, measure, ratio, repeated, show
from torch.nn import functional as F

from unseen import keep_freed_memory
from unseen.training.config import TrainConfig
from unseen.training.distributed import StepReport
from unseen.training.loop import gradient_of, next_episode
from unseen.training.outer_step import take_step
from unseen.training.run import TrainingRun
from unseen.training.state import new_state

METHODS = ["erm", "dil_sf", "dil_pf", "dil_ss", "dil_ps"]
NETWORKS = ["rrdb_small @ 8", "plain:features=32 @ 8", "plain:features=32 @ 16", "plain:features=16 @ 8"]

LEAST = 16
"""Evaluations that a round takes at least: a single short step says little on a machine that others use."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="a backbone, an at sign, the size of a batch")
    parser.add_argument("--malloc", choices=["kept", "plain"], default="kept")
    options = parser.parse_args()
    show(rows(options.rounds, options.methods, options.networks, options.malloc == "kept"))


def rows(
    rounds: int, methods: Sequence[str] = METHODS, networks: Sequence[str] = NETWORKS, malloc_kept: bool = True
) -> Iterator[Row]:
    """A row for each network and method."""
    torch.set_num_threads(1)
    if malloc_kept:
        keep_freed_memory()
    for network in networks:
        backbone, _, batch = network.partition(" @ ")
        for method in methods:
            yield measure_step(method, backbone, int(batch or 8), rounds)


def training_step(config: TrainConfig) -> Callable[[], None]:
    """A function that takes the next step of a training, without what observes it."""
    run = TrainingRun.of(config)
    state = new_state(run)

    def step() -> None:
        take_step(run, gradient_of(run, next_episode(run, state)), config.lr)
        state.step += 1

    return step


def measure_step(method: str, backbone: str, batch: int, rounds: int) -> Row:
    """The cost of a method's step in plain evaluations, by the evaluations that its budget counts."""
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            method=method, backbone=backbone, batch=batch, budget=10**6, out=folder, device="cpu", threads=1
        )
        run = TrainingRun.of(config)
        state = new_state(run)
        ready = next_episode(run, state).query

        def step() -> None:
            episode = next_episode(run, state)
            take_step(run, gradient_of(run, episode), config.lr)
            tally = run.objective.take_tally()
            state.account(config, tally, StepReport(False, 0.0, episode.seconds, tally.loss))

        def evaluation() -> None:
            run.network.zero_grad()
            F.l1_loss(run.network(ready.distorted), ready.clean).backward()  # type: ignore[no-untyped-call]

        step()
        evaluations = round(state.evaluations_spent(config) / state.step)
        steps = max(1, LEAST // evaluations)
        ways = {"step": repeated(step, steps), "floor": repeated(evaluation, steps * evaluations)}
        seconds = measure(ways, rounds)
        strict = method in ("erm", "dil_sf", "dil_pf") and backbone != "plain:features=16"
        return Row(
            f"`{method}`, `{backbone}`, batch {batch}",
            f"{evaluations} plain evaluation{'s' * (evaluations > 1)}",
            "≤ 1.04" if strict else "≤ 1.10",
            ratio(seconds["step"], seconds["floor"]),
        )


if __name__ == "__main__":
    main()
