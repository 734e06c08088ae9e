"""Freed memory kept by the process for what follows, where the C library would return it to the system at once."""

from __future__ import annotations

import os
from contextlib import suppress

KEPT = 2**30
"""Bytes: the largest block that is kept when it is freed, and the most that is kept free at the end of the heap."""

AHEAD = 64 * 2**20
"""Bytes that the heap grows by beyond a request; the system gives a page of them only once it is used."""

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, ARENA_MAX = -1, -2, -3, -8
"""The numbers of `mallopt`'s settings in glibc's malloc.h."""

SETTINGS = ("trim_threshold", "top_pad", "mmap_threshold", "mmap_max")
"""The same by the names that a user sets in the environment: `MALLOC_TOP_PAD_`, or `glibc.malloc.top_pad`."""


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for the tensors that follow; results stay the same.

    By default glibc returns large blocks to the system at once, which then clears every page of the next tensor anew.
    The program `unseen` calls this function at its start; `import unseen` does not, since a program of your own owns
    its memory. Memory that is kept is used again before more is taken: `malloc_trim` returns it.

    Returns:
        Whether the settings were made: not where a user's variables make them (`MALLOC_TRIM_THRESHOLD_` and its like,
        `GLIBC_TUNABLES`), nor where the C library is not glibc.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if any(f"MALLOC_{name.upper()}_" in os.environ or f"glibc.malloc.{name}" in tunables for name in SETTINGS):
        return False
    import ctypes  # not for everyone who imports the package

    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        # The first setting ends glibc's own adaptation, and an old glibc refuses a block of more than 32 MiB.
        if mallopt(MMAP_THRESHOLD, KEPT):
            return bool(mallopt(TRIM_THRESHOLD, KEPT) and mallopt(TOP_PAD, AHEAD))
    return False


def share_heap() -> None:
    """Let all threads that begin from now on allocate from one heap: each of several would keep what it freed."""
    import ctypes

    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(ARENA_MAX, 1)


def return_freed_memory() -> None:
    """Return the memory that is kept to the system, after work that took much of it."""
    import ctypes

    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
