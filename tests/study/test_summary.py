"""What a study says of its rows, checked against numbers worked out by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from support.results import RESULT, result

from unseen.core.errors import UserError
from unseen.evaluation.results import ImageResult
from unseen.protocols.levels import Level
from unseen.study.entry_names import INPUT, is_ceiling
from unseen.study.runs import RunRecord
from unseen.study.summary import StudySummary, check_comparable


def row(method: str = "erm", seed: int = 0, image: str = "a", psnr: float = 20.0, **others: Any) -> ImageResult:
    return result(method=method, seed=seed, image=image, psnr=psnr, **others)


def compared(**psnr: Sequence[float]) -> list[ImageResult]:
    """Rows of methods by their PSNR for each seed, on four images that lie 1 dB apart around it."""
    return [
        row(method, seed, image, value + offset)
        for method, values in psnr.items()
        for seed, value in enumerate(values)
        for image, offset in zip("abcd", (-1.5, -0.5, 0.5, 1.5), strict=True)
    ]


def on_backbone(rows: Sequence[ImageResult], backbone: str) -> list[ImageResult]:
    return [replace(one, backbone=backbone) for one in rows]


def test_an_estimate_is_the_mean_over_seeds_of_means_over_images() -> None:
    study = StudySummary(
        [
            row(seed=0, image="a", psnr=20, ssim=0.5),
            row(seed=0, image="b", psnr=22, ssim=0.7),
            row(seed=1, image="a", psnr=23, ssim=0.6),
            row(seed=1, image="b", psnr=25, ssim=0.8),
        ]
    )
    for where in ("unseen", RESULT.level):
        psnr, ssim = study.estimates("psnr", where)["erm"], study.estimates("ssim", where)["erm"]
        # Seeds 21 and 24: mean 22.5, deviation 3 / sqrt(2), standard error 3 / 2; t with one degree of freedom.
        assert psnr.mean == pytest.approx(22.5)
        assert psnr.spread == pytest.approx(1.5 * stats.t.ppf(0.975, 1))
        assert (ssim.mean, ssim.spread) == pytest.approx((0.65, 0.05 * stats.t.ppf(0.975, 1)))
    given = study.estimates("psnr", "unseen")[INPUT]
    assert (given.mean, given.spread) == (10.0, None)
    assert study.estimates("ssim", "unseen")[INPUT].mean == 0.25
    assert (study.seeds, study.images, study.entries) == ({"erm": 2}, 2, [INPUT, "erm"])


def test_the_interval_is_that_of_scipy() -> None:
    psnr = [20.0, 21.5, 20.7]
    found = StudySummary([row(seed=seed, psnr=value) for seed, value in enumerate(psnr)]).estimates("psnr", "unseen")[
        "erm"
    ]
    low, high = stats.ttest_1samp(psnr, 0).confidence_interval(0.95)
    assert found.spread is not None
    assert (found.mean - found.spread, found.mean + found.spread) == pytest.approx((low, high))


def test_one_seed_has_no_interval() -> None:
    assert StudySummary([row(image="a"), row(image="b")]).estimates("psnr", "unseen")["erm"].spread is None


def test_methods_may_have_different_numbers_of_seeds() -> None:
    assert StudySummary([row(seed=0), row(seed=1), row("dil", seed=7)]).seeds == {"erm": 2, "dil": 1}


def test_every_confounder_of_a_split_weighs_the_same_whatever_its_images() -> None:
    study = StudySummary(
        [
            row(image="a", psnr=30, degree=30),
            row(image="b", psnr=32, degree=30),
            row(image="a", psnr=34, degree=30, dataset="other"),  # same name, another data set: another image
            row(image="a", psnr=10, degree=40),
            row(image="a", psnr=50, degree=5, split="seen"),
        ]
    )
    assert (study.splits, study.images) == (["seen", "unseen"], 3)
    assert study.estimates("psnr", "seen")["erm"].mean == 50
    # (mean of 30, 32, 34) and 10, one half each: 21; pooled images would give 26.5.
    assert study.estimates("psnr", "unseen")["erm"].mean == 21


def test_methods_and_levels_keep_their_order_of_appearance() -> None:
    study = StudySummary([row(method, degree=degree) for method in ("z", "a") for degree in (50.0, 5.0, "severe")])
    assert study.methods == ["z", "a"]
    assert [level[2] for level in study.levels] == [50.0, 5.0, "severe"]


def test_infinity_and_nan_reach_the_mean_and_leave_no_interval() -> None:
    rows = [row("exact", seed=0, psnr=math.inf), row("exact", seed=1)]
    rows += [row("broken", seed=0, psnr=math.nan), row("broken", seed=1)]
    found = StudySummary(rows).estimates("psnr", "unseen")
    assert (found["exact"].mean, found["exact"].spread) == (math.inf, None)
    assert math.isnan(found["broken"].mean)
    assert found["broken"].spread is None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"convention": "other"}, "conventions"),
        ({"protocol": "noise-2"}, "protocols"),
        ({"protocol_hash": "p2"}, "versions of a protocol"),
        ({"budget": "30 min"}, r"budgets .*\(100 gradient evaluations, 30 min\)"),
        ({"select": "oracle"}, r"selections of weights \(select\)"),
        ({"tuned": 8}, r"numbers of settings tried \(tune\)"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(change: dict[str, Any], what: str) -> None:
    rows = [row(), row("dil", **change)]
    for look in (check_comparable, StudySummary):
        with pytest.raises(UserError, match=what):
            look(rows)


def test_no_rows_are_refused() -> None:
    with pytest.raises(UserError, match="no results"):
        StudySummary([])


def test_an_image_counted_twice_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"embedded/a under gaussian_noise 30\.0 \(unseen\) appears twice for erm, seed 0"
    ):
        StudySummary([row(), row(psnr=21, run="run-2")])
    StudySummary([row(), row(psnr=21, backbone="another")])


def test_two_backbones_under_one_label_are_refused() -> None:
    """What both have in common with the study's own is left out of labels, and may be all that they differ by."""
    rows = [row(backbone=spec) for spec in ("plain:depth=4", "unet:depth=4", "unet")]
    with pytest.raises(UserError, match="erm @ unet would stand for two backbones, unet:depth=4 and unet: keep one"):
        StudySummary(rows)


