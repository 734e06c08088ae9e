"""Atomic writing: a file appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from .errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file written there replaces `path` if the block raises nothing.

    Missing folders are made.

    Raises:
        UserError: naming the path, if the folder cannot be written or the disk is full.
    """
    name = path.name if len(os.fsencode(path.name)) < 200 else sha256(os.fsencode(path.name)).hexdigest()
    temporary = path.with_name(f".{name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error


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


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all: the text is on the disk before the file replaces an older one.

    Bytes of file names that are no text are written escaped.

    Raises:
        UserError: naming the path, if it cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        # File names may hold bytes that are no text (lone surrogates): show them escaped.
        file.write(text.encode("utf-8", errors="backslashreplace"))
        file.flush()
        os.fsync(file.fileno())
