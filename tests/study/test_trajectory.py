"""Trajectories of trainings: where one first reaches a value, and comparisons at equal seen PSNR and equal steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.report_page import charts_of, make_report
from support.results import make_record, make_results, printed

from unseen.core.errors import UserError
from unseen.evaluation.results import KeptResult, LevelPsnr
from unseen.protocols.levels import Split
from unseen.study.report.columns import at_equal_columns
from unseen.study.report.trajectory_charts import write_trajectory_figure
from unseen.study.runs import RunRecord, read_runs, write_runs
from unseen.study.summary import StudySummary
from unseen.study.trajectory import (
    AtEqual,
    at_equal_seen,
    at_equal_steps,
    first_reached,
    levels_of_trajectories,
    mean_over_seeds,
    trajectories,
)


def levels(seen: float, unseen: float) -> list[LevelPsnr]:
    """Two levels a split, 2 dB apart, whose means are these."""
    means: tuple[tuple[Split, float], ...] = (("seen", seen), ("unseen", unseen))
    return [LevelPsnr(split, "noise", k, mean + k - 2) for split, mean in means for k in (1, 3)]


def training(
    method: str, points: Sequence[tuple[float, float]], seed: int = 0, cost: int = 1, chosen: int = -1
) -> RunRecord:
    """A training that kept weights after 10, 20, … steps of `cost` evaluations: seen and unseen PSNR."""
    kept = [KeptResult(10 * (i + 1), 10.0 * cost * (i + 1), 1.0 * i, levels(*p)) for i, p in enumerate(points)]
    return replace(make_record(method, seed), kept=kept, chosen=levels(*points[chosen]))


RISING_THEN_BREAKING = [(20.0, 15.0), (24.0, 19.0), (26.0, 18.0), (28.0, 16.0)]


def compared(ours: RunRecord, *erm: RunRecord) -> AtEqual:
    by_seed = trajectories([ours, *erm])
    outcome = at_equal_seen(by_seed[ours.method], by_seed["erm"])
    assert outcome
    return outcome


@pytest.mark.parametrize(
    ("value", "place"),
    [(20, 0), (22, 0.5), (24, 1), (25, 1.25), (26, 1.5), (28, 1 + 1), (19.9, "below"), (28.1, "above"), (29, "above")],
)
def test_a_course_is_crossed_where_it_first_reaches_a_value(value: float, place: float | str) -> None:
    assert first_reached(np.array([20.0, 24.0, 28.0, 23.0, 28.0]), value) == place


def test_the_highest_values_so_far_decide_on_a_course_that_falls_back() -> None:
    noisy = np.array([20.0, 22.0, 21.0, 23.0, 22.5, 24.0])
    assert first_reached(noisy, 21.5) == 0.75  # and not the fall from 22 to 21, nor the rise after it
    assert first_reached(noisy, 22.5) == 2.75
    assert first_reached(noisy, 23.5) == 4 + 2 / 3
    assert first_reached(np.array([20.0, 20.0, 20.0]), 20) == 0
    assert math.isnan(float(first_reached(noisy, math.nan)))


def test_at_equal_seen_is_the_distance_from_erm_when_it_stood_there() -> None:
    erm = training("erm", RISING_THEN_BREAKING)
    # ERM was at 25 seen between its second and third point, where unseen stood at 18.5.
    outcome = compared(training("dil_sf", [(18, 10), (25, 20)]), erm)
    assert outcome.difference.mean == pytest.approx(1.5)
    assert outcome.difference.spread is None
    assert outcome.steps == pytest.approx(25)
    assert (outcome.seeds, outcome.below, outcome.above) == (1, 0, 0)
    on_the_curve = compared(training("dil_sf", RISING_THEN_BREAKING[:3]), erm)
    assert on_the_curve.difference.mean == pytest.approx(0)


def test_outside_of_erm_s_course_nothing_is_extrapolated() -> None:
    erm = training("erm", RISING_THEN_BREAKING)
    above, below = (compared(training("dil_sf", [(seen, 30.0)]), erm) for seen in (28.5, 19.5))
    assert (above.above, above.below) == (1, 0)
    assert (below.above, below.below) == (0, 1)
    assert math.isnan(above.difference.mean)
    assert math.isnan(below.steps)


def test_seeds_are_paired_and_those_outside_are_counted_and_left_out() -> None:
    erm = [training("erm", [(seen + s, unseen) for seen, unseen in RISING_THEN_BREAKING], seed=s) for s in range(3)]
    # 26 + s seen is the third point of the same seed, 18 unseen.
    ours = [training("dil_sf", [(26 + s, 18.5 + s)], seed=s) for s in range(2)]
    unpaired = training("dil_sf", [(26.0, 40.0)], seed=7)
    by_seed = trajectories([*erm, *ours, unpaired, training("dil_sf", [(40.0, 18.0)], seed=2)])
    outcome = at_equal_seen(by_seed["dil_sf"], by_seed["erm"])
    assert outcome
    assert (outcome.seeds, outcome.above) == (3, 1)
    assert outcome.difference.mean == pytest.approx(1.0)
    assert outcome.difference.spread == pytest.approx(12.7062 * 0.5, rel=1e-4)  # Student's t, one degree of freedom
    assert at_equal_seen({7: by_seed["dil_sf"][7]}, by_seed["erm"]) is None


def test_chosen_weights_are_compared_and_not_the_last() -> None:
    erm = training("erm", RISING_THEN_BREAKING)
    stopped = training("stopped_erm", RISING_THEN_BREAKING, chosen=1)
    assert compared(stopped, erm).difference.mean == pytest.approx(0)
    better = training("dil_sf", [(24.0, 21.0), (28.0, 16.0)], chosen=0)
    assert compared(better, erm).difference.mean == pytest.approx(2.0)


def test_at_equal_steps_ends_with_the_shorter_training() -> None:
    erm = training("erm", RISING_THEN_BREAKING)
    slow = training("dil_sf", [(20.0, 14.0), (22.0, 17.5)], cost=5)  # 20 steps: ERM stood at 19 then
    long = training("dil_ps", [(20.0, 10.0 + k) for k in range(8)], cost=5)  # 80 steps: 13 at ERM's 40
    by_seed = trajectories([erm, slow, long])
    outcomes = [at_equal_steps(by_seed[name], by_seed["erm"]) for name in ("dil_sf", "dil_ps")]
    assert [(o.steps, o.difference.mean) for o in outcomes if o] == [(20, -1.5), (40, -3)]
    late = replace(slow, kept=[replace(slow.kept[0], steps=5)])
    none = at_equal_steps(trajectories([late])["dil_sf"], by_seed["erm"])
    assert none
    assert none.below == 1


def test_seeds_of_unequal_length_are_averaged_as_far_as_all_go() -> None:
    assert mean_over_seeds([np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0])]).tolist() == [2, 3]


RECORDS = [
    training("erm", RISING_THEN_BREAKING),
    training("dil_sf", [(20.0, 16.0), (25.0, 20.0)], cost=2),
    training("ceiling", [(20.0, 18.0), (30.0, 25.0)]),
]


def test_tables_have_the_columns_and_say_where_erm_did_not_come(tmp_path: Path) -> None:
    study = StudySummary(make_results(), RECORDS)
    seen, steps = at_equal_columns(study)
    assert [seen.cell(name).text for name in ("erm", "dil_sf", "ceiling")] == ["", "+1.50", "erm below"]
    assert steps.cell("dil_sf").text == "+1.00"
    assert seen.numbers()["at equal seen above"] == {"dil_sf": 0, "ceiling": 1}
    text = " ".join(printed(make_results(), width=160, records=RECORDS).split())
    assert "At equal seen PSNR: " in text
    assert "dil_sf 20, ceiling 20." in text
    without = StudySummary(make_results(), [replace(record, kept=[], chosen=[]) for record in RECORDS])
    assert at_equal_columns(without) == []


def test_records_are_read_as_they_were_written_and_say_nothing_of_courses_without_any(tmp_path: Path) -> None:
    exact = replace(RECORDS[0], kept=[], chosen=[LevelPsnr("seen", "noise", "words", math.inf)])
    write_runs(tmp_path / "runs.jsonl", [*RECORDS, exact, make_record("erm", 9)])
    assert read_runs(tmp_path / "runs.jsonl") == [*RECORDS, exact, make_record("erm", 9)]
    assert '"kept"' not in (tmp_path / "runs.jsonl").read_text().splitlines()[-1]


@pytest.mark.slow
def test_a_record_whose_points_make_no_trajectory_is_refused_with_its_line(tmp_path: Path) -> None:
    points = RECORDS[0].kept
    unlike = [points[0], replace(points[1], levels=points[1].levels[1:])]
    for kept, reason in ((points[::-1], "its steps do not rise"), (unlike, "its levels are not those of 'chosen'")):
        write_runs(tmp_path / "runs.jsonl", [RECORDS[0], replace(RECORDS[0], kept=kept)])
        with pytest.raises(UserError, match=f"line 2: field 'kept': {reason}"):
            read_runs(tmp_path / "runs.jsonl")


def test_levels_that_not_all_trainings_were_tested_under_are_not_drawn() -> None:
    fewer = replace(training("dil_sf", [(20.0, 15.0)]), kept=[KeptResult(1, 1.0, 1.0, levels(20, 15)[1:])])
    of_all = levels_of_trajectories(trajectories([training("erm", [(20.0, 15.0)]), fewer]))
    assert of_all == [one.level for one in levels(20, 15)[1:]]


def test_the_figure_stands_alone_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "trajectory.svg"
    write_trajectory_figure(file, trajectories(RECORDS), names={"dil_sf": "DIL"})
    text = file.read_text()
    assert "PSNR (dB) on unseen levels" in text
    assert ">DIL<" in text
    assert ">dil_sf<" not in text
    assert "#010" not in text  # every stand-in colour became one of its own


@pytest.mark.slow
def test_the_page_draws_trajectories_and_has_their_numbers(tmp_path: Path) -> None:
    html = make_report(tmp_path / "report.html", StudySummary(make_results(), RECORDS))
    labels = [label for label, _ in charts_of(html)]
    assert sum(label.startswith("Unseen against seen PSNR along the training") for label in labels) == 1
    assert (
        sum(label.endswith("against gradient evaluations") and label.startswith("PSNR under") for label in labels) == 4
    )
    assert "PSNR (dB) of the weights that were kept" in html
    assert "erm below" in html
