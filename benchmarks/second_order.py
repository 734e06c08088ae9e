"""Hessian-vector products: what the ways to one cost, and how far off they are.

    python benchmarks/second_order.py [--backbone rrdb_small] [--batch 8] [--patch 40] [--rounds 7]

Reverse over reverse (the package's `exact`), finite differences and forward over reverse are timed in turn in one
process, so that the ratios hold whatever else the machine does; the plain gradient stands beside them as the floor.

First comes what `check_second_order` finds: the relative error over the whole network, at moved parameters, and the
submodule to blame. Then, for the network as it starts, relative errors in float32, along the gradient. Their reference
is a central difference in float64 over a step too short to meet a kink, which differentiates nothing twice.
`--rounds 0` leaves out the timings. Last, the gradient of `dil_ss` beside that of torchopt, which differentiates
through SGD and keeps the graphs of all confounders; memory is the peak of a process beyond what its libraries take.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
import torchopt
from pairs import Row, measure, ratio, show
from torch import nn
from torch.func import functional_call, grad, jvp
from torch.nn import functional as F

from unseen import keep_freed_memory
from unseen.core.memory import Memory
from unseen.core.registry import build
from unseen.methods import Batch, Episode, Params, objective_for
from unseen.methods.dil import DILss
from unseen.methods.gradients import central_difference, finite_difference_product, gradient, hessian_vector_product
from unseen.methods.params import norm
from unseen.methods.second_order import TINY, SecondOrderError, check_second_order
from unseen.models.backbones import BACKBONES
from unseen.models.inference import on_device

STEPS = (1e-2, 1e-3, 1e-4, 1e-5)
SHORTEST = 1e-9
CONFOUNDERS = 8
TORCHOPT = "torchopt, all graphs kept"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backbone", default="rrdb_small")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--patch", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    network, batch = made(options.backbone, options.batch, options.patch)
    print(f"{options.backbone}, batch {options.batch}, patch {options.patch}")
    try:
        print(f"{'check_second_order':22} {check_second_order(network, (1, 3, TINY, TINY)):8.1e}")
    except SecondOrderError as error:
        print(f"{'check_second_order':22} {error.error:8.1e} {error}")
    show_errors(network, batch)
    if options.rounds:
        show(rows(options.rounds, options.backbone, options.batch, options.patch))


def made(backbone: str, size: int, patch: int) -> tuple[nn.Module, Batch]:
    """A network as it starts, and a batch of noisy images."""
    torch.manual_seed(0)
    network = on_device(build(backbone, BACKBONES, "backbone", nn.Module), "cpu")
    clean = torch.rand(size, 3, patch, patch).to(memory_format=torch.channels_last)
    return network, Batch((clean + 0.1 * torch.randn_like(clean)).clamp(0, 1), clean)


def show_errors(network: nn.Module, batch: Batch) -> None:
    params = {name: p.detach() for name, p in network.named_parameters()}
    in_double, wide = copy.deepcopy(network).double(), Batch(batch.distorted.double(), batch.clean.double())
    print(f"{'relative error':22} {'exact':>8}" + "".join(f"{f'fd {step:g}':>10}" for step in STEPS))
    for loss in ("l1", "l2", "huber"):
        narrow, reference = objective_for(network, loss), objective_for(in_double, loss)
        vector = gradient(narrow, params, batch)
        truth = central_difference(lambda p, of=reference: of(p, wide), doubled(params), doubled(vector), SHORTEST)  # type: ignore[misc]
        found = [hessian_vector_product(narrow, params, batch, vector)]
        found += [central_difference(lambda p, of=narrow: of(p, batch), params, vector, step) for step in STEPS]  # type: ignore[misc]
        errors = [norm({name: product[name] - truth[name] for name in truth}) / norm(truth) for product in found]
        print(f"{loss:22} {errors[0]:8.1e}" + "".join(f"{error:10.1e}" for error in errors[1:]))


def doubled(point: Params) -> Params:
    return {name: value.double() for name, value in point.items()}


def rows(rounds: int, backbone: str = "rrdb_small", size: int = 8, patch: int = 40) -> Iterator[Row]:
    """A row for each way to a product, and two for each network beside torchopt."""
    yield from products(rounds, backbone, size, patch)
    for network in ("plain:features=32", backbone):
        yield from torchopt_rows(rounds, network, size, patch)


def products(rounds: int, backbone: str, size: int, patch: int) -> Iterator[Row]:
    """A row for each way to a product."""
    torch.set_num_threads(1)
    keep_freed_memory()
    network, batch = made(backbone, size, patch)
    objective = objective_for(network, "l2")
    params = {name: p.detach() for name, p in network.named_parameters()}
    vector = {name: torch.randn_like(p) for name, p in params.items()}

    def forward_over_reverse() -> dict[str, torch.Tensor]:
        def loss(values: dict[str, torch.Tensor]) -> torch.Tensor:
            restored: torch.Tensor = functional_call(network, values, (batch.distorted,))
            return (restored - batch.clean).square().mean()

        return jvp(grad(loss), (params,), (vector,))[1]  # type: ignore[no-any-return,unused-ignore]

    ways: dict[str, Callable[[], object]] = {
        "gradient": lambda: gradient(objective, params, batch),
        "reverse over reverse": lambda: hessian_vector_product(objective, params, batch, vector),
        "finite difference": lambda: finite_difference_product(objective, params, batch, vector),
        "forward over reverse": forward_over_reverse,
    }
    seconds = measure(ways, rounds)
    targets = {"reverse over reverse": "≤ 3.00"}
    for name in [*ways][1:]:
        what = f"product by {name}, `{backbone}`, batch {size}, patch {patch}"
        yield Row(what, "1 gradient", targets.get(name, ""), ratio(seconds[name], seconds["gradient"]))


def torchopt_rows(rounds: int, backbone: str, size: int, patch: int) -> Iterator[Row]:
    """The gradient of `dil_ss` beside torchopt's, which keeps the graphs of all confounders: time and memory."""
    ways = dil_ss_ways(backbone, size, patch)
    keep_freed_memory()
    seconds = measure(ways, rounds)
    what = f"`dil_ss`, n = {CONFOUNDERS}, `{backbone}`, batch {size}"
    yield Row(f"{what}, time", TORCHOPT, "≤ 0.90", ratio(seconds["dil_ss"], seconds[TORCHOPT]))
    peaks: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(min(rounds, 3)):  # the same but for some MiB
        for name in ways:
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                peaks[name].append(process.submit(peak, name, backbone, size, patch).result())
    yield Row(f"{what}, memory", TORCHOPT, "≤ 0.15", ratio(peaks["dil_ss"], peaks[TORCHOPT]))


