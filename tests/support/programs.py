"""Other people's programs, which make image files for the tests and say what is in ours."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PACKAGES = {
    "convert-im6.q16": "imagemagick",
    "identify-im6.q16": "imagemagick",
    "exiftool": "libimage-exiftool-perl",
    "tiffcp": "libtiff-tools",
    "tiffinfo": "libtiff-tools",
    "cwebp": "webp",
    "img2webp": "webp",
}
"""Each program with the Debian package that has it."""


def require(name: str) -> None:
    """Skip the test if a program is missing, or fail the test where CI is set."""
    if shutil.which(name) is None:
        missing = f"{name} is missing: apt-get install {PACKAGES[name]}"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


def program(name: str, *words: object, stdin: bytes = b"") -> bytes:
    """Run a program and return its output; if it is missing, skip the test, or fail it where CI is set."""
    require(name)
    ended = subprocess.run([name, *map(str, words)], input=stdin, capture_output=True, timeout=60)
    assert ended.returncode == 0, ended.stderr.decode(errors="replace")
    return ended.stdout


_MADE: dict[tuple[str, ...], bytes] = {}
"""The files that ImageMagick has made out of nothing, by its words and the file's suffix."""


def magick(*words: object) -> bytes:
    """Run ImageMagick 6, by the name that is nobody else's; a file that needs no other file is made once."""
    *others, out = words
    if not isinstance(out, Path) or any(isinstance(word, Path) for word in others):
        return program("convert-im6.q16", *words)
    key = (*map(str, others), out.suffix)
    if key not in _MADE:
        program("convert-im6.q16", *words)
        _MADE[key] = out.read_bytes()
    out.write_bytes(_MADE[key])
    return b""


class ExifTool:
    """One exiftool for all calls: starting it takes far longer than what it does."""

    def __init__(self) -> None:
        self.calls = 0
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the program runs)
        self.process = subprocess.Popen(
            ["exiftool", "-stay_open", "True", "-@", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        atexit.register(self.process.communicate, b"-stay_open\nFalse\n")

    def __call__(self, *words: object) -> bytes:
        """Run it once, and return its output."""
        self.calls += 1
        lines = [*map(str, words), "-echo3", f"{{call {self.calls} ended ${{status}}}}", "-execute"]
        assert not any("\n" in line for line in lines)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        before = self.errors.seek(0, os.SEEK_END)
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.process.stdin.flush()
        printed = b""
        ended = re.compile(rb"\{call %d ended (\d+)\}\n" % self.calls)
        while not (end := ended.search(printed)):
            piece = os.read(self.process.stdout.fileno(), 2**16)
            assert piece, "exiftool has ended"
            printed += piece
        self.errors.seek(before)
        assert end[1] == b"0", self.errors.read().decode(errors="replace")
        return printed[: end.start()].removeprefix(b"{ready}\n")


@cache
def _running_exiftool() -> ExifTool:
    return ExifTool()


def exiftool(*words: object) -> bytes:
    """Run exiftool and return its output."""
    require("exiftool")
    return _running_exiftool()(*words)


def tags(path: Path, *names: str) -> dict[str, Any]:
    """The tags that exiftool reads in a file, by group and name; numbers where they are numbers."""
    words = [f"-{name}" for name in names]
    listed: list[dict[str, Any]] = json.loads(exiftool("-j", "-G1", "-n", "-u", "-b", *words, path))
    return {name: value for name, value in listed[0].items() if name != "SourceFile"}


def set_tags(path: Path, *words: str) -> Path:
    """Write tags with exiftool: `-Orientation#=6`."""
    exiftool("-q", "-overwrite_original", "-m", *words, path)
    return path
