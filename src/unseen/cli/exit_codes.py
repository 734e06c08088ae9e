"""Exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    PARTLY = 1
    """Some of the files could not be processed; the others are done."""
    REFUSED = 2
    """Something that the user gave cannot be used; one line on standard error says what."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C or SIGTERM; finished work is kept."""
