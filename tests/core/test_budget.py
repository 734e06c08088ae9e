"""Budgets in gradient evaluations and in time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from unseen.core.errors import UserError
from unseen.core.units import Budget
from unseen.training.config import TrainConfig
from unseen.training.loop import train
from unseen.training.state import TrainingState

TINY = TrainConfig(
    device="cpu", threads=1, data=["embedded"], backbone="plain:features=4,depth=2", batch=2, patch=12, validations=3
)


@pytest.mark.parametrize(
    ("given", "budget", "words"),
    [
        (40000, Budget(40000), "40000 gradient evaluations"),
        ("40000", Budget(40000), "40000 gradient evaluations"),
        ("90s", Budget(90, "seconds"), "90 s"),
        ("30min", Budget(1800, "seconds"), "30 min"),
        ("1.5 min", Budget(90, "seconds"), "90 s"),
        ("2h", Budget(7200, "seconds"), "120 min"),
    ],
)
def test_budgets_are_read_and_said(given: int | str, budget: Budget, words: str) -> None:
    assert Budget.parse(given) == budget
    assert str(budget) == words
    assert Budget.parse(given) == Budget.parse(str(given))


@pytest.mark.parametrize("given", ["", "many", "-5", "1.5", "30 days", "min", 0, "0s", "0.5s", "1e4"])
def test_what_is_no_budget_is_refused(given: int | str) -> None:
    with pytest.raises(UserError, match=r"^budget: "):
        Budget.parse(given)


def test_time_is_used_up_step_by_step() -> None:
    config = replace(TINY, budget="60s")
    state = TrainingState()
    found = []
    while state.affords_a_step(config):
        state.step += 1
        state.images += 1000  # whatever they cost in evaluations
        state.seconds += 7.0
        if state.validation_due(config):
            state.log.append({})
            found.append(state.step)
    assert state.step == 8  # 56 s; a ninth would end at 63
    assert state.budget_spent(config) == 56.0
    assert found == [3, 6]


@pytest.mark.slow
def test_a_run_stops_when_its_time_is_up(tmp_path: Path) -> None:
    config = replace(TINY, method="erm", budget="1s", out=str(tmp_path))
    state = train(config, Event())
    assert state.finished
    assert state.step > 1
    # The last step is taken if it would fit at the mean cost; a machine may be slower in it.
    assert 0.5 < state.seconds < 2.0
    assert [line["seconds"] for line in state.log] == sorted(line["seconds"] for line in state.log)
