"""Calls of `unseen` for the tests, in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from unseen.cli.main import main
from unseen.core.config import CONFIG, load_config
from unseen.models.checkpoint import CHECKPOINT

MACHINE = ["--device", "cpu", "--threads", "1"]
RECIPE: dict[str, Any] = {
    "backbone": "plain:features=4,depth=2",
    "budget": 16,
    "batch": 2,
    "patch": 16,
    "validations": 2,
}
TINY = [*MACHINE, *(word for name, value in RECIPE.items() for word in (f"--{name}", str(value)))]


@dataclass(frozen=True)
class CommandResult:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs `unseen` in this process."""

    def __init__(self, capture: pytest.CaptureFixture[str]):
        self.capture = capture

    def __call__(self, *words: object, code: int = 0) -> CommandResult:
        """Run a command that must end with the exit code `code`."""
        self.capture.readouterr()
        exit_code = main([str(word) for word in words])
        printed = self.capture.readouterr()
        assert exit_code == code, printed.err
        return CommandResult(exit_code, printed.out, printed.err)

    def refusal(self, *words: object) -> str:
        """Run a command that must be refused in one line, without output on stdout; returns the line."""
        result = self(*words, code=2)
        assert result.out == ""
        lines = result.err.splitlines()
        assert len(lines) == 1, result.err
        assert lines[0].startswith("unseen: ")
        assert "Traceback" not in result.err
        return lines[0].removeprefix("unseen: ")


def photographs(folder: Path, *names: str, size: tuple[int, int] = (24, 28)) -> Path:
    """Make a folder of small photographs that differ from each other; the same names give the same pixels."""
    folder.mkdir(parents=True)
    for i, name in enumerate(names):
        rows, columns, colour = np.mgrid[: size[0], : size[1], :3]
        pixels = 128 + 120 * np.sin(rows / (2 + i)) * np.cos(columns / 3 + colour)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return folder


def equal_weights(first: Path, second: Path) -> bool:
    """Whether the checkpoints of two runs hold the same weights, bit for bit."""
    weights, others = load_file(first / CHECKPOINT), load_file(second / CHECKPOINT)
    return weights.keys() == others.keys() and all(weights[key].equal(others[key]) for key in weights)


def saved_config(folder: Path) -> dict[str, Any]:
    """The configuration that a run or a study wrote into its folder."""
    return load_config(folder / CONFIG)


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Every line of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def leftovers(folder: Path) -> list[Path]:
    """Temporary files that were left behind in a folder or below it."""
    return [path for path in folder.rglob("*") if path.name.endswith(".tmp")]


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of each file in a folder or below it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