def peak(name: str, backbone: str, size: int, patch: int) -> float:
    """The MiB that a gradient takes in a process of its own, after one of tiny images has loaded the libraries."""
    torch.set_num_threads(1)
    keep_freed_memory()
    dil_ss_ways(backbone, 1, 16)[name]()
    way = dil_ss_ways(backbone, size, patch)[name]
    meter = Memory(torch.device("cpu"))
    way()
    return meter.peak()


def dil_ss_ways(backbone: str, size: int, patch: int) -> dict[str, Callable[[], Params]]:
    """The gradient of equation (4), by the package and by torchopt's differentiable SGD and one backward pass."""
    network, query = made(backbone, size, patch)
    noise = [0.05 * i * torch.randn_like(query.clean) for i in range(1, CONFOUNDERS + 1)]
    episode = Episode([Batch((query.clean + field).clamp(0, 1), query.clean) for field in noise], query)
    method, objective, params = DILss(inner_lr=1e-2), objective_for(network), dict(network.named_parameters())
    rival = copy.deepcopy(network)

    def by_torchopt() -> Params:
        inner = torchopt.MetaSGD(rival, lr=1e-2)
        start = [(part, torchopt.extract_state_dict(part, by="reference")) for part in (rival, inner)]
        leaves = dict(rival.named_parameters())
        losses = []
        for batch in episode.confounders:
            inner.step(F.l1_loss(rival(batch.distorted), batch.clean))
            losses.append(F.l1_loss(rival(query.distorted), query.clean))
            for part, state in start:
                torchopt.recover_state_dict(part, state)
        slopes = torch.autograd.grad(torch.stack(losses).mean(), list(leaves.values()))
        return dict(zip(leaves, slopes, strict=True))

    return {"dil_ss": lambda: method.gradient(objective, params, episode), TORCHOPT: by_torchopt}


if __name__ == "__main__":
    main()
