"""A few trials of each campaign, by fixed seeds; `make torture` runs them for an hour, by seeds of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from . import interruptions, oracle
from .fork_server import Reply
from .oracle import Allowance, Outcome, faults
from .workshop import Fault, Workshop

TRIALS = {"interruptions": 1, "disks": 1, "pictures": 4, "documents": 1, "networks": 1, "names": 6}
"""Trials of each campaign in `make test`: some thirty seconds on one core."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A warmed process, and a tiny model."""
    with Workshop.opened(tmp_path_factory.mktemp("kept")) as workshop:
        yield workshop


@pytest.mark.parametrize("name", TRIALS)
def test_nothing_goes_wrong_in_a_few_trials(name: str, workshop: Workshop) -> None:
    from .campaigns import CAMPAIGNS, run_trial  # with hypothesis, which takes a second of every process that collects

    if reason := CAMPAIGNS[name].impossible():
        pytest.skip(reason)
    for seed in range(TRIALS[name]):
        trial = run_trial(workshop, name, seed)
        assert not trial.fault, f"{trial.again}\n{trial.fault}\n{trial.printed}"


def test_the_children_of_the_server_are_commands_with_their_own_exit_codes(workshop: Workshop) -> None:
    with workshop.sandbox("codes") as sandbox:
        assert sandbox.run("list", "methods", "erm").out.startswith(b"erm")
        refused = sandbox.run("nonsense")
        assert refused.reply.code == 2
        assert refused.text.startswith("unseen: command: 'nonsense'")
        killed = sandbox.run("list", "methods", signals=[(0.0, 9)])
        assert killed.reply.code == -9


def test_a_change_outside_of_the_output_folder_is_a_fault(workshop: Workshop) -> None:
    with workshop.sandbox("outside") as sandbox:
        interruptions.prepare(sandbox, interruptions.jobs()["degrade"])
        with pytest.raises(Fault, match="elsewhere"):
            sandbox.run("degrade", "photos", "--distortion", "gaussian_noise:30", "--out", "elsewhere")


def outcome(code: int = 0, out: bytes = b"", err: bytes = b"", **more: object) -> Outcome:
    reply = Reply(code, cpu=0.1, wall=0.1, memory=0, late=False, sent=0, events=[])
    return Outcome(["restore"], reply, out, err, b"", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (outcome(-11), "exit code -11"),
        (outcome(130), "exit code 130"),
        (outcome(2), "without a word"),
        (outcome(1, err=b"Traceback (most recent call last):\n"), "no user should read"),
        (outcome(out=b"\x1b[2J"), "control character"),
        (outcome(out=b"\xff"), "no text"),
        (outcome(2, err=b"unseen: x\n" * 99), "99 lines"),
        (outcome(2, err=b"x" * 10**5), "in one line"),
        (outcome(leftovers=["out/.a.tmp"]), "leaves out/.a.tmp"),
        (outcome(unreadable=["a.png: torn"]), "no readable file"),
    ],
)
def test_the_judgement_finds_what_no_command_may_do(ended: Outcome, reason: str) -> None:
    assert any(reason in fault for fault in faults(ended, Allowance()))


def test_the_judgement_lets_pass_what_works_and_what_is_refused() -> None:
    assert not list(faults(outcome(0, "σ 50: 写真.png\n".encode()), Allowance()))
    assert not list(faults(outcome(2, err=b"unseen: photo: none given\n"), Allowance()))
    assert not list(faults(outcome(130, signals=[15]), Allowance()))


def test_readers_refuse_torn_files(tmp_path: Path) -> None:
    random = Random(0)
    for name in ("a.png", "a.jsonl", "a.safetensors", "a.html", "a.yaml"):
        (tmp_path / name).write_bytes(random.randbytes(100))
    assert len(oracle.unreadable(tmp_path)) == 5
