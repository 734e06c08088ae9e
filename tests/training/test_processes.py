"""Several processes: n of them, each with its share of every batch, against one with the whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from support.gradients import again, episode_of, parameters_of, relative_error, smooth_network
from support.processes import in_processes, numbers_sent, with_ranks
from support.trainings import TINY, StopAfter, check_equal_runs, trained, without_times
from torch import Tensor

from unseen.core.errors import UserError
from unseen.core.shares import Shares
from unseen.methods import METHODS, Batch, Episode, Method, Objective, objective_for
from unseen.methods.dil import DILss
from unseen.methods.erm import ERM
from unseen.methods.mldg import MLDG
from unseen.models.checkpoint import load_state
from unseen.training.config import TrainConfig
from unseen.training.distributed import Ranks
from unseen.training.loop import training
from unseen.training.run import TrainingRun
from unseen.training.state import TrainingState

IMAGES = (8, 3, 6, 6)

MAKERS: dict[str, Callable[[], Method]] = {
    **METHODS,
    "dil_ss:hvp=finite-difference": lambda: DILss(hvp="finite-difference"),
    "mldg:order=1": lambda: MLDG(order=1),
    "erm:batches=3": lambda: ERM(batches=3),
}

Steps = list[tuple[dict[str, Tensor], dict[str, float], dict[str, Tensor]]]
"""Of each step: the gradient, the notes, and the state of the method."""


def steps(method: Method, objective: Objective, confounders: int = 3) -> Steps:
    """Two steps of a method, with the share of every batch that the objective names."""
    params = parameters_of(objective.network)
    taken: Steps = []
    for seed in (1, 2):
        whole = again(episode_of(confounders, seed, IMAGES), seed)
        here = partial(own, shares=objective.shares)
        confounded, query = map(here, whole.confounders), here(whole.query)
        mixed = partial(mixture_here, whole, objective.shares)
        episode = Episode(list(confounded), query, whole.generator, more=mixed)
        slope = method.gradient(objective, params, episode)
        params = {name: value - 0.1 * slope[name] for name, value in params.items()}
        notes = {name: float(value) for name, value in episode.notes.items()}
        taken.append((dict(slope), notes, {name: value.clone() for name, value in method.state_dict().items()}))
    return taken


def own(batch: Batch, shares: Shares) -> Batch:
    return Batch(shares.own(batch.distorted), shares.own(batch.clean), batch.name)


def mixture_here(whole: Episode, shares: Shares, i: int) -> Batch:
    return own(whole.mixtures(i + 1)[i], shares)


CASES: dict[str, tuple[str, int, int]] = {
    **{name: (name, 3, 1) for name in MAKERS},
    "mixup of one confounder": ("mixup", 1, 1),
    **{f"{name}, in pieces": (name, 3, 2) for name, method in METHODS.items() if not method.takes_whole_batches},
}
"""The method, the number of confounders, and the pieces of each share."""


def all_cases(shares: Shares) -> dict[str, Steps]:
    return {
        case: steps(MAKERS[name](), objective_for(smooth_network(), "l2", pieces, shares=shares), confounders)
        for case, (name, confounders, pieces) in CASES.items()
    }


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Steps]]:
    (of_two,) = in_processes(2, tmp_path_factory.mktemp("two"), with_ranks(all_cases))
    return of_two


@pytest.mark.parametrize("case", CASES)
def test_two_processes_with_half_of_every_batch_equal_one_with_the_whole(
    case: str, of_two: list[dict[str, Steps]]
) -> None:
    name, confounders, _ = CASES[case]
    expected = steps(MAKERS[name](), objective_for(smooth_network(), "l2"), confounders)
    for found in (process[case] for process in of_two):
        for (slope, notes, state), (slope_found, notes_found, state_found) in zip(expected, found, strict=True):
            assert relative_error(slope_found, slope) < 1e-10
            assert notes_found == pytest.approx(notes, rel=1e-9)
            assert state_found.keys() == state.keys()
            for key, value in state.items():
                torch.testing.assert_close(state_found[key], value, rtol=1e-10, atol=1e-14)
    first, second = (process[case] for process in of_two)
    assert all(torch.equal(first[-1][0][key], second[-1][0][key]) for key in first[-1][0])


TRAINED = {
    "dil_sf": replace(TINY, method="dil_sf", batch=4, budget=32, validations=2),
    "erm": replace(TINY, method="erm", batch=4, budget=8, ema=0.9, clip=0.01, optimiser="sgd", momentum=0.9),
    "dil_ps": replace(TINY, method="dil_ps", batch=4, budget=34, draws="device", content="independent"),
    "dil_ss": replace(TINY, method="dil_ss", batch=4, budget=32, validations=1),
    "dil_pf": replace(TINY, method="dil_pf", batch=4, budget=10, validations=1),
    "meta": replace(TINY, method="dil_sf", batch=4, budget=32, sync="meta"),
}
"""Trainings of some steps of the method in their name."""

N = 4  # confounders of the protocol


@pytest.fixture(scope="module")
def trained_by_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[list[int]]]]:
    """The folder of all trainings by two processes, and the numbers that a process sent in each step of each."""
    folder = tmp_path_factory.mktemp("trained")
    configs = [replace(config, out=str(folder / name)) for name, config in TRAINED.items()]
    sent = in_processes(2, folder, *(partial(sent_in_each_step, config) for config in configs))
    assert all(first == second for first, second in sent)
    return folder, {name: first for name, (first, _) in zip(TRAINED, sent, strict=True)}


def sent_in_each_step(config: TrainConfig) -> list[list[int]]:
    with numbers_sent() as sent:
        steps = training(config, Event())
        ends = []
        before = None
        for state in steps:
            if state.step != before:
                ends.append(len(sent))
            before = state.step
    starts = [1, *ends]  # the first exchange of all: whether to begin
    return [sent[start:end] for start, end in zip(starts, ends, strict=False)][1:]  # the first step has checks, too


@pytest.mark.parametrize("name", [name for name in TRAINED if name != "meta"])
def test_a_training_by_two_processes_is_that_by_one(
    name: str, trained_by_two: tuple[Path, object], tmp_path: Path
) -> None:
    folder = trained_by_two[0] / name
    trained(replace(TRAINED[name], out=str(tmp_path)))
    check_nearly_equal_runs(folder, tmp_path)
    assert {path.name for path in folder.iterdir()} == {path.name for path in tmp_path.iterdir()}


def check_nearly_equal_runs(one: Path, other: Path) -> None:
    """Check that two trainings are one but for the order in which numbers were added."""
    (groups, facts), (expected, expected_facts) = (load_state(path / "resume.safetensors") for path in (one, other))
    assert groups.keys() == expected.keys()
    for group, tensors in expected.items():
        assert groups[group].keys() == tensors.keys()
        for name, value in tensors.items():
            torch.testing.assert_close(groups[group][name], value, rtol=1e-3, atol=1e-6)
    assert facts_of(facts) == facts_of(expected_facts)


def facts_of(text: str) -> dict[str, Any]:
    facts = json.loads(text)
    log: list[Any] = [{name: pytest.approx(v, rel=1e-4) for name, v in point.items()} for point in facts["log"]]
    kept = ("step", "images", "calls", "clipped", "finished", "protocol", "data")
    return {name: facts[name] for name in kept} | {"log": without_times(log)}


VECTORS = {"erm": 1, "dil_sf": N, "dil_pf": 2, "dil_ss": 3 * N, "dil_ps": 3, "meta": 1}
"""Vectors as long as the network's parameters that a process sends in a step, as docs/scale.md says."""


