"""Trust: the names of code outside of unseen that may be imported, because the user wrote them and not a file.

A method, a distortion or a backbone of one's own is named by a dotted path, and importing the path runs code. Nothing
is trusted by default. The command line trusts the paths that stand in its own options (`Names`) and those after
`--trust`; a program trusts with `trusting`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from .errors import UserError

_TRUSTED: ContextVar[tuple[str, ...]] = ContextVar("trusted", default=())  # a new thread starts with none

OWN = f"{__package__.partition('.')[0]}."
"""The beginning of the dotted paths of unseen itself, which need no trust."""

LONGEST = 200
"""Most characters of a dotted path; a longer one is none."""


@contextmanager
def trusting(*names: str) -> Iterator[None]:
    """Let files name code that is imported, for the length of a `with` block, in the thread of the block.

    Args:
        names: modules (`my_parts`, with all that is in them) or single classes (`my_parts.Hardest`).
    """
    token = _TRUSTED.set((*_TRUSTED.get(), *names))
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def trusted_names() -> tuple[str, ...]:
    """Return the names that are trusted here, so that another process may be told them."""
    return _TRUSTED.get()


def is_dotted(name: str) -> bool:
    """Return whether a name is a dotted path, such as `my_parts.Hardest`."""
    return name.find(".") > 0 and len(name) <= LONGEST and all(part.isidentifier() for part in name.split("."))


def require_trusted(name: str, field: str) -> None:
    """Check that a dotted path may be imported.

    Args:
        name: the dotted path.
        field: the option, or the file and the field, that holds the path, for messages.

    Raises:
        UserError: the path lies in none of the names that are trusted here; the message says how to trust it.
    """
    if not name.startswith(OWN) and not any(f"{name}.".startswith(f"{trusted}.") for trusted in _TRUSTED.get()):
        raise UserError(
            f"{field}: {name!r} is code from outside of unseen, and not imported on a file's word; if you trust it, "
            f"add --trust {name} (in Python: with unseen.trusting({name!r}))"
        )


@dataclass(frozen=True)
class Names:
    """Marker in the annotation of an option whose value names components: what is written there is trusted."""

    @staticmethod
    def dotted(value: str) -> list[str]:
        """Return the dotted paths outside of unseen in a value: `my.Method:strength=2 @ wne:my.Net` has two."""
        names = (first_dotted(item) for item in re.split("[>&|@]", value))
        return [name for name in names if name and not name.startswith(OWN)]


def first_dotted(spec: str) -> str:
    """Return the dotted path of a spec, which may follow the names of built-in wrappers; empty where it has none."""
    for word in map(str.strip, spec.split(":")):
        if is_dotted(word):
            return word
        if not word.isidentifier():
            break
    return ""
