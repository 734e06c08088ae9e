"""A study in several processes of this machine: the rows of one process, whatever happens to the workers."""

from __future__ import annotations

import pickle
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from support.commandline import CommandLine, leftovers
from support.forked import forked
from support.shared_study import ForkedWorker, SharedStudy, ends, terminate, waiting_process

from unseen.core.errors import UserError
from unseen.core.progress import progress_bars, task
from unseen.study.config import CompareConfig
from unseen.study.executors import pool
from unseen.study.executors.progress import RelayedProgress
from unseen.study.executors.workplace import Answer, Report, Workplace
from unseen.study.plan import StudyPlan
from unseen.training.state import state_of

pytestmark = pytest.mark.usefixtures("empty_page")


@pytest.fixture
def study(tmp_path: Path, photos: Path, tests: Path, monkeypatch: pytest.MonkeyPatch) -> SharedStudy:
    monkeypatch.syspath_prepend(tmp_path)
    return SharedStudy.of(tmp_path, f"own_{tmp_path.name}", photos, tests)


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "Worker", ForkedWorker)


@pytest.mark.slow
def test_a_worker_is_an_interpreter_of_its_own_that_trusts_what_the_user_trusts(
    study: SharedStudy, unseen: CommandLine
) -> None:
    words = ["--methods", study.method("Killed")]
    study.run(unseen, "one", *words)
    study.run(unseen, "pool", *words, "--workers", 2)
    assert study.files("pool") == study.files("one")


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_pool_gives_the_rows_of_one_process_also_when_a_worker_is_killed(
    study: SharedStudy, unseen: CommandLine
) -> None:
    words = ["--methods", "erm", study.method("Killed"), "--seeds", 2, "--tune", 2]
    study.run(unseen, "one", *words)
    study.marks.mkdir()
    study.run(unseen, "pool", *words, "--workers", 2)
    assert (study.marks / "killed").exists()
    assert study.files("pool") == study.files("one")
    assert leftovers(study.folder) == []


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_pool_that_is_stopped_saves_the_step_in_hand_and_another_number_of_workers_goes_on(
    study: SharedStudy, unseen: CommandLine
) -> None:
    words = ["--methods", study.method("Diverging"), study.method("Waiting"), "erm"]
    with study.when_waiting(terminate):
        stopped = study.run(unseen, "pool", *words, "--workers", 2, code=130)
    assert "the same command goes on" in stopped.out
    assert state_of(study.folder / "pool" / f"{study.method('Waiting')}-0").step == 10
    gone_on = study.run(unseen, "pool", *words, code=1)
    assert f"left out {study.method('Diverging')}-0" in gone_on.err
    study.run(unseen, "one", *words, code=1)
    assert study.files("pool") == study.files("one")


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("signals", [[signal.SIGKILL], [signal.SIGINT, signal.SIGTERM]])
def test_workers_do_not_outlive_a_study_that_is_killed_or_interrupted_twice(
    signals: list[signal.Signals], study: SharedStudy
) -> None:
    study.marks.mkdir()
    out = study.folder / "study"
    process = forked(
        study.folder / "log", *study.words, "--methods", study.method("Waiting"), "--workers", 2, "--out", out
    )
    worker = waiting_process(study.marks)
    for number in signals:
        process.kill(number)
    code = process.ended(5).code
    assert code == (-9 if signals == [signal.SIGKILL] else 130)
    (study.marks / "go").touch()
    assert ends(worker)


def test_a_run_whose_workers_are_lost_again_and_again_is_named(
    study: SharedStudy, unseen: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DyingWorker(ForkedWorker):
        def _start(self, theirs: Connection, variables: Mapping[str, str]) -> Any:
            return subprocess.Popen(["sh", "-c", "echo out of luck >&2; kill -9 $$"], stderr=self.errors)

    monkeypatch.setattr(pool, "Worker", DyingWorker)
    refusal = unseen.refusal(*study.words, "--methods", "erm", "--workers", 2, "--out", study.folder / "study")
    assert refusal.startswith(
        "workers: erm-0: its process was ended by SIGKILL: out of luck, 4 times; if memory is short"
    )


def workplace_and_plan(photos: Path, tests: Path) -> tuple[Workplace, StudyPlan]:
    config = CompareConfig(device="cpu", threads=1, data=[str(photos)], test=[f"q={tests}"], workers=2)
    plan = StudyPlan.of(config)
    return Workplace.of(plan), plan


class Fails:
    name = "a job"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def carry_out(self, plan: StudyPlan, stop: Event) -> None:
        raise self.error


class OfTwo(Exception):  # noqa: N818 (a test's own)
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (UserError("data: is gone"), UserError, "data: is gone"),
        (ZeroDivisionError("by zero"), ZeroDivisionError, "by zero"),
        (OfTwo("a", "b"), RuntimeError, "OfTwo: ab"),  # cannot be made again from its message alone
    ],
)
def test_an_error_in_a_worker_reaches_the_user_as_what_it_is(
    error: Exception, kind: type[Exception], message: str, photos: Path, tests: Path
) -> None:
    workplace, plan = workplace_and_plan(photos, tests)
    answer: Answer[None] = workplace.answer(Fails(error), lambda: plan, Event(), lambda report: None)
    with pytest.raises(kind, match=message) as raised:
        pickle.loads(pickle.dumps(answer)).unpacked()
    assert type(raised.value) is kind
    assert "in carry_out\n    raise self.error" in str(raised.value.__cause__)


