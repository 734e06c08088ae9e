"""Several processes: where the launcher is killed, or one of them, the others end within seconds and lose nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.commandline import MACHINE
from support.forked import Forked, forked, wait_for

from unseen.core import launcher
from unseen.core.launcher import ending_with_launcher
from unseen.models.checkpoint import load_state
from unseen.training.state import state_file

LONG = ["--backbone", "plain:features=4,depth=2", "--budget", "1000000", "--batch", "2", "--patch", "16"]


def is_running(pid: int) -> bool:
    """Whether a process runs: one that has ended stays in the table until its parent asks for its code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def seconds_until(condition: Callable[[], bool], limit: float = 30) -> float:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < limit
        time.sleep(0.01)
    return time.monotonic() - start


@pytest.fixture
def two(photos: Path, tmp_path: Path) -> Iterator[tuple[Forked, list[int], Path]]:
    """A launcher, the numbers of the two processes that it has started, and the folder that they train in."""
    run = tmp_path / "run"
    words = ["train", *MACHINE, *LONG, "--validations", "20000", "--data", photos, "--out", run]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    def launch() -> int:
        os.environ.update(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        started = []
        for rank in ("0", "1"):
            os.environ.update(RANK=rank, LOCAL_RANK=rank)
            started.append(forked(tmp_path / f"log-{rank}", *words))
        (tmp_path / "new").write_text(" ".join(str(process.pid) for process in started))
        (tmp_path / "new").rename(tmp_path / "pids")
        for process in started:
            process.ended(120)
        return 0

    parent = Forked(tmp_path / "log", launch)
    wait_for(tmp_path / "pids", parent)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    try:
        wait_for(state_file(run), parent)
        yield parent, pids, run
    finally:
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_processes_save_and_end_where_their_launcher_is_killed(
    two: tuple[Forked, list[int], Path], tmp_path: Path
) -> None:
    parent, pids, run = two
    parent.kill()
    parent.ended()
    assert seconds_until(lambda: not any(map(is_running, pids))) < 5
    assert "interrupted: unseen train --resume" in (tmp_path / "log-0" / "out").read_text()
    assert json.loads(load_state(state_file(run))[1])["step"] > 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_whose_fellow_is_killed_ends_in_one_line(two: tuple[Forked, list[int], Path], tmp_path: Path) -> None:
    _, pids, _ = two
    os.kill(pids[1], signal.SIGKILL)
    assert seconds_until(lambda: not is_running(pids[0])) < 5
    (line,) = (tmp_path / "log-0" / "err").read_text().splitlines()
    assert line.startswith("unseen: process 0 of 2: the others do not answer, one has probably ended: ")


def test_a_process_that_cannot_finish_its_step_is_ended_all_the_same(tmp_path: Path) -> None:
    def stuck() -> int:
        launcher.POLL, launcher.GRACE = 0.01, 0.1
        signal.signal(signal.SIGTERM, lambda *_: (tmp_path / "asked").touch())
        os.environ["WORLD_SIZE"] = "2"
        with ending_with_launcher():
            (tmp_path / "started").write_text(str(os.getpid()))
            while True:
                time.sleep(1)

    def launch() -> int:
        Forked(tmp_path / "inner", stuck).ended(120)
        return 0

    parent = Forked(tmp_path / "log", launch)
    wait_for(tmp_path / "started", parent)
    time.sleep(0.05)
    parent.kill()
    parent.ended()
    pid = int((tmp_path / "started").read_text())
    seconds_until(lambda: not is_running(pid))
    assert (tmp_path / "asked").exists()
