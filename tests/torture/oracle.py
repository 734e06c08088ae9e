"""What a command may do, whatever happens to it: one judgement for all campaigns."""

from __future__ import annotations

import json
import re
import signal
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from safetensors import safe_open

from .fork_server import Reply

MiB = 2**20

ASKED_TO_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals after which a command saves what it has."""

FOREIGN = re.compile(r"Traceback|Exception ignored|\b[A-Z]\w+Warning: |terminate called")
"""Words of Python that no user should read; what libraries print past Python is known as such."""

OBEYED, ALLOWED = ("Cc", "Cf", "Cs", "Zl", "Zp"), "\n\t\u200c\u200d"
"""Categories of characters that a terminal may obey; and those among them that are text."""

TERMINAL_SEQUENCE = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[hl]|[0-9]*[AK])|\r")
"""What `rich` sends to a terminal: colours, cursor, cleared rows."""


LONG, WORKING = ("train", "compare", "evaluate"), 30.0
"""The commands with much to do, and the seconds of processor time that they may take where they work."""


@dataclass(frozen=True)
class Allowance:
    """What one command may take and say.

    Attributes:
        codes: exit codes; 130 and the death by a signal that asks to stop are added where such a signal was sent.
        cpu: seconds of processor time: five, as a load by others does not count in it.
        memory: bytes above the warmed process; the libraries that a command uses count, with some 150 MiB.
        lines: lines on standard error.
        width: characters of such a line.
    """

    codes: tuple[int, ...] = (0, 1, 2)
    cpu: float = 5.0
    memory: int = 640 * MiB
    lines: int = 12
    width: int = 1500


@dataclass(frozen=True)
class Outcome:
    """All that is known of a command that has ended.

    Attributes:
        words: its command line.
        reply: how it ended.
        out: what it printed on standard output, or at the terminal.
        err: what it printed on standard error.
        foreign: what its libraries printed past Python.
        terminal: whether it ran at a terminal.
        signals: the signals that were sent to it.
        foreign_changes: paths that it changed outside of the output folder.
        leftovers: temporary files that it left.
        unreadable: files in the output folder that a reader refuses, with reasons.
    """

    words: list[str]
    reply: Reply
    out: bytes
    err: bytes
    foreign: bytes
    terminal: bool = False
    signals: list[int] = field(default_factory=list)
    foreign_changes: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Standard error in words, for people."""
        return self.err.decode(errors="backslashreplace")


def faults(outcome: Outcome, allowance: Allowance) -> Iterator[str]:
    """Say what is wrong with a command: nothing where it worked, was refused in one line, or did as a signal asked."""
    code, reply = outcome.reply.code, outcome.reply
    killed = code == -signal.SIGKILL and signal.SIGKILL in outcome.signals and not reply.late
    if reply.late:
        yield f"hangs: killed after {reply.wall:.0f} s"
    elif code not in _codes(outcome, allowance):
        yield f"exit code {code}"
    works = code == 0 and outcome.words[0] in LONG
    if reply.cpu > (max(allowance.cpu, WORKING) if works else allowance.cpu):
        yield f"takes {reply.cpu:.1f} s of processor time"
    if reply.memory > allowance.memory:
        yield f"takes {reply.memory / MiB:.0f} MiB"
    yield from (f"does {event}" for event in reply.events)
    yield from (f"changes {path}" for path in outcome.foreign_changes)
    yield from (f"leaves no readable file: {reason}" for reason in outcome.unreadable)
    if not killed:
        yield from (f"leaves {path}" for path in outcome.leftovers)
    yield from _faults_of_print(outcome, allowance)
    if code in (1, 2) and not outcome.terminal and not (outcome.err.strip() or (code == 1 and outcome.out.strip())):
        yield f"exit code {code} without a word"


def _codes(outcome: Outcome, allowance: Allowance) -> set[int]:
    asked = [number for number in outcome.signals if number in ASKED_TO_STOP]
    stopped = {130, 143, 129, *(-number for number in asked)} if asked else set()
    return {*allowance.codes, *stopped, *(-n for n in outcome.signals if n == signal.SIGKILL)}


def _faults_of_print(outcome: Outcome, allowance: Allowance) -> Iterator[str]:
    for name, printed in (("output", outcome.out), ("error output", outcome.err)):
        try:
            text = printed.decode()
        except UnicodeDecodeError as error:
            yield f"prints bytes that are no text on {name}: {printed[max(0, error.start - 20) : error.start + 20]!r}"
            continue
        text = TERMINAL_SEQUENCE.sub("", text) if outcome.terminal else text
        odd = next((i for i, c in enumerate(text) if unicodedata.category(c) in OBEYED and c not in ALLOWED), None)
        if odd is not None:
            yield f"prints a control character on {name}: {text[max(0, odd - 30) : odd + 30]!r}"
        if foreign := FOREIGN.search(text):
            yield f"prints what no user should read on {name}: {text[foreign.start() :].splitlines()[0]:.200}"
    if outcome.foreign.strip():
        yield f"lets a library print {outcome.foreign.splitlines()[0][:200]!r}"
    lines = outcome.err.splitlines()
    if not outcome.terminal and len(lines) > allowance.lines:
        yield f"prints {len(lines)} lines on standard error"
    if any(len(row) > allowance.width for row in lines) and not outcome.terminal:
        yield f"prints {max(map(len, lines))} bytes in one line on standard error"


# ------------------------------------------------------------------------------------------------ readers


def unreadable(folder: Path) -> list[str]:
    """Read every file of an output folder that has its final name; the reasons of those that cannot be read.

    A file that disappears meanwhile is passed over: a running command replaces files.
    """
    reasons = []
    for path in sorted(folder.rglob("*")):
        read = READERS.get(path.suffix.lower())
        if read is None or path.name.startswith(".") or path.name.endswith(".tmp") or path.is_dir():
            continue
        try:
            read(path)
        except FileNotFoundError:
            continue
        except Exception as error:
            reasons.append(f"{path.name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    return reasons


def _read_tensors(path: Path) -> None:
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        for name in file.keys():  # noqa: SIM118
            file.get_tensor(name)
    for value in metadata.values():
        json.loads(value)


def _read_lines(path: Path) -> None:
    lines = path.read_bytes().split(b"\n")
    for row in lines[:-1] if path.name == "degradation.jsonl" else lines:  # that one grows by a line at a time
        if row.strip():
            json.loads(row)


def _read_picture(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as picture:
            picture.load()


def _read_yaml(path: Path) -> None:
    from unseen.core.yaml12 import load

    if not isinstance(load(path.read_text("utf-8")), dict):
        raise ValueError("no names and values")


def _read_page(path: Path) -> None:
    if not path.read_text("utf-8").rstrip().endswith("</html>"):
        raise ValueError("no whole page")


def _read_network(path: Path) -> None:
    import onnx

    onnx.checker.check_model(onnx.load(path))


READERS: Mapping[str, Callable[[Path], None]] = {
    ".safetensors": _read_tensors,
    ".jsonl": _read_lines,
    ".yaml": _read_yaml,
    ".html": _read_page,
    ".onnx": _read_network,
} | dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".bmp"), _read_picture)
"""How a file is read, by its suffix. TIFF is not here: Pillow cannot read all that the package writes."""
