"""The demonstration: a study of some minutes on two cores, in which a network breaks on unseen noise."""

from __future__ import annotations

from collections.abc import Iterator

from .config import CompareConfig, DemoConfig
from .entry_names import BASELINE, CEILING, INPUT
from .summary import StudySummary

TITLE = "Known noise, unknown noise: a network that breaks, and one that does not"
NETWORK = "plain:features=24,depth=6,residual=false,channels=1"
UNIT_NOISE = f"unit_noise:{NETWORK}"

BREAKS = 2.0
"""Decibels below the ceiling, at the strongest unseen noise, from which on an entry is said to break."""

HOLDS = 1.0
"""Decibels below the ceiling, at the strongest unseen noise, up to which an entry is said to hold."""

NOTES = (
    "Four networks of six layers and one size saw gray photographs under Gaussian noise of σ 5, 10, 15 and 20; the "
    "ceiling saw every level up to σ 50 as well. All were tested on photographs that none of them was trained on.",
    "What this can show: that a network trained on weak noise can fail on strong noise, by how much, and that the same "
    "network does not within a wrapper that shows it every noise at one strength (after Wang and Morel 2014), though "
    "it learnt from the same images by the same method.",
    "What this cannot show: which method is better when trained in earnest. The networks are hundreds of times smaller "
    "than the paper's, trained on two photographs, with one seed; DIL's outer steps are a quarter of ERM's at an equal "
    "number of gradient evaluations.",
    "The network is of a kind that is known to break in a longer training. Of three pairs of rate and patch that one "
    "was taken under which ERM was worst at σ 25 of a held-out photograph; the length is what some minutes allow.",
)


def study_config(config: DemoConfig) -> CompareConfig:
    """The demonstration as a study, sized for two cores and some minutes."""
    return CompareConfig(
        device=config.device,
        threads=config.threads,
        protocol="denoise-gray",
        methods=["erm", "dil_sf", f"erm @ {UNIT_NOISE}", "ceiling"],
        backbone=NETWORK,
        budget=15_000,
        batch=4,
        patch=24,
        lr=1e-3,
        keep=8,
        crop=192,
        workers=2,
        gpus_per_run=0.5,
        seed=config.seed,
        out=config.out,
    )


def verdict(study: StudySummary) -> Iterator[str]:
    """Say in a sentence each which networks break on unseen noise, which hold, and which held-out noise would choose.

    Nothing is said while ERM or the ceiling is missing.
    """
    if not {BASELINE, CEILING} <= set(study.methods):
        return
    hardest = study.levels_in("unseen")[-1]
    psnr, held_out = study.estimates("psnr", hardest), study.estimates("psnr", "held-out")
    yield (
        f"At {hardest.name}, never seen, the noisy photographs have {psnr[INPUT].mean:.1f} dB, and the network that "
        f"was told of such noise, the ceiling, restores to {psnr[CEILING].mean:.1f} dB."
    )
    for name in study.rivals:
        below = psnr[CEILING].mean - psnr[name].mean
        word = "breaks" if below >= BREAKS else "holds" if below <= HOLDS else "is in between"
        where = f"{abs(below):.1f} dB {'below' if below >= 0 else 'above'} the ceiling"
        yield f"{name} {word}: {psnr[name].mean:.1f} dB there, {where}."
    chosen = max(study.rivals, key=lambda name: held_out[name].mean)
    yield (
        f"Held-out noise alone would choose {chosen}, with {held_out[chosen].mean:.2f} dB there "
        f"({BASELINE} {held_out[BASELINE].mean:.2f} dB)."
    )
