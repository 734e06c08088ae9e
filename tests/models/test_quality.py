"""Quality by level, and the levels where restoring is safe: intervals against scipy, envelopes by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from support.results import quality, result
from torch import nn

from unseen.core.jsonl import from_json, to_json
from unseen.data.tensors import to_tensor
from unseen.evaluation import benchmark_sets as testing
from unseen.evaluation.config import EvaluateConfig
from unseen.evaluation.inputs import distort
from unseen.evaluation.metrics import psnr
from unseen.evaluation.noise import estimate_noise
from unseen.evaluation.quality import JudgedImage, measured_quality, quality_of
from unseen.models.card import Quality, envelope, safety
from unseen.protocols.levels import UNDISTORTED, Level
from unseen.protocols.loading import load_protocol

LEVEL = Level("unseen", "gaussian_noise", 30.0)


# ------------------------------------------------------------------------------------------------- quality


def test_the_interval_is_student_s() -> None:
    psnrs = [(20.0, 21.0), (22.0, 22.5), (25.0, 28.0), (21.0, 20.5)]
    measured = Quality.of(LEVEL, "set", psnrs, 12.5)
    gains = [after - before for before, after in psnrs]
    low, high = stats.t.interval(0.95, len(gains) - 1, np.mean(gains), stats.sem(gains))
    assert (measured.gain, measured.low, measured.high) == pytest.approx((np.mean(gains), low, high))
    assert (measured.input_psnr, measured.psnr) == pytest.approx((22, 23))
    assert (measured.level, measured.dataset, measured.images, measured.noise) == (LEVEL, "set", 4, 12.5)
    assert not measured.safe  # one image lost, and of four that may be chance


def test_what_helps_every_image_is_safe_and_one_image_never_is() -> None:
    assert Quality.of(LEVEL, "set", [(20, 22), (21, 23.1), (20, 21.9)], 5).safe
    alone = Quality.of(LEVEL, "set", [(20, 22)], 5)
    assert alone.gain == 2
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)
    assert not alone.safe


def test_exact_images_break_nothing() -> None:
    spoiled = Quality.of(LEVEL, "set", [(math.inf, 40), (math.inf, 42)], 0)
    assert (spoiled.input_psnr, spoiled.psnr, spoiled.gain) == (math.inf, 41, -math.inf)
    left = Quality.of(LEVEL, "set", [(math.inf, math.inf), (30, 31)], 0)
    assert left.gain == 0.5
    perfect = Quality.of(LEVEL, "set", [(30, math.inf), (30, 31)], 0)
    assert perfect.gain == math.inf
    assert not spoiled.safe
    assert not perfect.safe


def test_what_is_lossless_and_loses_nothing_visible_is_safe() -> None:
    """An exact output among others counts 60 dB: infinity would hide what the others lose."""
    for outputs, mean, safe in (
        ((54, 55.8), 54.9, False),
        ((54, 56), 55, True),
        ((math.inf, 49), 54.5, False),
        ((math.inf, 51), 55.5, True),
        ((math.inf, math.inf), math.inf, True),
    ):
        clean = Quality.of(UNDISTORTED, "set", [(math.inf, output) for output in outputs], 1.5)
        assert clean.psnr == pytest.approx(mean)
        assert clean.safe == safe


@pytest.mark.parametrize("degree", [30.0, "1.25-13.88", ""])
@pytest.mark.parametrize("values", [(20.0, 21.0), (math.inf, -math.inf), (math.nan, math.nan)])
def test_quality_is_strict_json_and_comes_back(degree: str | float, values: tuple[float, float]) -> None:
    first = quality(values[0], values[1], degree=degree, input_psnr=values[0])
    text = json.dumps(to_json(first), allow_nan=False)
    again = from_json(text, Quality)
    assert repr(again) == repr(first)  # nan is not equal to itself


@pytest.mark.parametrize(
    "change",
    [
        {"split": "training"},
        {"gain": "much"},
        {"gain": [1]},
        {"more": 1},
        {"distortion": 3},
        {"degree": [1]},
        {"degree": 10**400},
        {"dataset": None},
        {"images": "3"},
        {"images": None},
        {"images": True},
        {"images": 0},
    ],
)
def test_what_is_no_quality_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"field '{next(iter(change))}'"):
        from_json(json.dumps(to_json(quality(5)) | change), Quality)


def test_judged_images_become_quality_by_set_and_level() -> None:
    level = Level("seen", "gaussian_noise", 5.0)
    judged = [
        JudgedImage("one", UNDISTORTED, (math.inf, 33.0), 1.0),
        JudgedImage("one", level, (10.0, 12.0), 6.0),
        JudgedImage("two", level, (10.0, 9.0), math.nan),
        JudgedImage("one", UNDISTORTED, (math.inf, 34.0), 2.0),
        JudgedImage("one", level, (10.0, 13.0), 7.0),
    ]
    qualities = quality_of(judged)
    assert [(q.dataset, q.level, q.images, q.gain) for q in qualities] == [
        ("one", level, 2, 2.5),
        ("one", UNDISTORTED, 2, -math.inf),
        ("two", level, 1, -1),
    ]
    assert qualities[0].noise == 6.5
    assert math.isnan(qualities[2].noise)
    clean = qualities[1]
    assert (clean.input_psnr, clean.psnr, clean.noise, clean.safe) == (math.inf, 33.5, 1.5, False)


# ------------------------------------------------------------------------------------------------ envelope


def test_the_envelope_is_the_longest_run_of_safe_levels() -> None:
    levels = [
        quality(1, -1),
        quality(3),
        quality(5),
        quality(8, -0.1),
        quality(15),
        quality(25),
        quality(40),
        quality(50, -2),
    ]
    safe = envelope(reversed(levels))
    assert safe is not None
    assert (safe.low, safe.high) == (15, 40)
    assert (safe.lowest, safe.highest) == (levels[4], levels[6])


def test_another_distortion_that_reads_alike_ends_it_too() -> None:
    levels = [quality(noise) for noise in (2, 4, 6, 8)]
    safe = envelope([*levels, quality(5, -1, distortion="jpeg")])
    assert safe is not None
    assert (safe.low, safe.high) == (2, 4)


def test_undistorted_photographs_that_lose_nothing_visible_take_it_down_to_0() -> None:
    clean = Quality.of(UNDISTORTED, "set", [(math.inf, 56)] * 3, 1.5)
    safe = envelope([clean, *map(quality, (1, 3, 5))])
    assert safe is not None
    assert (safe.low, safe.high, safe.lowest.noise) == (0, 5, 1)
    assert safety([clean, quality(3)]).endswith(
        "(3 images or more a level); undistorted photographs that read so lose nothing visible."
    )
    below = envelope([quality(0.5, -1), clean, *map(quality, (3, 5))])
    assert below is not None
    assert below.low == 1.5
    without = envelope([*map(quality, (1, 3, 5))])
    assert without is not None
    assert without.low == 1


def test_undistorted_photographs_that_lose_more_are_never_inside() -> None:
    clean = Quality.of(UNDISTORTED, "set", [(math.inf, 50)] * 3, 1.5)
    safe = envelope([quality(0.4, distortion="jpeg"), quality(0.6, distortion="jpeg"), clean, *map(quality, (3, 5, 8))])
    assert safe is not None
    assert (safe.low, safe.high) == (3, 8)


@pytest.mark.parametrize(
    "levels",
    [[], [quality(5)], [quality(5), quality(6, -1)], [quality(5), quality(math.nan)], [quality(5, math.nan)] * 3],
)
def test_without_two_neighbours_there_is_none(levels: list[Quality]) -> None:
    assert envelope(levels) is None
    assert "not known" in safety(levels)


def test_the_sentence_names_both_ends() -> None:
    sentence = safety([quality(2.84, degree=2.0), quality(31.26, degree=30.0)])
    assert all(word in sentence for word in ("2.8 to 31.3", "gaussian noise 2 ", "gaussian noise 30"))


def test_the_sentence_tells_on_how_few_images_it_rests() -> None:
    """Within the envelope alone."""
    levels = [quality(3, images=9), quality(5, images=4), quality(8, images=7), quality(12, -1, images=2)]
    assert "(4 images or more a level)" in safety(levels)


# ------------------------------------------------------------------------------------------------ readings


def test_the_quality_is_of_the_images_that_are_restored_and_results_stand_for_them(tests: Path) -> None:
    protocol = load_protocol("denoise")
    benchmark = testing.BenchmarkSets.load(EvaluateConfig(test=[f"mine={tests}"]), protocol, [])
    network = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    qualities = measured_quality(network, benchmark.photos, protocol, "cpu", seed=7)
    assert [q.level for q in qualities] == [*(level for level, _ in protocol.levels()), UNDISTORTED]
    level, confounder = protocol.levels()[-1]
    noise, gains = [], []
    for dataset, photo in benchmark.photos:
        image, clean = distort(photo, confounder, protocol.convention, 7, dataset), to_tensor(photo.pixels)
        noise.append(estimate_noise([image[0].permute(1, 2, 0).numpy()]))
        gains.append(float(psnr(network(image), clean, protocol.convention) - psnr(image, clean, protocol.convention)))
    assert qualities[-2].noise == pytest.approx(np.mean(noise))
    assert qualities[-2].gain == pytest.approx(np.mean(gains), abs=1e-4)
    rows = [
        result(dataset="mine", image=photo.name, psnr=99.0, input_psnr=9.0, **level._asdict())
        for _, photo in benchmark.photos
    ]
    known = measured_quality(network, benchmark.photos, protocol, "cpu", seed=7, results=rows)
    assert known[-2].gain == 90
    assert known[:-2] == qualities[:-2]