def test_networks_measured_on_different_images_are_refused() -> None:
    rows = [row(image="a"), row(image="hard"), row("dil", image="a")]
    with pytest.raises(UserError, match=r"dil, seed 0 was not measured on embedded/hard .* but erm, seed 0 was"):
        StudySummary(rows)
    with pytest.raises(UserError, match="erm, seed 1 was not measured"):
        StudySummary([row(seed=0, degree=30), row(seed=0, degree=40), row(seed=1, degree=30)])
    with pytest.raises(UserError, match="erm @ another, seed 0 was not measured"):
        StudySummary([row(image="a"), row(image="b"), row(image="a", backbone="another")])


def test_a_method_on_another_backbone_is_a_line_of_its_own() -> None:
    rows = [row(psnr=20), row("dil", psnr=21), *on_backbone([row(psnr=23), row("dil", psnr=25)], "unet:width=8")]
    study = StudySummary(rows)
    assert study.methods == ["erm", "dil", "erm @ unet:width=8", "dil @ unet:width=8"]
    assert study.backbones["dil @ unet:width=8"] == "unet:width=8"
    assert {one.method for one in study.results} == set(study.methods)
    assert [study.estimates("psnr", "unseen")[name].mean for name in study.methods] == [20, 21, 23, 25]


def test_the_gap_closed_is_a_share_of_the_way_to_the_ceiling() -> None:
    rows = compared(erm=[20, 20.1], dil=[23, 23.1], worse=[19, 19.1], ceiling=[24, 24.1])
    rows += on_backbone(compared(erm=[22, 22.1], ceiling=[30, 30.1]), "another")
    study = StudySummary(rows)
    assert study.gap == pytest.approx({"dil": 0.75, "worse": -0.25, "erm @ another": 0.5})
    assert study.gap_at(RESULT.level) == pytest.approx(study.gap)
    assert study.gap_undefined == ""


