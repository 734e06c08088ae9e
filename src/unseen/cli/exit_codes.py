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
    """Stopped by Ctrl-C, SIGTERM or SIGHUP; finished work is kept."""
    OUTPUT_CLOSED = 141
    """Done, but the program that reads standard output ended before all was read, as in `unseen list methods | head`;
    128 and the number of SIGPIPE, as shells count."""
