"""Freed memory: kept by the program, left to the user's variables and to the owner of another program."""

from __future__ import annotations

import ctypes
import platform
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

import unseen.cli.main
from unseen.core.freed_memory import MMAP_THRESHOLD, keep_freed_memory

FREED = """
import re
from pathlib import Path
import numpy as np
import unseen

def left():
    values = np.ones(100 * 2**17)
    del values
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

before = left()
print(unseen.keep_freed_memory(), left() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep what is freed")
def test_a_process_keeps_what_it_frees_once_it_asks_for_it_and_not_on_import() -> None:
    process = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    asked, more = process.stdout.split()
    assert asked == "True"
    assert float(more) > 90


def settings(monkeypatch: pytest.MonkeyPatch, largest: int = 2**40) -> list[int]:
    """The settings that are made from now on, in a C library that refuses values above `largest`."""
    made: list[int] = []

    def mallopt(setting: int, value: int) -> int:
        made.append(setting)
        return int(value <= largest)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    return made


def test_the_users_variables_win(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(monkeypatch)
    for name, value in (
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("MALLOC_MMAP_MAX_", "0"),
        ("GLIBC_TUNABLES", "glibc.malloc.check=1:glibc.malloc.top_pad=4096"),
    ):
        with monkeypatch.context() as environment:
            environment.setenv(name, value)
            assert not keep_freed_memory()
    assert made == []
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert keep_freed_memory()


def test_a_library_that_refuses_large_blocks_keeps_its_own_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(monkeypatch, largest=2**25)
    assert not keep_freed_memory()
    assert made == [MMAP_THRESHOLD]


def test_a_library_without_the_settings_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert not keep_freed_memory()


def test_the_program_keeps_what_it_frees(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(monkeypatch)
    monkeypatch.setattr(unseen.cli.main, "main", lambda: len(made))
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    with pytest.raises(SystemExit) as ended:
        unseen.cli.main.program()
    assert ended.value.code == 3
