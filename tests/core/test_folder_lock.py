"""One command at a time works in a folder; a killed one keeps nobody out."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from support.forked import Forked, wait_for
from support.limits import without_locks

from unseen.core.errors import UserError
from unseen.core.folder_lock import LOCK, sole_use


def holding(folder: Path, log: Path) -> Forked:
    """A process that holds a folder until it is killed."""

    def body() -> int:
        with sole_use(folder, "unseen compare"):
            (log.parent / "held").touch()
            while True:
                pass

    process = Forked(log, body)
    wait_for(log.parent / "held", process)
    return process


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("locks", [True, False], ids=["by a lock", "without locks"])
def test_a_second_command_is_refused_by_name_until_the_first_has_ended_however_it_ends(
    locks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not locks:
        monkeypatch.setattr(fcntl, "flock", without_locks)
    folder = tmp_path / "study"
    first = holding(folder, tmp_path / "log")
    with pytest.raises(UserError) as refusal, sole_use(folder, "unseen train"):
        pass
    expected = rf"{re.escape(str(folder))}: in use by process {first.pid} \(unseen compare\) since \d\d:\d\d; "
    assert re.match(expected + "wait for it, or choose another --out", str(refusal.value)), refusal.value
    assert files(folder) == [LOCK]  # as it was: the refused command changes nothing
    first.kill()
    first.ended()
    assert files(folder) == [LOCK]  # not locked any more
    with sole_use(folder, "unseen train"):
        (folder / "results.jsonl").touch()
    assert files(folder) == ["results.jsonl"]


def test_another_computer_without_locks_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", without_locks)
    holder = {"pid": os.getpid(), "host": "elsewhere", "command": "unseen train", "since": "2026-01-02 12:03"}
    (tmp_path / LOCK).write_text(json.dumps(holder))
    advice = rf"\(unseen train\) since 2026-01-02 12:03; .*; if it does not run, remove .*{LOCK}$"
    with pytest.raises(UserError, match="on elsewhere " + advice), sole_use(tmp_path, "unseen train"):
        pass
    (tmp_path / LOCK).write_text(json.dumps(holder | {"host": platform.node(), "pid": 2**40}))
    with sole_use(tmp_path, "unseen train"):
        pass


@pytest.mark.parametrize("text", ["", "{", "[" * 1000, '{"pid": -1}', "\x1b[2J", "\xff"])
def test_a_lock_file_that_says_nothing_useful_still_locks(text: str, tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(text, encoding="latin-1")
    descriptor = os.open(tmp_path / LOCK, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="in use by another process; wait"), sole_use(tmp_path, "unseen train"):
            pass
    finally:
        os.close(descriptor)
    with sole_use(tmp_path, "unseen train"):
        pass
    assert files(tmp_path) == []


def test_a_folder_into_which_nothing_is_written_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), sole_use(tmp_path / "a" / "b", "unseen train"):
        raise ZeroDivisionError
    assert files(tmp_path) == []


def test_a_folder_that_is_removed_under_a_command_and_made_by_another_stays_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with sole_use(folder, "unseen train"):
        (folder / LOCK).unlink()
        folder.rmdir()
        folder.mkdir()
        (folder / LOCK).write_text("of another command")
    assert files(folder) == [LOCK]


@pytest.mark.skipif(os.geteuid() != 0, reason="only an administrator can be another user")
def test_the_lock_file_that_another_user_left_in_a_shared_folder_keeps_nobody_out(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)

    def another_user() -> int:
        os.setuid(65534)
        with sole_use(folder, "unseen train"):
            (folder / "results.jsonl").touch()
        return 0

    try:
        (folder / LOCK).write_text("left")
        result = Forked(tmp_path / "log", another_user).ended()
        assert result.code == 0, result.err
        assert files(folder) == ["results.jsonl"]
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        result = Forked(tmp_path / "log", another_user).ended()
        assert "in use by another process" in result.err
        os.close(descriptor)
    finally:
        shutil.rmtree(folder)


def test_a_lock_file_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK).symlink_to("mine")
    with pytest.raises(UserError, match="cannot be written"), sole_use(tmp_path, "unseen train"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_working_folder_that_someone_has_removed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UserError, match=r"^\.: cannot be written: No such file or directory$"), sole_use(Path(), "a"):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    with pytest.raises(UserError, match=r"file/out: cannot be written: Not a directory"), sole_use(out, "unseen train"):
        pass
