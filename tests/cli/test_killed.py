"""SIGKILL at every file that a command writes: what is there is whole, and the next command completes it."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commandline import MACHINE, TINY, CommandLine, leftovers, photographs
from support.forked import Forked, forked, killed

from unseen.core.atomic import replacing
from unseen.core.folder_lock import LOCK
from unseen.models.checkpoint import CHECKPOINT
from unseen.training.state import holds_a_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("empty_page")]

RUN = Path("run")


def killed_at(number: int) -> Callable[[], object]:
    """Let a process be killed when its file of this number, from 1, is written but has no name yet."""
    numbers = itertools.count(1)
    replace = Path.replace

    def change() -> None:
        def counting(self: Path, target: Path) -> Path:
            if next(numbers) == number:
                killed()
            return replace(self, target)

        pytest.MonkeyPatch().setattr(Path, "replace", counting)

    return change


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder that equal commands make equal: no times of steps, no page with its date."""
    named = (CHECKPOINT, "results.jsonl", "config.yaml")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.name in named or path.suffix == ".png"
    }


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training, to be copied."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert forked(run.parent, "train", *TINY, "--data", photos, "--out", run).ended().code == 0
    return run


@pytest.mark.parametrize(("command", "step"), [("train", 2), ("compare", 4), ("evaluate", 1), ("degrade", 1)])
def test_a_command_that_is_killed_at_any_file_is_completed_by_the_next(
    command: str,
    step: int,
    unseen: CommandLine,
    photos: Path,
    tests: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = {
        "train": [*TINY, "--data", photos, "--out", RUN],
        "compare": [*TINY, "--data", photos, "--test", f"q={tests}", "--methods", "erm", "--out", RUN],
        "evaluate": [RUN, *MACHINE, "--test", f"q={tests}", "--card", "true", "--out", "out"],
        "degrade": [tests, "--distortion", "gaussian_noise:20", "--out", "out"],
    }[command]

    def prepare() -> None:
        for name in ("run", "out"):
            shutil.rmtree(name, ignore_errors=True)
        if command == "evaluate":
            shutil.copytree(trained, RUN)

    prepare()
    unseen(command, *words)
    whole = contents(tmp_path)
    for number in range(1, 100, step):
        prepare()
        first = forked(tmp_path / "log", command, *words, change=killed_at(number)).ended()
        if first.code == 0:
            break
        assert first.code == -9, first.err
        assert len(leftovers(tmp_path)) == 1
        again = {"train": ["--resume"] * holds_a_run(RUN), "degrade": ["--overwrite"]}.get(command, [])
        unseen(command, *words, *again)
        assert contents(tmp_path) == whole
        assert leftovers(tmp_path) == []
        assert not list(tmp_path.rglob(LOCK))
    assert number > 2


def test_a_restoration_that_is_killed_is_completed_by_the_next(
    unseen: CommandLine, tests: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an interpreter of its own: a copy of a process in which libvips has run hangs."""
    monkeypatch.chdir(tmp_path)
    words = ["restore", tests, "--model", trained, *MACHINE, "-o"]
    script = "from cli.test_killed import killed_at; from unseen.cli.main import main; killed_at(2)(); main()"
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    first = subprocess.run(
        [sys.executable, "-c", script, *map(str, words), "out"], env={**os.environ, "PYTHONPATH": path}
    )
    assert first.returncode == -9
    assert contents(tmp_path).keys() == {"out/e.png"}
    assert len(leftovers(tmp_path)) == 1
    unseen(*words, "out")
    unseen(*words, "whole")
    assert leftovers(tmp_path) == []
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_leftovers_are_removed_wherever_outputs_go(
    unseen: CommandLine, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the folders of a tree, and beside a single file; also where the command has nothing else to do."""
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path / "tree" / "deep", "a.png")

    def leave(path: Path) -> None:
        def body() -> int:
            with replacing(path):
                killed()
            return 0

        Forked(tmp_path / "log", body).ended()
        assert len(leftovers(tmp_path)) == 1

    restore = ["restore", "tree", "--model", trained, *MACHINE, "-o", "out"]
    for words in (restore, restore, ["degrade", "tree", "--distortion", "jpeg:40", "--overwrite", "--out", "out"]):
        leave(tmp_path / "out" / "deep" / "other.png")
        unseen(*words)
        assert leftovers(tmp_path) == []
    leave(tmp_path / "model.onnx")
    unseen.refusal("export", tmp_path / "missing", "model.onnx")
    assert leftovers(tmp_path) == []


def test_a_signal_that_comes_while_python_ends_is_no_traceback() -> None:
    script = """
import atexit, os, signal, sys
from unseen.cli.main import program
atexit.register(lambda: [os.kill(os.getpid(), number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
sys.argv = ["unseen", "nonsense"]
program()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
