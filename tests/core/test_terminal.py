"""What reaches the terminal: harmless text in lines, and no traceback where nobody takes the output."""

from __future__ import annotations

import ast
import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.commandline import CommandLine, photographs

import unseen as package
from unseen.core.atomic import replacing
from unseen.core.console import Console, styled
from unseen.core.interruption import interruptible, signals_as_interrupts
from unseen.core.progress import progress_bars, task
from unseen.core.terminal import LIMIT, OutputLost, harmless, only_python_writes, show, tell

SOURCE = Path(package.__file__).parent
WRITERS = ("core/terminal.py", "core/console.py")
ATTACKS = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b2J",
    "a\rb",
    "a\nb",
    "\u2028",
    "\u202e",
    "\u2066",
    "\udc80",
    "\x00",
    "\x7f",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_terminal_would_obey_is_escaped(attack: str) -> None:
    shown = harmless(f"a{attack}b")
    assert shown.isprintable()
    assert "\\" in shown


@pytest.mark.parametrize(
    "text", ["σ 50 × 2", "写真.png", "ภาพ", "[bold]", "👩\u200d🔬.png", "می\u200cخواهم", "a\u3000b", "a\xa0b"]
)
def test_what_people_write_is_shown_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_long_text_loses_its_middle_and_says_how_much() -> None:
    text = "photo.png: " + "x" * 10**7 + "; give another --out"
    started = time.perf_counter()
    shown = harmless(text)
    assert time.perf_counter() - started < 0.1
    assert shown.startswith("photo.png: x")
    assert shown.endswith("x; give another --out")
    assert f"[{len(text) - LIMIT} characters left out]" in shown
    assert len(shown) < LIMIT + 50
    assert harmless("x" * LIMIT) == "x" * LIMIT


def test_nothing_else_writes_to_the_terminal() -> None:
    """Every `print`, stream, warning, console or text of rich outside of the two modules that make text harmless."""
    others = []
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if name not in WRITERS else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                others.append(f"{name}: print")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "sys.stdout",
                "sys.stderr",
                "sys.__stdout__",
                "sys.__stderr__",
                "warnings.warn",
                "os.write",
            ):
                others.append(f"{name}: {ast.unparse(node)}")
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
                others += [f"{name}: rich's {alias.name}" for alias in node.names if alias.name == "Console"]
            if "from rich.text" in text and isinstance(node, ast.Call) and ast.unparse(node.func) == "Text":
                others += [f"{name}: {ast.unparse(node)}" for word in node.args if ast.unparse(word) != "'\\n'"]
    assert others == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_lines_tables_and_bars_show_no_attack(
    attack: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.table import Table

    show(attack)
    tell(attack)
    console = Console()
    table = Table(title=attack)
    table.add_column(attack)
    table.add_row(attack)
    table.add_row(styled(attack, "bold"))
    console.print(table)
    console.print(styled(attack))
    plain = capsys.readouterr()
    assert all(line.isprintable() for line in (plain.out + plain.err).split("\n"))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress_bars() as bars, task(f"reading {attack}") as shown:
        bars.refresh()
        shown.describe(f"reading {attack}")
        bars.refresh()
    drawn = capsys.readouterr().err
    assert harmless(f"reading {attack}") in drawn
    assert f"reading {attack}" not in drawn


def test_bars_cut_long_names(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress_bars() as bars, task("x" * 10**6):
        bars.refresh()
    assert capsys.readouterr().err.count("x") < 1000


def test_a_message_of_a_file_is_one_harmless_line(unseen: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text('? "\\e[2J\\e]0;title\\a\\n' + "x" * 10**6 + '"\n: 1\n')
    refusal = unseen.refusal("train", "--config", path)
    assert refusal.startswith(f"{path}: ")
    assert refusal.isprintable()
    assert len(refusal) < 1200


# ------------------------------------------------------------------------------------------ nobody reads the output


class Broken(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def flush(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(("number", "code", "message"), [(errno.EPIPE, 141, ""), (errno.ENOSPC, 1, "No space left")])
@pytest.mark.parametrize("words", [["list", "methods"], ["describe", "denoise"], ["--help"], ["--version"]])
def test_output_that_nobody_takes_ends_quietly(
    words: list[str],
    number: int,
    code: int,
    message: str,
    unseen: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(number))
    lines = unseen(*words, code=code).err.splitlines()
    assert len(lines) == bool(message)
    assert all(message in line for line in lines)


def test_output_on_a_console_that_nobody_takes_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(errno.EPIPE))
    with pytest.raises(OutputLost):
        Console().print("text")


def test_messages_that_nobody_takes_stop_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Broken(errno.EIO))
    tell("text")
    with progress_bars() as bars, task("work", 1) as work:
        work.advance()
        bars.refresh()


def process(command: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which UNSEEN stands for the command."""
    line = command.replace("UNSEEN", f"{sys.executable} -m unseen")
    return subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
def test_real_pipes_and_devices_end_without_a_traceback(tmp_path: Path) -> None:
    photographs(tmp_path / "photos", "a.png")
    degrade = "UNSEEN degrade photos --distortion gaussian_noise:9 --out"
    status = "echo ${PIPESTATUS[0]}"
    closed = process(f"UNSEEN --help | true; {status}; {degrade} one | true; {status}", tmp_path)
    assert (closed.stdout.split(), closed.stderr) == (["141", "141"], "")
    full = process(f"{degrade} two > /dev/full; echo $?; {degrade} three >&-; echo $?", tmp_path)
    assert full.stdout.split() == ["1", "0"]
    assert full.stderr.count("\n") == 1
    assert "No space left on device" in full.stderr
    assert [(tmp_path / name / "a.png").exists() for name in ("one", "two", "three")] == [True] * 3
    assert process("UNSEEN nonsense 2> /dev/full; exit $?", tmp_path).returncode == 2


# ------------------------------------------------------------------------------------------ a terminal that is closed


def test_a_closed_terminal_stops_like_a_signal_and_twice_too() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with interruptible() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert stop.is_set()
        signal.raise_signal(signal.SIGHUP)  # from the shell as well as from the kernel
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGHUP) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=str)
def test_a_file_that_is_being_written_when_a_command_is_ended_leaves_nothing(
    number: signal.Signals, tmp_path: Path
) -> None:
    def write() -> None:
        with signals_as_interrupts(), replacing(tmp_path / "page.html") as file:
            file.write_text("half of")
            signal.raise_signal(number)

    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt):
            write()
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert list(tmp_path.iterdir()) == []


def test_a_caller_who_ignores_the_closing_of_the_terminal_is_obeyed() -> None:
    before: Any = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_libraries_print_past_python_reaches_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    with only_python_writes():
        os.write(2, b"TIFFReadDirectory: Incompatible type\n")
        tell("ours")
    os.write(2, b"after\n")
    assert sorted(capfd.readouterr().err.splitlines()) == ["after", "ours"]


def test_a_program_keeps_its_own_messages_and_tracebacks() -> None:
    script = """
import os, sys, warnings
from unseen.core.terminal import only_python_writes, tell
with only_python_writes():
    os.write(2, b"GLib-CRITICAL\\n")
    warnings.warn("of a package")
    tell("ours")
    print("unflushed", end="", file=sys.stderr)
raise SystemExit("after")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.stderr == "ours\nunflushedafter\n"
