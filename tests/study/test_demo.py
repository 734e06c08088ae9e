"""The demonstration: what it trains, and the sentences that it makes of the results."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fake_study import study
from torch import nn

from unseen.core.registry import build
from unseen.models.backbones import BACKBONES
from unseen.models.channels import channels_of
from unseen.study.config import DemoConfig
from unseen.study.demo import study_config, verdict
from unseen.study.summary import StudySummary


def with_unseen(methods: tuple[str, ...], below: dict[str, float]) -> StudySummary:
    """A study in which methods stand so many decibels below the ceiling on every unseen level."""
    made = study(methods)
    ceiling = {(r.level, r.image): r.psnr for r in made.results if r.method == "ceiling"}
    moved = {("unseen", method) for method in below}
    return StudySummary(
        [
            replace(r, psnr=ceiling[r.level, r.image] - below[r.method]) if (r.split, r.method) in moved else r
            for r in made.results
        ]
    )


def test_the_demonstration_compares_gray_networks_of_one_size_on_two_cores() -> None:
    config = study_config(DemoConfig())
    config.check()
    assert [entry.name for entry in config.entries()] == ["erm", "dil_sf", "erm @ unit_noise", "ceiling"]
    assert {channels_of(build(e.backbone, BACKBONES, "backbone", nn.Module)) for e in config.entries()} == {1}
    assert (config.workers, config.resolved().threads) == (2, 1)


@pytest.mark.parametrize(("below", "word"), [(2.5, "breaks"), (1.5, "is in between"), (0.5, "holds"), (-0.5, "holds")])
def test_a_network_is_judged_by_its_distance_from_the_ceiling(below: float, word: str) -> None:
    sentences = verdict(with_unseen(("erm", "dil_sf", "ceiling"), {"erm": 3.0, "dil_sf": below}))
    ceiling, first, second, chosen = sentences
    assert ceiling.startswith("At gaussian noise 50, never seen, the noisy photographs have ")
    assert first.startswith("erm breaks: ")
    assert first.endswith(" 3.0 dB below the ceiling.")
    assert second.startswith(f"dil_sf {word}: ")
    assert second.endswith(f" {abs(below)} dB {'below' if below > 0 else 'above'} the ceiling.")
    assert chosen.startswith("Held-out noise alone would choose dil_sf, with ")


def test_nothing_is_judged_without_a_ceiling() -> None:
    assert list(verdict(study(("erm", "dil_sf")))) == []
