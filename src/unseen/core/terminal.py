"""The way of all text to the terminal: made harmless, cut, and written by this module and `core.console` alone.

Names of files, keys of YAML, cards, sidecars, rows and ONNX files are other people's words. A terminal obeys what
stands in them (ESC [2J clears it), a newline looks like another line of output, and ten megabytes bury everything else.
"""

from __future__ import annotations

import errno
import os
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

LIMIT = 1000
"""Characters of one line of output."""

ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of characters that a terminal may obey instead of showing: controls (C0, C1), formats (such as
those that turn the direction of reading), lone surrogates, and separators of lines and paragraphs."""

JOINERS = frozenset("\u200c\u200d")
"""Formats that stay: Persian words and many emoji are written with them, and they change nothing but their
neighbours."""


def harmless(text: str, limit: int = LIMIT) -> str:
    """Return text that a terminal shows in one line and does not obey.

    Args:
        text: any text; lone surrogates stand for bytes of a file name that are no text.
        limit: characters to keep. Longer text loses its middle, so that the file at the start of a message and the
            advice at its end both stay; the number of characters left out stands in the gap.
    """
    if len(text) > limit:
        head = limit * 2 // 3
        tail = limit - head
        text = f"{text[:head]}… [{len(text) - limit} characters left out] …{text[len(text) - tail :]}"
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    obeyed = unicodedata.category(character) in ESCAPED and character not in JOINERS
    return character.encode("unicode_escape").decode() if obeyed else character


class OutputLost(Exception):  # noqa: N818 (a state of affairs)
    """Signal that standard output takes no more text.

    Attributes:
        reason: the reason in words; empty where the reader of a pipe has closed it, which is no fault.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Output:
    """Standard output as it is now, which raises OutputLost where it takes no more text."""

    def __init__(self) -> None:
        self.stream = sys.stdout

    def write(self, text: str) -> int:
        """Write text as it is: callers have made it harmless."""
        try:
            return self.stream.write(text)
        except OSError as error:
            raise _lost(error, self.stream) from error

    def flush(self) -> None:
        """Write what waits in the buffer."""
        try:
            self.stream.flush()
        except OSError as error:
            raise _lost(error, self.stream) from error

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


class Messages:
    """Standard error as it is now; text that it does not take is lost, since there is nowhere to say so.

    A training goes on when its terminal is closed, or the reader of its messages.
    """

    def __init__(self) -> None:
        self.stream = sys.stderr

    def write(self, text: str) -> int:
        """Write text as it is: callers have made it harmless."""
        try:
            return self.stream.write(text)
        except OSError:
            _discard(self.stream)
            return len(text)

    def flush(self) -> None:
        """Write what waits in the buffer."""
        try:
            self.stream.flush()
        except OSError:
            _discard(self.stream)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


def show(text: str = "") -> None:
    """Write one line of results to standard output.

    Raises:
        OutputLost: it takes no more text.
    """
    output = Output()
    output.write(f"{harmless(text)}\n")
    output.flush()


def tell(text: str) -> None:
    """Write one line of message to standard error, above the bars of progress if there are any."""
    messages = Messages()
    messages.write(f"{harmless(text)}\n")
    messages.flush()


def prepare_streams() -> None:
    """Make standard output and standard error ready for any text.

    What has no letter in the terminal's encoding is escaped. A stream that the caller closed leads to the null device:
    otherwise the next file that is opened would take its place, and receive the messages of C libraries.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or _null()
    sys.stderr = sys.stderr or _null()
    for stream in (sys.stdout, sys.stderr):  # σ and strange file names are no reason to fail
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def only_python_writes() -> Iterator[None]:
    """Keep what C libraries print on standard error, and warnings of Python packages, from the user.

    libtiff, GLib and others print there past every handler, about files that the messages of the command speak of.
    While the block runs, the descriptor 2 leads to the null device, and `sys.stderr` has another one.
    """
    saved, null, stream = os.dup(2), os.open(os.devnull, os.O_WRONLY), sys.stderr
    try:
        descriptor = stream.fileno()
    except (OSError, AttributeError):  # a stream in memory
        descriptor = -1
    if descriptor == 2:
        stream.flush()
        sys.stderr = open(saved, "w", encoding=stream.encoding, errors=stream.errors, buffering=1, closefd=False)  # noqa: SIM115
    os.dup2(null, 2)
    os.close(null)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:  # else the user has asked for them
                warnings.simplefilter("ignore")
            yield
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        sys.stderr = stream


def _null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 (open as long as the process lives)


def _lost(error: OSError, stream: TextIO) -> OutputLost:
    _discard(stream)
    return OutputLost("" if error.errno == errno.EPIPE else error.strerror or str(error))


def _discard(stream: TextIO) -> None:
    """Lead a stream to the null device, so that what waits in its buffer fails no second time, as Python ends."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
