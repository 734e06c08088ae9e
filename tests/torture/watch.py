"""What no command may do, reported while it runs: other programs, other machines, and files elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class")
"""Audit events that no command has a reason for: another program or machine is asked, or a pickle names a function."""

CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "os.chmod")
"""Audit events of a file that is changed otherwise than by opening it; the first argument is a path, or both are."""


class Watch:
    """An audit hook that reports what no command may do."""

    def __init__(self, events: int, writable: Sequence[str]):
        self.events = events
        self.roots = [os.path.realpath(root) for root in writable]

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            nameless = isinstance(path, str) and os.path.isdir(path)  # a temporary file that nobody sees
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not nameless:
                self.require_allowed(event, path)
        elif event in CHANGES:
            for path in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
                self.require_allowed(event, path)
        elif event in FORBIDDEN:
            self.report(f"{event} {arguments!r:.200}")

    def require_allowed(self, event: str, path: object) -> None:
        """Report a path that lies in none of the folders."""
        if not isinstance(path, str | bytes | os.PathLike):
            return
        place = os.path.realpath(os.fsdecode(path))
        if not any(place == root or place.startswith(root + "/") for root in self.roots):
            self.report(f"{event} of {place}")

    def report(self, words: str) -> None:
        """Tell the server; more than the pipe holds is lost."""
        os.set_blocking(self.events, False)
        with suppress(BlockingIOError):
            os.write(self.events, words.encode(errors="surrogateescape") + b"\0")
