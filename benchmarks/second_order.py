"""Hessian-vector products: reverse over reverse, as the package computes them, against forward over reverse.

    python benchmarks/second_order.py [--backbone rrdb_small] [--batch 8] [--patch 40] [--rounds 20]

Both are timed in turn in one process, so that the ratio holds whatever else the machine does; the plain
gradient stands beside them as the floor.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.func import functional_call, grad, jvp

from unseen.backbones import BACKBONES
from unseen.hypergradients import gradient, hessian_vector_product
from unseen.methods import Batch, objective_for
from unseen.parts import build


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backbone", default="rrdb_small")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--patch", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=20)
    told = parser.parse_args()
    torch.manual_seed(0)
    network = build(told.backbone, BACKBONES, "backbone", nn.Module).to(memory_format=torch.channels_last)
    objective = objective_for(network, "l2")
    params = {name: p.detach() for name, p in network.named_parameters()}
    vector = {name: torch.randn_like(p) for name, p in params.items()}
    clean = torch.rand(told.batch, 3, told.patch, told.patch).to(memory_format=torch.channels_last)
    batch = Batch((clean + 0.1 * torch.randn_like(clean)).clamp(0, 1), clean)

    def forward_over_reverse() -> dict[str, torch.Tensor]:
        def loss(values: dict[str, torch.Tensor]) -> torch.Tensor:
            restored: torch.Tensor = functional_call(network, values, (batch.distorted,))
            return (restored - batch.clean).square().mean()

        return jvp(grad(loss), (params,), (vector,))[1]  # type: ignore[no-any-return,unused-ignore]

    ways: dict[str, Callable[[], object]] = {
        "gradient (floor)": lambda: gradient(objective, params, batch),
        "reverse over reverse": lambda: hessian_vector_product(objective, params, batch, vector),
        "forward over reverse": forward_over_reverse,
    }
    exact = hessian_vector_product(objective, params, batch, vector)
    other = forward_over_reverse()
    error = max(float((other[n] - exact[n]).norm() / exact[n].norm().clamp_min(1e-12)) for n in params)
    threads = torch.get_num_threads()
    print(f"{told.backbone}, batch {told.batch}, patch {told.patch}, {threads} threads; differ by {error:.1e}")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(told.rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    floor = statistics.median(seconds["gradient (floor)"])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:22} {median * 1e3:7.1f} ms  {median / floor:5.2f} × the gradient")


if __name__ == "__main__":
    main()
