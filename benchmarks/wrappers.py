"""Training steps with a wrapper around the network, against those of the network alone.

    python benchmarks/wrappers.py [--rounds 7]

The network is that of docs/results/regime.md: small, so that what a wrapper adds weighs much.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import torch
from pairs import Row, measure, ratio, repeated, show_measured
from steps import training_step

from unseen import keep_freed_memory
from unseen.training.config import TrainConfig

NETWORK = "plain:features=24,depth=6,residual=false,channels=1"
WRAPPERS = ("unit_noise", "capped_noise", "wne")


def rows(rounds: int) -> Iterator[Row]:
    """A row for each wrapper: time of its step beside that of the network alone, whole steps in turn."""
    torch.set_num_threads(1)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:

        def config_of(backbone: str) -> TrainConfig:
            return TrainConfig(
                method="erm",
                protocol="denoise-gray",
                backbone=backbone,
                batch=8,
                patch=24,
                budget=10**6,
                out=folder,
                device="cpu",
                threads=1,
            )

        networks = (NETWORK, *(f"{wrapper}:{NETWORK}" for wrapper in WRAPPERS))
        seconds = measure({name: repeated(training_step(config_of(name)), 80) for name in networks}, rounds)
    for wrapper, name in zip(WRAPPERS, networks[1:], strict=True):
        yield Row(
            f"a step of `erm`, `{wrapper}:` around 6 layers of 24 channels, 8 patches of 24²",
            "the network alone",
            "≤ 1.10",
            ratio(seconds[name], seconds[NETWORK]),
        )


if __name__ == "__main__":
    show_measured(__doc__, rows)
