"""The cheap test of many weights: the inputs and the PSNR of the full test, in batches, on few images."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest
import torch
from support.networks import backbone

from unseen.evaluation import excerpt_test
from unseen.evaluation.benchmark_sets import BenchmarkSets
from unseen.evaluation.config import EvaluateConfig
from unseen.evaluation.evaluate import measure
from unseen.evaluation.excerpt_test import ExcerptTest
from unseen.evaluation.inputs import levels_of
from unseen.protocols.levels import Level
from unseen.protocols.loading import load_protocol


def test_excerpts_give_the_psnr_of_the_full_test(tests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network, protocol = backbone("plain:features=4,depth=2").float().eval(), load_protocol("denoise")
    sets = BenchmarkSets.load(EvaluateConfig(test=[f"q={tests}"]), protocol, [])
    monkeypatch.setattr(excerpt_test, "BATCH_PIXELS", 3 * 20 * 22)
    test = ExcerptTest.of(sets, protocol, "cpu", 0)
    assert {len(batch) for batch in test.batches} <= {1, 2, 3}
    full: dict[Level, list[float]] = {level: [] for level, _ in protocol.levels()}
    for dataset, photo in sets.photos:
        levels = levels_of(photo, dataset, protocol)
        for measurement in measure(network, photo, levels, protocol.convention, "cpu", 0, dataset):
            full[measurement.level].append(measurement.psnr)
    measured = test.levels_psnr(network)
    assert [one.level for one in measured] == list(full)
    assert [one.psnr for one in measured] == pytest.approx([fmean(values) for values in full.values()], abs=1e-3)


def test_excerpts_are_of_few_images_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = load_protocol("denoise")
    sets = BenchmarkSets.load(EvaluateConfig(test=["embedded"]), protocol, [])
    monkeypatch.setattr(excerpt_test, "MOST_IMAGES", 2)
    test = ExcerptTest.of(sets, protocol, "cpu", 0)
    samples = [sample for batch in test.batches for sample in batch]
    assert len(samples) == 2 * len(list(protocol.levels())) < len(sets.photos) * len(list(protocol.levels()))
    assert {sample.distorted.shape[-1] for sample in samples} == {160}