def test_the_gap_closed_is_of_the_seeds_that_all_have() -> None:
    study = StudySummary(compared(erm=[20, 22], dil=[23], ceiling=[24, 25.9]))
    assert study.gap == pytest.approx({"dil": 3 / 4})
    assert study.gap_width == pytest.approx({"dil": 4})
    later = [replace(row, seed=1) for row in compared(dil=[23])]
    assert StudySummary(compared(erm=[20, 22], ceiling=[24, 25.9]) + later).gap == pytest.approx({"dil": 1 / 3.9})


def test_the_gap_of_a_level_is_its_own() -> None:
    levels: list[tuple[float, Mapping[str, float]]] = [
        (30, {"erm": 20, "dil": 21, "ceiling": 22}),
        (50, {"erm": 10, "dil": 11, "ceiling": 14}),
        (70, {"erm": 10, "dil": 11, "ceiling": 9}),
    ]
    rows = [
        replace(one, degree=degree)
        for degree, psnr in levels
        for one in compared(**{name: [value, value + 0.1] for name, value in psnr.items()})
    ]
    study = StudySummary(rows)
    first, second, third = study.levels
    assert study.gap_at(first) == pytest.approx({"dil": 1 / 2})
    assert study.gap_at(second) == pytest.approx({"dil": 1 / 4})
    assert study.gap_at(third) == {}
    assert study.gap == pytest.approx({"dil": 3 / 5})


@pytest.mark.parametrize(
    ("ceiling", "why"),
    [
        ([20.05, 20.05], r"by \+0\.05 dB"),
        ([15, 15], r"by -5\.00 dB \(95 % interval -5\.00 to -5\.00\)"),
        # 2 dB above in the mean, but seeds 3 dB apart: t of one degree of freedom holds zero.
        ([20.5, 23.5], "not clearly above ERM on unseen levels"),
        ([math.inf, math.inf], "no finite number"),
    ],
)
def test_gap_closed_is_undefined_without_a_ceiling_clearly_above_erm(ceiling: list[float], why: str) -> None:
    study = StudySummary(compared(erm=[20, 20], dil=[23, 23], ceiling=ceiling))
    assert study.gap == {}
    assert re.search(why, study.gap_undefined)


@pytest.mark.parametrize("methods", [("erm", "dil"), ("dil", "ceiling"), ("ceiling @ x", "erm")])
def test_gap_closed_is_not_asked_for_without_both_ends(methods: tuple[str, ...]) -> None:
    study = StudySummary([row(name, psnr=20 + 3 * i) for i, name in enumerate(methods)])
    assert (study.gap, study.gap_undefined) == ({}, "")


def test_a_single_image_of_a_single_seed_defines_no_gap() -> None:
    assert "not clearly" in StudySummary([row("erm", psnr=20), row("ceiling", psnr=24)]).gap_undefined


def test_the_ceiling_goes_by_its_name_alone() -> None:
    assert is_ceiling("ceiling")
    assert is_ceiling("Ceiling")
    assert is_ceiling("ceiling @ bias=false")
    assert not is_ceiling("erm")
    assert not is_ceiling("erm @ ceiling")


