"""Locks on open files, which the system releases however their holder ends."""

from __future__ import annotations

import errno
import os
from enum import Enum, auto
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]


class LockAttempt(Enum):
    """The outcome of an attempt to lock a file."""

    TAKEN = auto()
    """The lock is this process's until the descriptor is closed, or the process ends."""
    BUSY = auto()
    """Another process holds the lock."""
    UNSUPPORTED = auto()
    """The file system has no locks."""


def try_lock(descriptor: int) -> LockAttempt:
    """Lock an open file, which must be open for writing, without waiting for another holder (flock(2)).

    Unlike a process number in a file, such a lock holds between containers, and between hosts that share a folder by
    NFS; and none is left behind by a process that was killed.
    """
    if fcntl is None:
        return LockAttempt.UNSUPPORTED
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        busy = error.errno in (errno.EWOULDBLOCK, errno.EACCES)
        return LockAttempt.BUSY if busy else LockAttempt.UNSUPPORTED
    return LockAttempt.TAKEN


def is_at(path: Path, descriptor: int) -> bool:
    """Whether a path still names the open file: another process may have removed or replaced it."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
