"""Curves of training: means over seeds of whatever the logs hold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from support.fake_study import study

from unseen.study.report.curves import curves_of, diagnostics_of, quantity_in_words
from unseen.study.runs import RunRecord

RECORD = study().records[0]


def logged(*lines: dict[str, Any], seed: int = 0, method: str = "erm", logs: str = "curve") -> RunRecord:
    empty: dict[str, Any] = {"curve": [], "diagnoses": [], logs: list(lines)}
    return replace(RECORD, method=method, seed=seed, **empty)


def test_a_point_is_the_mean_over_seeds_of_cost_and_value() -> None:
    first = logged({"evaluations": 10.0, "seconds": 1.0, "held_out_psnr": 20.0}, {"evaluations": 20.0, "seconds": 2.0})
    second = logged({"evaluations": 12.0, "seconds": 3.0, "held_out_psnr": 22.0}, seed=1)
    (point,) = curves_of([first, second], "curve")["held_out_psnr"]["erm"]  # the second has no second validation
    assert point.at == {"evaluations": 11.0, "seconds": 2.0}
    assert point.value.mean == 21.0
    # Student's t with one degree of freedom: 12.706 · √2 / √2.
    assert math.isclose(point.value.spread or 0, 12.7062, rel_tol=1e-4)


def test_numbers_within_numbers_are_quantities_of_their_own() -> None:
    line = {"evaluations": 1.0, "losses": {"a": 0.5, "b": 0.25}, "curvature": None, "kept": True, "name": "x"}
    found = curves_of([logged(line, logs="diagnoses")], "diagnoses")
    assert list(found) == ["losses: a", "losses: b"]
    assert quantity_in_words("losses: gaussian_noise:5") == "Loss: gaussian noise:5"
    assert quantity_in_words("largest_q") == "Largest q"


def test_what_only_some_seeds_or_methods_have_is_kept() -> None:
    with_step = logged({"evaluations": 1.0, "virtual_step": 0.1}, {"evaluations": 2.0}, method="dil_sf")
    found = curves_of([logged({"evaluations": 1.0, "loss": 1.0}), with_step], "curve")
    assert set(found["virtual_step"]) == {"dil_sf"}
    assert [math.isnan(point.value.mean) for point in found["virtual_step"]["dil_sf"]] == [False, True]


def test_diagnostics_are_all_but_the_outcome_in_a_fixed_order() -> None:
    found = list(diagnostics_of(study().records))
    assert found[:3] == ["gradient_cosine", "virtual_step", "distance"]
    assert not {"held_out_psnr", "seen_psnr", "waiting", "step", "evaluations", "seconds"} & set(found)
    assert "losses: gaussian_noise:5.0" in found
    assert found[-1] == "loss"
