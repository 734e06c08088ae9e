"""States of a training that were edited: one line that names the file and the field, whatever they hold."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from support.commandline import TINY, CommandLine
from torch import Tensor

from unseen.cli.main import main
from unseen.models.checkpoint import load_state, save_state

pytestmark = pytest.mark.usefixtures("empty_page")

STATE = "resume.safetensors"


@pytest.fixture(scope="module", params=["dil_sf", "ema", "group_dro", "erm --ema 0.9 --optimiser sgd --momentum 0.5"])
def trained(request: pytest.FixtureRequest, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a method that keeps a state."""
    run = tmp_path_factory.mktemp("runs") / "run"
    method = ["--method", *request.param.split(), "--diagnose", "8"]
    words = ["train", *TINY, *method, "--data", str(photos), "--out", str(run)]
    assert main(words) == 0
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run to edit."""
    copy = tmp_path / "run"
    copy.mkdir()
    for file in trained.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def refusal(unseen: CommandLine, run: Path) -> str:
    line = unseen.refusal("train", "--resume", "--out", run)
    assert line.startswith(f"{run / STATE}: ")
    return line


WRONG: dict[str, list[Any]] = {
    "step": [-1, 1.5, True, None, "1", [1], {}, 10**400, float("inf"), float("nan")],
    "images": [-1, 0.5, "x", None],
    "seconds": [-1, "x", None, float("inf"), float("nan"), True, 10**400],
    "waiting": [-0.5, "x", float("nan")],
    "loss": ["x", None, float("inf"), float("nan"), True],
    "calls": [-1, 0.5, None],
    "clipped": [-1, 0.5, None],
    "memory": [-1, "x", float("inf")],
    "best": ["x", None, float("nan"), True],
    "finished": [0, 1, None, "true"],
    "processes": [0, -1, 1.5, None],
    "protocol": [1, None, []],
    "data": [1, None, {}],
    "log": [None, {}, "x", [1], [[]], [{}], [{"step": "x"}], [{"step": 1, "seen_psnr": 1}], [{"step": True}]],
    "diagnoses": [None, {}, [1], [{"losses": [1]}], [{"losses": {"a": "x"}}], [{"distance": "x"}]],
    "kept": [None, [1], [{"step": 1}], [{"step": -1, "evaluations": 1, "seconds": 1}]],
    "unheard_of": [1],
}


@pytest.mark.parametrize("trained", ["dil_sf"], indirect=True)  # facts are read before what a method keeps
def test_every_fact_of_another_kind_is_refused_by_its_field(run: Path, unseen: CommandLine) -> None:
    groups, text = load_state(run / STATE)
    for name, values in WRONG.items():
        for value in values:
            save_state(run / STATE, groups, json.loads(text) | {name: value})
            line = refusal(unseen, run)
            assert re.search(rf"field '{name}[.\d\w]*'|unknown field '{name}'|not valid JSON", line), (
                name,
                value,
                line,
            )


Edits: TypeAlias = list[tuple[str, dict[str, Any], dict[str, Any]]]
"""The name of a tensor, all groups with the tensor edited, and the facts."""


def tensors_edited(run: Path, change: Callable[[Tensor], Tensor], group: str) -> Edits:
    groups, text = load_state(run / STATE)
    facts = json.loads(text) | {"finished": False}
    changed = []
    for name, value in groups.get(group, {}).items():
        changed.append((name, groups | {group: groups[group] | {name: change(value)}}, facts))
    return changed


def filled(value: Tensor, number: float) -> Tensor:
    return torch.full_like(value, number) if value.is_floating_point() else value - 10**6


CHANGES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "nan": (lambda value: filled(value, math.nan), "finite|no whole number"),
    "infinite": (lambda value: filled(value, math.inf), "finite|no whole number"),
    "another shape": (lambda value: torch.zeros(3, 1, 2), "shape|size|no whole number"),
    "one more dimension": (lambda value: value.unsqueeze(0), "shape|size|no whole number"),
}


@pytest.mark.parametrize("group", ["network", "outer", "method", "average"])
@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES)
def test_every_tensor_that_does_not_fit_is_refused_by_its_name(
    group: str, change: Callable[[Tensor], Tensor], reason: str, run: Path, unseen: CommandLine
) -> None:
    for name, groups, facts in tensors_edited(run, change, group):
        save_state(run / STATE, groups, facts)
        line = refusal(unseen, run)
        assert re.search(reason, line), line
        assert name in line or group in ("method", "average"), line


def test_a_tensor_that_is_missing_or_unknown_is_refused(run: Path, unseen: CommandLine) -> None:
    groups, text = load_state(run / STATE)
    for group, members in groups.items():
        for name in members.keys() - {"log_q"}:  # which is missing before the first step
            fewer = groups | {group: {other: value for other, value in members.items() if other != name}}
            save_state(run / STATE, fewer, json.loads(text) | {"finished": False})
            refusal(unseen, run)
        if group not in ("method", "average"):
            save_state(run / STATE, groups | {group: members | {"odd.name": torch.zeros(1)}}, json.loads(text))
            refusal(unseen, run)


@pytest.mark.parametrize("facts", ["[" * 100_000, "9" * 5000, "[]", "", "{", '{"step": 1e999}', "\x00"], ids=range(7))
def test_facts_that_are_no_facts(facts: str, run: Path, unseen: CommandLine) -> None:
    from safetensors.torch import save_file

    save_file({"network/a": torch.zeros(1)}, run / STATE, {"unseen-resume": facts})
    assert len(refusal(unseen, run)) < 1000
