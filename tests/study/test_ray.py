"""A study on a Ray cluster of this machine: the rows of one process, also when a process of the cluster is killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commandline import CommandLine, leftovers
from support.shared_study import SharedStudy, terminate

from unseen.training.state import state_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("empty_page", "cluster")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One cluster for all tests, as `--ray local` starts it."""
    import ray  # which takes a second of every process that collects

    from unseen.study.executors.cluster import join

    handler = signal.getsignal(signal.SIGTERM)
    assert join("local")
    assert signal.getsignal(signal.SIGTERM) is handler
    yield
    ray.shutdown()


@pytest.fixture
def study(tmp_path: Path, photos: Path, tests: Path, monkeypatch: pytest.MonkeyPatch) -> SharedStudy:
    monkeypatch.syspath_prepend(tmp_path)
    return SharedStudy.of(tmp_path, f"own_{tmp_path.name}", photos, tests)


def test_a_cluster_gives_the_rows_of_one_process_also_when_a_process_is_killed(
    study: SharedStudy, unseen: CommandLine
) -> None:
    words = ["--methods", "erm", study.method("Killed"), "--tune", 2]
    study.run(unseen, "one", *words)
    study.marks.mkdir()
    study.run(unseen, "ray", *words, "--ray", "auto")
    assert (study.marks / "killed").exists()
    assert study.files("ray") == study.files("one")
    assert leftovers(study.folder) == []


def test_a_study_on_a_cluster_that_is_stopped_saves_the_step_in_hand_and_goes_on(
    study: SharedStudy, unseen: CommandLine
) -> None:
    words = ["--methods", study.method("Waiting")]
    with study.when_waiting(terminate):
        study.run(unseen, "ray", *words, "--ray", "auto", code=130)
    assert state_of(study.folder / "ray" / f"{study.method('Waiting')}-0").step == 10
    study.run(unseen, "ray", *words)
    study.run(unseen, "one", *words)
    assert study.files("ray") == study.files("one")


def test_a_need_that_no_machine_meets_is_refused(study: SharedStudy, unseen: CommandLine) -> None:
    refusal = unseen.refusal(*study.words, "--threads", 999, "--ray", "auto", "--out", study.folder / "x")
    assert refusal.startswith("threads: a run takes 999 CPU, and no machine of the cluster has over ")