@pytest.mark.parametrize("name", VECTORS)
def test_the_bytes_of_a_step_are_those_that_the_documents_state(
    name: str, trained_by_two: tuple[Path, dict[str, list[list[int]]]]
) -> None:
    weights = sum(p.numel() for p in TrainingRun.of(TRAINED[name]).parameters.values())
    steps = trained_by_two[1][name]
    assert steps
    for sent in steps:
        if name == "meta":
            assert sent == [weights + 4]  # the gradient and the report, in one exchange
        else:
            *vectors, report = sent
            assert report == 4
            assert len(vectors) == VECTORS[name]
            assert {size - weights for size in vectors} <= {0, 1}  # with the loss, or without


def test_a_training_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    """One process for three steps, two for three more, and one to the end."""
    config = replace(TINY, method="group_dro", batch=4, out=str(tmp_path / "changed"))
    trained(config, StopAfter(3))
    in_processes(2, tmp_path, lambda: trained(config, StopAfter(3), resume=True).step)
    state = trained(config, resume=True)
    assert state.finished
    trained(replace(config, out=str(tmp_path / "one")))
    check_nearly_equal_runs(tmp_path / "changed", tmp_path / "one")


def test_in_meta_mode_every_process_keeps_a_state_of_the_method_of_its_own(tmp_path: Path) -> None:
    """A training that stops and goes on, with as many processes, is the one that never stopped, bit for bit."""
    config = replace(TINY, method="dil_sf", batch=4, sync="meta")
    whole, halves = (replace(config, out=str(tmp_path / name)) for name in ("whole", "halves"))

    of_whole, _, of_halves = in_processes(
        2,
        tmp_path,
        lambda: state_to_return(trained(whole)),
        lambda: state_to_return(trained(halves, StopAfter(7))),
        lambda: state_to_return(trained(halves, resume=True)),
    )
    check_equal_runs(whole, halves, (of_whole[0], of_halves[0]))
    groups, _ = load_state(tmp_path / "whole" / "resume.safetensors")
    assert groups["method"].keys() == groups["method-1"].keys()
    assert any(not torch.equal(value, groups["method-1"][name]) for name, value in groups["method"].items())
    assert trained(halves, resume=True).finished  # one process takes the state of the first


def state_to_return(state: TrainingState) -> TrainingState:
    return TrainingState(**asdict(state))


def test_a_batch_that_cannot_be_shared_equally_is_refused() -> None:
    with pytest.raises(UserError, match="batch: 2 processes cannot share 3 images equally; give a multiple of 2"):
        TrainingRun.of(replace(TINY, batch=3), Ranks(0, 2))
    with pytest.raises(UserError, match="share 6 images equally, in 2 pieces each; give a multiple of 4"):
        TrainingRun.of(replace(TINY, batch=6, accumulate=2), Ranks(0, 2))
    with pytest.raises(UserError, match="engine: a graph holds no exchange between processes"):
        TrainingRun.of(replace(TINY, device="cuda", engine="graph"), Ranks(0, 2))


def test_processes_that_cannot_meet_are_told_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UserError, match=r"WORLD_SIZE: 2 processes cannot meet: .*RANK.*; start the processes with"):
        trained(TINY)


def test_a_training_of_an_older_version_whose_processes_kept_a_state_each_is_refused(tmp_path: Path) -> None:
    config = replace(TINY, out=str(tmp_path))
    trained(config, StopAfter(2))
    (tmp_path / "resume-1.safetensors").touch()
    with pytest.raises(UserError, match="begun by processes of an older version, with a state each"):
        trained(config, resume=True)
