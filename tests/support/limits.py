"""Limits of the system that stand for a full disk."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow above `size` bytes while the body runs: writing more fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def without_locks(descriptor: int, operation: int) -> None:
    """Stand for `fcntl.flock` on a file system that has no locks."""
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
