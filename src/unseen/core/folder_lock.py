"""The lock on a folder of results: one command at a time works there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .atomic import remove_leftovers
from .errors import UserError
from .file_lock import LockAttempt, is_at, try_lock
from .jsonl import Count, from_json, to_json

LOCK = ".unseen.lock"
"""The file in a folder that is locked while a command works there; it names the command, and is removed at its end."""

ANOTHER_OUT = "wait for it, or choose another --out"
WAIT = "wait for it to end"


@dataclass(frozen=True)
class Holder:
    """The command that holds a folder, as the lock file names it.

    Attributes:
        pid: number of the process.
        host: name of the computer.
        command: the command.
        since: local time when it began, such as "2026-01-31 12:03".
    """

    pid: Count
    host: str
    command: str
    since: str

    def is_running(self) -> bool:
        """Whether the process may still run; on another computer, nobody can tell, and the answer is yes."""
        if self.host != _host():
            return True
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass
        return True

    def description(self) -> str:
        """Describe the command for a message, such as "process 12 (unseen compare) since 12:03"."""
        host = "" if self.host == _host() else f" on {self.host}"
        return f"process {self.pid}{host} ({self.command}) since {self.since.removeprefix(time.strftime('%Y-%m-%d '))}"


@contextmanager
def sole_use(folder: Path, command: str, advice: str = ANOTHER_OUT) -> Iterator[None]:
    """Keep other commands out of a folder while the block runs, and remove what killed ones left there.

    The folder is made if it is missing, and removed again if nothing was written into it. A command that was killed
    does not keep others out: the system frees its lock. On a file system without locks, the process that the lock file
    names counts as the holder while it runs.

    Args:
        folder: the folder.
        command: the command, for the message to others.
        advice: the end of the message of a refusal.

    Raises:
        UserError: if another command works in the folder, or if the folder cannot be written.
    """
    missing = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        descriptor = _locked(folder, command, advice)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
    try:
        remove_leftovers(folder)
        yield
    finally:
        with suppress(OSError):
            if is_at(folder / LOCK, descriptor):  # else someone has removed the whole folder in the meantime
                (folder / LOCK).unlink()
        os.close(descriptor)  # not before: the file of the next holder would be removed
        with suppress(OSError):
            for path in missing:
                path.rmdir()


def _locked(folder: Path, command: str, advice: str) -> int:
    """Lock the folder, and return the descriptor of its lock file."""
    while True:
        if not os.path.exists(folder):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = _opened(folder / LOCK)
        except FileNotFoundError:
            if os.path.exists(folder) and not folder.stat().st_nlink:  # the working folder, which someone has removed
                raise
            continue  # the former holder has just removed the empty folder
        attempt = try_lock(descriptor)
        holder = None if attempt is LockAttempt.TAKEN else _holder(descriptor)
        if attempt is LockAttempt.BUSY or (holder is not None and holder.is_running()):
            os.close(descriptor)
            by = holder.description() if holder else "another process"
            stale = f"; if it does not run, remove {folder / LOCK}" if attempt is LockAttempt.UNSUPPORTED else ""
            raise UserError(f"{folder}: in use by {by}; {advice}{stale}")
        if is_at(folder / LOCK, descriptor):
            _write_holder(descriptor, command)
            return descriptor
        os.close(descriptor)  # the former holder has just removed this file


def _host() -> str:
    import platform  # not needed for --help

    return platform.node()


def _opened(path: Path) -> int:
    no_link = getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | no_link, 0o666)
    except PermissionError:
        if not os.path.exists(path):
            raise
        return os.open(path, os.O_RDONLY | no_link)  # another user's, whose command was killed


def _holder(descriptor: int) -> Holder | None:
    """Read a lock file: None where it is empty, or no lock file of this version."""
    try:
        return from_json(os.pread(descriptor, 1000, 0).decode(), Holder)
    except ValueError:
        return None


def _write_holder(descriptor: int, command: str) -> None:
    holder = Holder(os.getpid(), _host(), command, time.strftime("%Y-%m-%d %H:%M"))
    with suppress(OSError):  # a full disk: the lock holds all the same, and only the message to others says less
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(to_json(holder)).encode(), 0)
