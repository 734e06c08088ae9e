"""Training steps with a wrapper around the network, and those of recipes that generalise, against plain ERM's.

    python benchmarks/wrappers.py [--rounds 7]

The networks are those of docs/results/regime.md: small, so that what a wrapper or the drawing of images adds weighs
much.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import torch
from pairs import Row, measure, ratio, repeated, show_measured
from steps import training_step

from unseen import keep_freed_memory
from unseen.training.config import TrainConfig

GRAY = "plain:features=24,depth=6,residual=false,channels=1"
COLOUR = "plain:features=24,depth=6"
LARGER = "plain:features=64,depth=8"

SIZES = {"6 layers of 24 channels": COLOUR, "8 layers of 64": LARGER}

STEPS: dict[str, tuple[str, str, str]] = {}
"""What is measured: method, network, and the network of plain ERM beside it."""

for wrapper in ("unit_noise", "capped_noise", "wne"):
    title = f"a step of `erm`, `{wrapper}:` around 6 layers of 24 channels, gray, 8 patches of 24²"
    STEPS[title] = ("erm", f"{wrapper}:{GRAY}", GRAY)
RECIPES = {
    "`capped_noise:` around {}": "capped_noise:{}",
    "`unit_noise:` around {} without biases": "unit_noise:{},bias=false",
    "{} without biases": "{},bias=false",
}
for form, spec in RECIPES.items():
    for size, network in SIZES.items():
        title = f"a step of `widened_erm`, {form.format(size)}, 4 patches of 40²"
        STEPS[title] = ("widened_erm", spec.format(network), network)


def rows(rounds: int) -> Iterator[Row]:
    """A row for each: its time beside that of a step of `erm` of the network alone, whole steps in turn."""
    torch.set_num_threads(1)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:

        def config_of(method: str, backbone: str) -> TrainConfig:
            gray = GRAY in backbone
            return TrainConfig(
                method=method,
                protocol="denoise-gray" if gray else "denoise",
                backbone=backbone,
                batch=8 if gray else 4,
                patch=24 if gray else 40,
                budget=10**6,
                out=folder,
                device="cpu",
                threads=1,
            )

        plain = {network: ("erm", network) for _, _, network in STEPS.values()}
        others = {title: (method, backbone) for title, (method, backbone, _) in STEPS.items()}
        seconds = measure(
            {name: repeated(training_step(config_of(*step)), 40) for name, step in (plain | others).items()}, rounds
        )
    for title, (_, _, network) in STEPS.items():
        yield Row(title, "`erm`, the network as it is", "≤ 1.10", ratio(seconds[title], seconds[network]))


if __name__ == "__main__":
    show_measured(__doc__, rows)
