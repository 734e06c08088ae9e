"""The demonstration: a study of five minutes on two cores, in which a network breaks on unseen noise."""

from __future__ import annotations

from collections.abc import Iterator

from .config import CompareConfig, DemoConfig
from .entry_names import BASELINE, CEILING, INPUT
from .summary import StudySummary

TITLE = "Known noise, unknown noise: a network that breaks, and one that does not"
NETWORK = "plain:features=24,depth=6,residual=false,channels=1"
BIAS_FREE = f"{NETWORK},bias=false"

BROKEN = 2.0
"""Decibels below the ceiling, on unseen noise, from which on an entry is said to break."""

WITHSTANDS = 1.0
"""Decibels below the ceiling, on unseen noise, up to which an entry is said to hold."""

NOTES = (
    "Four networks of six layers and one size saw gray photographs under Gaussian noise of σ 5, 10, 15 and 20; the "
    "ceiling saw every level up to σ 50 as well. All were tested on photographs that none of them was trained on.",
    "What this can show: that a network trained on weak noise can fail on strong noise, by how much, and that one "
    "without biases does not, though it learnt from the same images by the same method (Mohan et al. 2020).",
    "What this cannot show: which method is better when trained in earnest. The networks are a thousand times smaller "
    "than the paper's, trained on two photographs, with one seed; DIL's outer steps are a quarter of ERM's at an equal "
    "number of gradient evaluations.",
    "Network, length and rate were chosen on σ 25 of a held-out photograph, as those with which ERM, trained on, loses "
    "most there of what it had reached; never on an unseen level.",
)


def study_config(config: DemoConfig) -> CompareConfig:
    """The demonstration as a study, sized for two cores and five minutes."""
    return CompareConfig(
        device=config.device,
        threads=config.threads,
        protocol="denoise-gray",
        methods=["erm", "dil_sf", f"erm @ {BIAS_FREE}", "ceiling"],
        backbone=NETWORK,
        budget=20_000,
        batch=4,
        patch=16,
        lr=3e-3,
        crop=256,
        workers=2,
        gpus_per_run=0.5,
        seed=config.seed,
        out=config.out,
    )


def verdict(study: StudySummary) -> Iterator[str]:
    """Say in a sentence each which networks broke on unseen noise, which held, and which held-out noise would choose.

    Nothing is said while ERM or the ceiling is missing.
    """
    if not {BASELINE, CEILING} <= set(study.methods):
        return
    unseen, hardest = study.estimates("psnr", "unseen"), study.levels_in("unseen")[-1]
    at_hardest = study.estimates("psnr", hardest)
    for name in study.rivals:
        below = unseen[CEILING].mean - unseen[name].mean
        words = "breaks" if below >= BROKEN else "holds" if below <= WITHSTANDS else "loses"
        yield (
            f"{name} {words} on unseen noise: {unseen[name].mean:.1f} dB, {below:.1f} dB below the ceiling; at "
            f"{hardest.name} {at_hardest[name].mean:.1f} dB, where the ceiling has {at_hardest[CEILING].mean:.1f} dB "
            f"and the noisy photograph {at_hardest[INPUT].mean:.1f} dB."
        )
    held_out = study.estimates("psnr", "held-out")
    chosen = max(study.rivals, key=lambda name: held_out[name].mean)
    yield (
        f"Chosen by the held-out level alone: {chosen}, with {held_out[chosen].mean:.1f} dB there "
        f"({BASELINE} {held_out[BASELINE].mean:.1f} dB)."
    )
