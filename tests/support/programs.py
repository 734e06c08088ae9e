"""Other people's programs, which make image files for the tests and say what is in ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
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


def program(name: str, *words: object, stdin: bytes = b"") -> bytes:
    """Run it and return what it says; a program that is missing skips the test, or fails it where CI is set."""
    if shutil.which(name) is None:
        missing = f"{name} is missing: apt-get install {PACKAGES[name]}"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    told = subprocess.run([name, *map(str, words)], input=stdin, capture_output=True, timeout=60)
    assert told.returncode == 0, told.stderr.decode(errors="replace")
    return told.stdout


def magick(*words: object) -> bytes:
    """ImageMagick 6, by the name that is nobody else's."""
    return program("convert-im6.q16", *words)


def tags(path: Path, *names: str) -> dict[str, Any]:
    """What exiftool finds in a file, by group and name, as numbers where they are."""
    words = [f"-{name}" for name in names]
    told: list[dict[str, Any]] = json.loads(program("exiftool", "-j", "-G1", "-n", "-u", "-b", *words, path))
    return {name: value for name, value in told[0].items() if name != "SourceFile"}


def set_tags(path: Path, *words: str) -> Path:
    """Write tags with exiftool: `-Orientation#=6`."""
    program("exiftool", "-q", "-overwrite_original", "-m", *words, path)
    return path
