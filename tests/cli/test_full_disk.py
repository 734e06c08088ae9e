"""A full disk, a limit on the size of files, a folder that cannot be written: one line, and what was there is whole."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commandline import MACHINE, TINY, CommandLine, leftovers
from support.limits import file_size_limit

from unseen.cli.main import main
from unseen.models.checkpoint import CHECKPOINT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("empty_page")]

COMMANDS = ["train", "compare", "evaluate", "evaluate --card", "degrade", "degrade --grid", "restore", "export"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True).returncode:
        pytest.skip("only an administrator makes a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training, to be copied."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", *TINY, "--data", str(photos), "--out", str(run)]) == 0
    return run


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a photograph that no format makes small."""
    folder = tmp_path_factory.mktemp("noise")
    pixels = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "noise.png")
    return folder


def fill(disk: Path) -> None:
    """Leave no room on a disk."""
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        while filler.write(b"\0" * 1024):
            pass


MESSAGES = {
    "disk": "No space left on device",
    "file size": "File too large",
    "read-only": "Read-only file system",
}


@pytest.mark.parametrize("limit", MESSAGES)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_written_costs_a_line_and_nothing_that_was_there(
    command: str,
    limit: str,
    unseen: CommandLine,
    photos: Path,
    tests: Path,
    noise: Path,
    trained: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    place: Path = tmp_path if limit == "file size" else request.getfixturevalue("small_disk")
    run, out = place / "run", place / "out"
    train = ["train", *TINY, "--data", photos, "--out", run]
    shutil.copytree(trained, run)
    words = {
        "train": [*train, "--overwrite"],
        "compare": ["compare", *TINY, "--data", photos, "--test", f"q={tests}", "--methods", "erm", "--out", out],
        "evaluate": ["evaluate", run, *MACHINE, "--test", f"q={tests}", "--out", out],
        "evaluate --card": ["evaluate", run, *MACHINE, "--test", f"q={tests}", "--card", "true", "--out", out],
        "degrade": ["degrade", noise, "--distortion", "gaussian_noise:20", "--out", out],
        "degrade --grid": ["degrade", noise, "--grid", "--distortion", "gaussian_noise:20", "--out", out],
        "restore": ["restore", noise, "--model", run, *MACHINE, "-o", out],
        "export": ["export", run, out / "model.onnx"],
    }[command]
    out.mkdir()
    (out / "precious").write_bytes(b"precious")
    weights = (run / CHECKPOINT).read_bytes()
    if limit == "disk":
        fill(place)
    if limit == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    with file_size_limit(512) if limit == "file size" else nullcontext():
        result = unseen(*words, code=2)
    (line,) = [line for line in result.err.splitlines() if "cannot be written" in line]
    assert MESSAGES[limit] in line
    assert "Traceback" not in result.err
    assert leftovers(place) == []
    assert (out / "precious").read_bytes() == b"precious"
    if command != "train":  # with --overwrite
        assert (run / CHECKPOINT).read_bytes() == weights
