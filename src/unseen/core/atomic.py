"""Atomic writing: a file appears whole or not at all, and is on the disk before a command goes on."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from .errors import UserError
from .file_lock import LockAttempt, is_at, try_lock

TEMPORARY_NAME = re.compile(r"\..+\.unseen-[0-9a-f]{8}\.tmp", re.DOTALL)
"""The names of temporary files, such as `.a.png.unseen-1f2e3d4c.tmp`. Their writer holds a lock on them."""


@contextmanager
def replacing(path: Path, *, flush_name: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file written there replaces `path` if the block raises nothing.

    Missing folders are made. The content is on the disk before it takes the name, and the name before the block ends:
    after a power cut there is the former file or the new one, whole.

    Args:
        path: the file.
        flush_name: whether the name shall be on the disk at once. A command that writes many files calls `flush_names`
            once instead: for a small picture, this flush takes as long as the writing.

    Raises:
        UserError: naming the path, if the folder cannot be written or the disk is full.
    """
    try:
        _make_folder(path.parent)
        with _temporary_file(path) as temporary:
            yield temporary
            _flush(temporary)
            temporary.replace(path)
            if flush_name:
                _flush(path.parent)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error


def flush_names(folders: Iterable[Path]) -> None:
    """Wait until the names of the files in these folders are on the disk; missing folders are passed over.

    Raises:
        UserError: naming the folder, if the disk fails.
    """
    for folder in folders:
        try:
            _flush(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, whole or not at all. Raises UserError, naming the path, if it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all.

    Bytes of file names that are no text (lone surrogates) are written escaped.

    Raises:
        UserError: naming the path, if it cannot be written.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def require_writable(folder: Path) -> None:
    """Check, before long work, that results can be written into a folder, whether it exists yet or not.

    The folder is not made, so that a command that is refused for another reason leaves nothing behind.

    Raises:
        UserError: naming the folder, if it cannot be written.
    """
    try:
        tempfile.TemporaryFile(dir=next(path for path in (folder, *folder.parents) if path.exists())).close()
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder, but not in folders below it.

    Files of running processes stay, on whatever host or in whatever container, since they are locked. Where the file
    system has no locks, all of them stay.
    """
    with suppress(OSError):  # a folder that is missing, or may not be listed
        for entry in os.scandir(folder):
            if TEMPORARY_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_unless_locked(Path(entry.path))


@contextmanager
def _temporary_file(path: Path) -> Iterator[Path]:
    """Make an empty, locked temporary file beside `path`, and remove it in the end if it is still there."""
    name = path.name if len(os.fsencode(path.name)) < 200 else sha256(os.fsencode(path.name)).hexdigest()
    while True:
        temporary = path.with_name(f".{name}.unseen-{os.urandom(4).hex()}.tmp")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        attempt = try_lock(descriptor)
        if attempt is not LockAttempt.BUSY and is_at(temporary, descriptor):
            break
        os.close(descriptor)  # before the file was locked, another process took it for a leftover
    if attempt is LockAttempt.UNSUPPORTED:
        os.close(descriptor)  # some systems rename no open file
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        if attempt is LockAttempt.TAKEN:
            os.close(descriptor)


def _remove_unless_locked(path: Path) -> None:
    with suppress(OSError):  # of another user, or on a read-only disk
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode) and try_lock(descriptor) is LockAttempt.TAKEN:
                path.unlink()
        finally:
            os.close(descriptor)


def _make_folder(folder: Path) -> None:
    missing = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        _flush(path.parent)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, as far as the file system can do that."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder that may be written, but not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