def test_a_difference_is_paired_by_image_and_seed() -> None:
    """dil is 1 dB above ERM on every image of every seed: a difference without doubt, however far images lie apart."""
    study = StudySummary(compared(erm=[20, 25], dil=[21, 26]))
    found = study.differences["dil"]
    assert (found.mean, found.low, found.high) == pytest.approx((1, 1, 1))
    assert (found.reference, found.seeds) == ("erm", 2)
    assert found.p < 0.001
    assert study.estimates("psnr", "unseen")["dil"].spread == pytest.approx(2.5 * stats.t.ppf(0.975, 1))


def test_a_difference_is_that_of_the_means_whatever_images_a_level_has() -> None:
    generator = np.random.default_rng(0)
    places: list[tuple[Level, str]] = [(Level("unseen", "a", 1.0), f"{i}") for i in range(7)]
    places += [(Level("unseen", "b", 1.0), f"{i}") for i in range(2)] + [(Level("unseen", "pairs", "set"), "other")]
    rows = [
        row(method, seed, image, generator.normal(20, 1), distortion=level[1], degree=level[2])
        for method in ("erm", "dil")
        for seed in (0, 1, 2)
        for level, image in places
    ]
    study = StudySummary(rows)
    means = study.estimates("psnr", "unseen")
    assert study.differences["dil"].mean == pytest.approx(means["dil"].mean - means["erm"].mean)


def test_differences_are_of_the_seeds_that_both_have() -> None:
    rows = compared(erm=[20, 20], dil=[21, 21, 99])
    assert StudySummary(rows).differences["dil"].mean == pytest.approx(1)
    assert StudySummary(rows).differences["dil"].seeds == 2
    assert StudySummary(rows).seen_cost == {}
    apart = [one for one in rows if one.method == "erm" or one.seed == 2]
    assert StudySummary(apart).differences == {}


@pytest.mark.parametrize("odd", [math.inf, math.nan])
def test_of_infinite_and_unknown_psnr_there_is_no_difference(odd: float) -> None:
    rows = compared(erm=[20], dil=[21], other=[22])
    study = StudySummary([replace(one, psnr=odd) if one.method == "dil" else one for one in rows])
    assert list(study.differences) == ["other"]
    assert study.comparisons == 1


def test_p_is_corrected_for_every_comparison_and_ceilings_do_not_compete() -> None:
    rows = compared(erm=[20, 20.1, 20.2], a=[20.1, 20.1, 20.4], b=[20.4, 20.4, 20.7], ceiling=[24, 24, 24.3])
    rows += on_backbone(compared(erm=[20.2, 20.4, 20.2], a=[20.9, 20.8, 20.6]), "other")
    study = StudySummary(rows)
    assert list(study.differences) == ["a", "b", "ceiling", "erm @ other", "a @ other"]
    assert list(study.differences_same_backbone) == ["a @ other"]
    assert study.differences_same_backbone["a @ other"].reference == "erm @ other"
    assert study.differences_same_backbone["a @ other"].mean == pytest.approx((0.7 + 0.4 + 0.4) / 3)
    assert study.comparisons == 5
    assert study.differences["ceiling"].corrected is None
    found = [*study.differences.values(), *study.differences_same_backbone.values()]
    p = sorted((one.p, one.corrected) for one in found if one.corrected is not None)
    assert [corrected for _, corrected in p] == pytest.approx(
        list(np.maximum.accumulate([min(1, (5 - i) * one) for i, (one, _) in enumerate(p)]))
    )


def test_the_worst_level_is_each_line_s_own() -> None:
    psnr = {"erm": (20, 15), "dil": (16, 18)}
    rows = [
        row(name, degree=d, psnr=value)
        for name, values in psnr.items()
        for d, value in zip((1.0, 2.0), values, strict=True)
    ]
    rows = [replace(one, input_psnr=one.degree if isinstance(one.degree, float) else 0) for one in rows]
    rows += [row(name, degree=3.0, psnr=1, split="seen") for name in psnr]
    worst = {name: (level[2], found.mean) for name, (level, found) in StudySummary(rows).worst.items()}
    assert worst == {INPUT: (1.0, 1.0), "erm": (2.0, 15), "dil": (1.0, 16)}
    unknown = [replace(one, psnr=math.nan) if one.degree == 1.0 else one for one in rows]
    assert StudySummary(unknown).worst["erm"][0][2] == 1.0
    assert StudySummary([row(split="seen")]).worst == {}


