"""Means over rows, checked against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from unseen.errors import UserError
from unseen.rows import Row
from unseen.summary import gap_closed, is_ceiling, levels_of, methods_of, split_means, summarise

ROW = Row(
    run="run-1",
    protocol="noise-1",
    protocol_hash="p1",
    data="d1",
    convention="c0ffee",
    method="erm",
    seed=0,
    budget=100,
    split="unseen",
    distortion="gaussian_noise",
    degree=30.0,
    dataset="embedded",
    image="coffee.png",
    psnr=20.0,
    ssim=0.5,
    input_psnr=10.0,
    input_ssim=0.25,
)


def row(method: str = "erm", seed: int = 0, image: str = "a", psnr: float = 20.0, **others: Any) -> Row:
    return replace(ROW, method=method, seed=seed, image=image, psnr=psnr, **others)


def test_a_cell_is_the_mean_over_seeds_of_means_over_images() -> None:
    rows = [
        row(seed=0, image="a", psnr=20, ssim=0.5),
        row(seed=0, image="b", psnr=22, ssim=0.7),
        row(seed=1, image="a", psnr=23, ssim=0.6),
        row(seed=1, image="b", psnr=25, ssim=0.8),
    ]
    (cell,) = summarise(rows)
    assert (cell.method, cell.split, cell.distortion, cell.degree) == ("erm", *ROW.level)
    # Seeds 21 and 24: mean 22.5, deviation 3 / sqrt(2); the four images would give 2.08.
    assert cell.psnr.mean == pytest.approx(22.5)
    assert cell.psnr.spread == pytest.approx(2.1213203)
    assert cell.ssim.mean == pytest.approx(0.65)
    assert cell.ssim.spread == pytest.approx(0.0707107)
    assert (cell.input_psnr.mean, cell.input_psnr.spread) == (10.0, 0.0)
    assert (cell.input_ssim.mean, cell.input_ssim.spread) == (0.25, 0.0)
    assert (cell.seeds, cell.images) == (2, 2)


def test_one_seed_has_no_spread() -> None:
    (cell,) = summarise([row(image="a"), row(image="b")])
    assert cell.psnr.spread is None
    assert (cell.seeds, cell.images) == (1, 2)


def test_methods_may_have_different_numbers_of_seeds() -> None:
    cells = summarise([row(seed=0), row(seed=1), row("dil", seed=7)])
    assert [cell.seeds for cell in cells] == [2, 1]


def test_every_confounder_of_a_split_weighs_the_same_whatever_its_images() -> None:
    rows = [
        row(image="a", psnr=30, degree=30),
        row(image="b", psnr=32, degree=30),
        row(image="a", psnr=34, degree=30, dataset="other"),  # same name, another data set: another image
        row(image="a", psnr=10, degree=40),
        row(image="a", psnr=50, degree=5, split="seen"),
    ]
    seen, unseen = split_means(rows)
    assert (seen.split, seen.psnr.mean, seen.levels, seen.images) == ("seen", 50, 1, 1)
    # (mean of 30, 32, 34) and 10, one half each: 21; pooled images would give 26.5.
    assert (unseen.split, unseen.psnr.mean, unseen.levels, unseen.images) == ("unseen", 21, 2, 3)


def test_spread_of_a_split_is_that_of_the_seeds_split_means() -> None:
    rows = [
        row(seed=seed, degree=degree, psnr=psnr)
        for seed, degree, psnr in [
            (0, 30, 20),
            (0, 40, 10),
            (1, 30, 21),
            (1, 40, 11),
            (2, 30, 25),
            (2, 40, 9),
        ]
    ]
    (unseen,) = split_means(rows)
    # Seeds 15, 16, 17.
    assert unseen.psnr.mean == pytest.approx(16)
    assert unseen.psnr.spread == pytest.approx(1)


def test_methods_and_levels_keep_their_order_of_appearance() -> None:
    rows = [row(method, degree=degree) for method in ("z", "a") for degree in (50.0, 5.0, "severe")]
    assert methods_of(rows) == ["z", "a"]
    assert [level[2] for level in levels_of(rows)] == [50.0, 5.0, "severe"]
    assert [(cell.method, cell.degree) for cell in summarise(rows)] == [
        (method, degree) for method in ("z", "a") for degree in (50.0, 5.0, "severe")
    ]


def test_infinity_and_nan_reach_the_mean_and_leave_no_spread() -> None:
    infinite, unknown = summarise(
        [
            row("exact", seed=0, psnr=math.inf),
            row("exact", seed=1),
            row("broken", seed=0, psnr=math.nan),
            row("broken", seed=1),
        ]
    )
    assert (infinite.psnr.mean, infinite.psnr.spread) == (math.inf, None)
    assert math.isnan(unknown.psnr.mean)
    assert unknown.psnr.spread is None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"convention": "other"}, "conventions"),
        ({"protocol": "noise-2"}, "protocols"),
        ({"protocol_hash": "p2"}, "versions of a protocol"),
        ({"budget": 200}, "budgets"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(change: dict[str, Any], what: str) -> None:
    rows = [row(), row("dil", **change)]
    for table in (summarise, split_means):
        with pytest.raises(UserError, match=what):
            table(rows)


def test_no_rows_are_refused() -> None:
    with pytest.raises(UserError, match="no rows"):
        summarise([])


def test_an_image_counted_twice_is_refused() -> None:
    with pytest.raises(UserError, match=r"embedded/a under gaussian_noise 30\.0 \(unseen\) appears twice"):
        summarise([row(), row(psnr=21, run="run-2")])


def test_networks_measured_on_different_images_are_refused() -> None:
    rows = [row(image="a"), row(image="hard"), row("dil", image="a")]
    with pytest.raises(UserError, match=r"dil, seed 0 was not measured on embedded/hard .* but erm, seed 0 was"):
        summarise(rows)
    with pytest.raises(UserError, match="erm, seed 1 was not measured"):
        split_means([row(seed=0, degree=30), row(seed=0, degree=40), row(seed=1, degree=30)])


def test_the_gap_closed_is_a_share_of_the_way_to_the_ceiling() -> None:
    rows = [row("erm", psnr=20), row("dil", psnr=23), row("worse", psnr=19), row("ceiling", psnr=24)]
    assert gap_closed(split_means(rows)) == pytest.approx({"dil": 0.75, "worse": -0.25})


@pytest.mark.parametrize(
    "rows",
    [
        [row("erm", psnr=20), row("dil", psnr=23)],
        [row("dil", psnr=20), row("ceiling", psnr=23)],
        [row("erm", psnr=20), row("dil", psnr=23), row("ceiling", psnr=20.05)],
        [row("erm", psnr=20), row("dil", psnr=23), row("ceiling", psnr=math.inf)],
        [row("erm", psnr=20), row("dil", psnr=23), row("ceiling", psnr=15)],
    ],
)
def test_there_is_no_gap_to_close_without_a_ceiling_above_erm(rows: list[Row]) -> None:
    assert gap_closed(split_means(rows)) == {}


def test_the_ceiling_goes_by_its_name_alone() -> None:
    assert is_ceiling("ceiling")
    assert is_ceiling("Ceiling")
    assert not is_ceiling("erm")
