"""Tables and styled text on the terminal, drawn by rich; what they say goes through `core.terminal.harmless`."""

from __future__ import annotations

from typing import IO, Any, cast

from rich.console import Console as RichConsole
from rich.text import Text

from .terminal import LIMIT, Messages, Output, harmless


class Console(RichConsole):
    """A console of rich that shows text as it is: file names hold brackets, and escape sequences are escaped.

    Args:
        stderr: whether it draws on standard error, for progress, in place of standard output.
        file: where it draws, if neither.
        width: characters of a line; None for those of the terminal.

    Raises:
        OutputLost: by every method that draws, where standard output takes no more text.
    """

    def __init__(self, *, stderr: bool = False, file: IO[str] | None = None, width: int | None = None) -> None:
        stream = file or cast(IO[str], Messages() if stderr else Output())
        super().__init__(file=stream, stderr=stderr, width=width, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make text of a `str`, by which every `str` in a table or a line is drawn."""
        return super().render_str("\n".join(map(harmless, text.split("\n"))), **options)


def styled(text: str, style: str = "", limit: int = LIMIT) -> Text:
    """Make text for a table, a heading or a line: in one line, harmless, cut to `limit` characters."""
    return Text(harmless(text, limit), style=style)
