"""Files appear whole or not at all, reach the disk before they take their name; nothing of a killed process stays."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest
from support.commandline import leftovers
from support.forked import Forked, killed, wait_for
from support.limits import without_locks

from unseen.core import atomic
from unseen.core.atomic import flush_names, remove_leftovers, replacing, write_text
from unseen.core.errors import UserError
from unseen.core.file_lock import LockAttempt


def killed_while_writing(path: Path) -> int:
    with replacing(path) as temporary:
        temporary.write_text("half")
        killed()
    return 0


def test_what_a_killed_writer_left_is_removed_and_the_former_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_text(path, "whole")
    assert Forked(tmp_path / "log", lambda: killed_while_writing(path)).ended().code == -9
    assert len(leftovers(tmp_path)) == 1
    remove_leftovers(tmp_path)
    assert leftovers(tmp_path) == []
    assert path.read_text() == "whole"


def test_the_file_of_a_writer_that_still_runs_stays(tmp_path: Path) -> None:
    path, go_on = tmp_path / "a", tmp_path / "go-on"

    def body() -> int:
        with replacing(path) as temporary:
            temporary.write_text("new")
            (tmp_path / "written").touch()
            while not go_on.exists():
                pass
        return 0

    process = Forked(tmp_path / "log", body)
    wait_for(tmp_path / "written", process)
    remove_leftovers(tmp_path)
    go_on.touch()
    assert process.ended().code == 0
    assert path.read_text() == "new"
    assert leftovers(tmp_path) == []


def test_of_two_writers_of_one_file_the_last_one_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("of the first")
        second.write_text("of the second, and longer")
        remove_leftovers(tmp_path)
    assert path.read_text() == "of the first"  # which ended last
    assert leftovers(tmp_path) == []


def test_what_looks_like_a_temporary_file_and_is_none_stays(tmp_path: Path) -> None:
    names = [".a.png.123.tmp", "a.unseen-0123abcd.tmp", ".a.unseen-0123abcd.tmp.png", ".a.unseen-0123abc.tmp", "b.tmp"]
    for name in names:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".folder.unseen-0123abcd.tmp").mkdir()
    (tmp_path / ".link.unseen-0123abcd.tmp").symlink_to(tmp_path / "b.tmp")
    os.mkfifo(tmp_path / ".pipe.unseen-0123abcd.tmp")
    before = sorted(tmp_path.iterdir())
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "missing")
    assert sorted(tmp_path.iterdir()) == before


def test_where_the_file_system_has_no_locks_files_are_written_and_leftovers_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".a.unseen-0123abcd.tmp"
    left.touch()
    monkeypatch.setattr(fcntl, "flock", without_locks)
    write_text(tmp_path / "a", "new")
    remove_leftovers(tmp_path)
    assert (tmp_path / "a").read_text() == "new"
    assert leftovers(tmp_path) == [left]


def test_a_file_that_is_swept_away_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = [LockAttempt.BUSY, LockAttempt.TAKEN, LockAttempt.TAKEN]

    def swept(descriptor: int) -> LockAttempt:
        if len(attempts) > 1:  # of the first two files, one is still locked by the sweeper
            leftovers(tmp_path)[0].unlink()
        return attempts.pop(0)

    monkeypatch.setattr(atomic, "try_lock", swept)
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert attempts == []


def test_content_then_name_then_folder_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that a power cut cannot break; a new folder's own name is flushed, too."""
    calls: list[tuple[str, object]] = []
    fsync, replace = os.fsync, Path.replace

    def seen_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        calls.append(("folder", status.st_ino) if stat.S_ISDIR(status.st_mode) else ("file", status.st_size))
        fsync(descriptor)

    def seen_replace(self: Path, target: Path) -> Path:
        calls.append(("name", target.name))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(Path, "replace", seen_replace)
    write_text(tmp_path / "new" / "a", "four")
    above, folder = tmp_path.stat().st_ino, (tmp_path / "new").stat().st_ino
    assert calls == [("folder", above), ("file", 4), ("name", "a"), ("folder", folder)]
    del calls[:]
    with replacing(tmp_path / "b", flush_name=False) as temporary:  # of many files
        temporary.write_text("three")
    assert calls == [("file", 5), ("name", "b")]
    flush_names([tmp_path, tmp_path / "missing"])
    assert calls[2:] == [("folder", above)]


def test_a_new_file_has_the_mode_that_the_user_gives_to_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_an_error_while_writing_leaves_the_former_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_text(path, "former")

    def fill(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match="a: cannot be written: No space left on device"), replacing(path) as temporary:
        fill(temporary)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert path.read_text() == "former"
