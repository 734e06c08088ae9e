"""The command line as the tests call it: in this process, or in one of its own where signals are the matter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file

from unseen.cli.main import main
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

# ERM that waits, in a process that has PAUSE set, at its tenth of 16 steps: between the two validations.
PAUSING = """
import os, time
from pathlib import Path
from unseen.methods import ERM

class Pausing(ERM):
    steps = 0

    def gradient(self, objective, params, episode):
        self.steps += 1
        if self.steps == 10 and "PAUSE" in os.environ:
            marker = Path(os.environ["PAUSE"])
            marker.touch()
            while marker.exists():
                time.sleep(0.01)
        return super().gradient(objective, params, episode)
"""


@dataclass(frozen=True)
class Told:
    """What a command answered."""

    code: int
    out: str
    err: str


class CommandLine:
    """Calls `unseen` in this process."""

    def __init__(self, capture: pytest.CaptureFixture[str]):
        self.capture = capture

    def __call__(self, *words: object, code: int = 0) -> Told:
        """Run a command that must end with `code`."""
        self.capture.readouterr()
        found = main([str(word) for word in words])
        said = self.capture.readouterr()
        assert found == code, said.err
        return Told(found, said.out, said.err)

    def refusal(self, *words: object) -> str:
        """Run a command that must be refused in one line and without a word on stdout; returns the line."""
        told = self(*words, code=2)
        assert told.out == ""
        lines = told.err.splitlines()
        assert len(lines) == 1, told.err
        assert lines[0].startswith("unseen: ")
        assert "Traceback" not in told.err
        return lines[0].removeprefix("unseen: ")


class Paused:
    """`unseen` in a process of its own that waits at a known step of `pausing.Pausing`."""

    def __init__(self, folder: Path, *words: object):
        self.marker = folder / "paused"
        (folder / "pausing.py").write_text(PAUSING)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PAUSE": str(self.marker)}
        script = "import sys; from unseen.cli.main import main; sys.exit(main())"
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, words)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while not self.marker.exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self, number: signal.Signals) -> Told:
        """Ask once, then let it run on; what it left behind is then the answer to that alone."""
        self.process.send_signal(number)
        self.marker.unlink()
        return self._end()

    def insist(self) -> Told:
        """Ask twice while the step in hand goes on: by two signals, as two of a kind may arrive as one."""
        self.process.send_signal(signal.SIGINT)
        self.process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> Told:
        out, err = self.process.communicate(timeout=120)
        return Told(self.process.returncode, out, err)


def photographs(folder: Path, *names: str, size: tuple[int, int] = (24, 28)) -> Path:
    """A folder of small photographs that differ from each other, and are the same in every test."""
    folder.mkdir(parents=True)
    for i, name in enumerate(names):
        rows, columns, colour = np.mgrid[: size[0], : size[1], :3]
        pixels = 128 + 120 * np.sin(rows / (2 + i)) * np.cos(columns / 3 + colour)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return folder


def equal_weights(first: Path, second: Path) -> bool:
    """Whether two runs ended with the same bits."""
    one, other = load_file(first / CHECKPOINT), load_file(second / CHECKPOINT)
    return one.keys() == other.keys() and all(one[key].equal(other[key]) for key in one)


def saved_config(folder: Path) -> dict[str, Any]:
    """The configuration that a run or a study left in its folder."""
    values: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
    return values


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Every line of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def leftovers(folder: Path) -> list[Path]:
    """Temporary files that something left behind."""
    return [path for path in folder.rglob("*") if path.name.endswith(".tmp")]