def test_seen_cost_is_what_erm_is_better_by_paired_over_seeds() -> None:
    rows = [replace(one, split="seen") for one in compared(erm=[30, 31, 32], dil=[29, 29.5, 31.2], worse=[20, 21, 22])]
    found = StudySummary(rows).seen_cost
    assert list(found) == ["dil", "worse"]
    assert found["dil"].mean == pytest.approx(1.1)
    assert found["dil"].spread == pytest.approx(stats.t.ppf(0.975, 2) * np.std([1, 1.5, 0.8], ddof=1) / math.sqrt(3))
    assert found["worse"].spread == pytest.approx(0)
    assert StudySummary(compared(dil=[1])).seen_cost == {}


def test_harm_is_the_share_of_images_below_the_input() -> None:
    rows = [row(image=image, psnr=psnr) for image, psnr in zip("abcd", (9, 9.99, 10, 11), strict=True)]
    rows += [row(image=image, psnr=9, degree=50) for image in "abcd"]
    rows += [row(image="a", psnr=20, split="seen")]
    assert StudySummary(rows).harm == {"erm": {"seen": 0.0, "unseen": 0.75}}
    rows[0] = replace(rows[0], psnr=math.nan)
    assert math.isnan(StudySummary(rows).harm["erm"]["unseen"])
    exact = [row(psnr=math.inf, input_psnr=math.inf), row(image="b", psnr=30, input_psnr=math.inf)]
    assert StudySummary(exact).harm["erm"]["unseen"] == 0.5


def test_invariance_is_a_mean_over_levels_that_have_one() -> None:
    rows = [
        row(seed=seed, image=image, degree=degree, invariance=value + seed)
        for seed in (0, 1)
        for degree, values in ((30.0, (30, 32, 34)), (50.0, (20, 20, 20)))
        for image, value in zip("abc", values, strict=True)
    ]
    rows += [row(seed=seed, image="pair", distortion="pairs", degree="set", invariance=math.nan) for seed in (0, 1)]
    found = StudySummary(rows).invariance["erm"]
    assert found.mean == pytest.approx((32 + 20) / 2 + 0.5)
    assert found.spread == pytest.approx(0.5 * stats.t.ppf(0.975, 1))
    assert math.isnan(StudySummary([row(invariance=math.nan)]).invariance["erm"].mean)


def record(method: str, backbone: str, seed: int, seconds: float, memory: float) -> RunRecord:
    return RunRecord(
        run=f"{method}-{seed}",
        method=method,
        backbone=backbone,
        seed=seed,
        spec=method,
        lr=1e-3,
        evaluations=100,
        steps=50,
        seconds=seconds,
        memory=memory,
        machine="two cores",
        curve=[],
        diagnoses=[],
    )


def test_cost_is_the_mean_over_trainings_and_memory_only_where_it_is_known() -> None:
    rows = [row(), row("dil"), row(backbone="another")]
    records = [record("erm", "plain", 0, 10, 200), record("erm", "plain", 1, 20, 0), record("erm", "another", 0, 5, 0)]
    study = StudySummary(rows, [*records, record("fish", "plain", 0, 1, 1)])
    assert list(study.costs) == ["erm", "erm @ another"]
    cost = study.costs["erm"]
    assert (cost.trainings, cost.evaluations, cost.steps, cost.seconds, cost.memory) == (2, 100, 50, 15, 200)
    assert math.isnan(study.costs["erm @ another"].memory)
    assert study.machines == ["two cores"]
    assert [one.method for one in study.records] == ["erm", "erm", "erm @ another"]