def test_what_a_job_says_and_does_is_reported(photos: Path, tests: Path) -> None:
    class Says:
        name = "a job"

        def carry_out(self, plan: StudyPlan, stop: Event) -> int:
            from unseen.core.terminal import tell

            tell("skipped a file")
            with task("training", 10, counts=True) as bar:
                bar.skip(4)
                bar.advance(3)
            return 5

    workplace, plan = workplace_and_plan(photos, tests)
    reports: list[Report] = []
    answer = workplace.answer(Says(), lambda: plan, Event(), reports.append)
    assert (answer.unpacked(), answer.complete) == (5, True)
    assert (reports[-1].done, reports[-1].skipped) == (7, 4)
    assert "".join(report.messages for report in reports) == "skipped a file\n"


def test_progress_of_a_lost_worker_is_taken_back() -> None:
    with progress_bars(silent=True), task("all", 40, collects=True) as whole:
        relayed = RelayedProgress()
        for report in (Report(6, 2), Report(10, 2), Report(8, 8), Report(20, 8)):
            relayed.note(1, report)
        assert (whole.done, whole.skipped) == (20, 2)
        relayed.note(2, Report(5, 5))
        assert (whole.done, whole.skipped) == (25, 7)


def test_a_worker_that_sees_other_photographs_refuses(photos: Path, tests: Path) -> None:
    workplace, plan = workplace_and_plan(photos, tests)
    assert workplace.plan().data == plan.data
    with pytest.raises(UserError, match=r"holds other photographs on .*; all processes of a study must see the same"):
        replace(workplace, data=dict.fromkeys(plan.data, "another")).plan()
    with pytest.raises(UserError, match="out: /nowhere is not there on "):
        replace(workplace, folder="/nowhere").plan()


def test_gpus_are_shared_out_and_not_overfilled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert pool.gpus_of_workers(2, 0) == ["3", "5"]
    assert pool.gpus_of_workers(4, 0.5) == ["3", "5", "3", "5"]
    with pytest.raises(UserError, match=r"workers: 5 runs of 0\.4 GPU at a time take more than the 2"):
        pool.gpus_of_workers(5, 0.4)  # four fit: two on each
    with pytest.raises(UserError, match=r"3 runs of 1 GPU at a time take more than the 2"):
        pool.gpus_of_workers(3, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "0"], "workers: "),
        (["--workers", "2", "--ray", "auto"], "workers: a cluster has as many"),
        (["--ray", "nowhere"], "ray: 'nowhere' is no address"),
        (["--gpus-per-run", "0.5"], "gpus_per_run: this process takes the whole GPU"),
        (["--workers", "2", "--device", "cuda:1"], "device: each run gets a GPU of its own"),
    ],
)
def test_options_that_do_not_fit_are_refused(words: list[str], message: str, unseen: CommandLine) -> None:
    assert unseen.refusal("compare", *words).startswith(message)


def test_a_cluster_that_does_not_answer_is_refused_at_once(unseen: CommandLine) -> None:
    refusal = unseen.refusal("compare", "--ray", "127.0.0.1:1")
    assert refusal.startswith(
        "ray: no cluster at 127.0.0.1:1: [Errno 111] Connection refused; start one with `ray start"
    )


def test_a_missing_ray_is_named_with_its_extra(unseen: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unseen.study.config.find_spec", lambda name: None)
    refusal = unseen.refusal("compare", "--ray", "auto")
    assert refusal.startswith("ray: needs Ray: pip install ")
    assert "[ray]" in refusal


def test_a_run_among_others_has_one_thread_unless_told() -> None:
    config = CompareConfig(device="cpu")
    assert replace(config, workers=2).resolved().threads == 1
    assert replace(config, ray="auto").resolved().threads == 1
    assert replace(config, workers=2, threads=3).resolved().threads == 3
