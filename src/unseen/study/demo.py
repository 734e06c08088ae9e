"""The demonstration: a study of five minutes on two cores, with notes on what it can and cannot show."""

from __future__ import annotations

from .config import CompareConfig, DemoConfig

TITLE = "Known noise, unknown noise: ERM, DIL and the ceiling"
NOTES = (
    "Three equal small networks saw photographs under Gaussian noise of σ 5, 10, 15 and 20; the ceiling saw "
    "every level up to σ 50 as well. All were tested on photographs that none of them was trained on.",
    "What this can show: that a network trained on weak noise fails on strong noise, by how much, and how far "
    "below a network of the same size and training that has seen the strong noise it stays.",
    "What this cannot show: which method is better when trained in earnest. The network is a few hundred "
    "times smaller than the paper's, its training some thousands of times shorter, on two photographs, with "
    "one seed; DIL's outer steps are a quarter of ERM's at an equal number of gradient evaluations.",
    "Network, length and rates were chosen on σ 25 of a held-out photograph, never on an unseen level.",
)


def study_config(config: DemoConfig) -> CompareConfig:
    """The demonstration as a study, sized for two cores and five minutes."""
    return CompareConfig(
        device=config.device,
        threads=config.threads,
        protocol="denoise",
        methods=["erm", "dil_sf", "ceiling"],
        backbone="rrdb_small:features=12,growth=6,blocks=1",
        budget=1_500,
        batch=8,
        patch=32,
        lr=3e-3,
        seed=config.seed,
        out=config.out,
    )
