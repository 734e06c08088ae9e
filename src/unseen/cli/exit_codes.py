"""Exit codes of the command line."""

from __future__ import annotations

DONE, PARTLY, REFUSED, INTERRUPTED = 0, 1, 2, 130
