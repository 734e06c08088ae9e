"""Text files of limited size: what a file holds bounds the work before the work begins."""

from __future__ import annotations

from importlib.resources.abc import Traversable
from pathlib import Path

from .errors import UserError

LARGEST = 2**16
"""Most bytes of a YAML file: a protocol of the package takes 3 000, and a list of so many items a second to read."""


def read_text(path: Path | Traversable, kind: str, name: str = "", most: int = LARGEST) -> str:
    """Read a UTF-8 text file.

    Args:
        path: the file.
        kind: what the file should be, for messages: `a configuration`.
        name: the file's name in messages; `path` if left out.
        most: most bytes that the file may hold; no more than that is read.

    Raises:
        UserError: naming the file, where it cannot be read, is larger, or is no UTF-8 text.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise UserError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > most:
        raise UserError(f"{name}: not {kind}: larger than {most // 1024} KiB")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not {kind}: not UTF-8 text at byte {error.start}") from error
