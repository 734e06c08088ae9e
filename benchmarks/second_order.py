"""Hessian-vector products: what the ways to one cost, and how far off they are.

    python benchmarks/second_order.py [--backbone rrdb_small] [--batch 8] [--patch 40] [--rounds 7]

Reverse over reverse (the package's `exact`), finite differences and forward over reverse are timed in turn in one
process, so that the ratios hold whatever else the machine does; the plain gradient stands beside them as the floor.

First comes what `check_second_order` finds: the relative error over the whole network, at moved parameters, and the
submodule to blame. Then, for the network as it starts, relative errors in float32, along the gradient. Their reference
is a central difference in float64 over a step too short to meet a kink, which differentiates nothing twice.
`--rounds 0` leaves out the timings.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator

import torch
from pairs import Row, measure, ratio, show
from torch import nn
from torch.func import functional_call, grad, jvp

from unseen import keep_freed_memory
from unseen.core.registry import build
from unseen.methods import Batch, Params, objective_for
from unseen.methods.gradients import central_difference, finite_difference_product, gradient, hessian_vector_product
from unseen.methods.params import norm
from unseen.methods.second_order import TINY, SecondOrderError, check_second_order
from unseen.models.backbones import BACKBONES
from unseen.models.inference import on_device

STEPS = (1e-2, 1e-3, 1e-4, 1e-5)
SHORTEST = 1e-9


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


if __name__ == "__main__":
    main()
