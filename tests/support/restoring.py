"""Calls of `unseen restore` with a small network, and what is in the files: fixtures that two modules share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from support.commandline import TINY, CommandLine, CommandResult, photographs
from unseen.cli.main import main
from unseen.models.loading import load_model

SINGLE = ["--device", "cpu", "--threads", "1"]


@dataclass(frozen=True)
class Restore:
    """Calls `unseen restore` with the small network."""

    unseen: CommandLine
    model: Path

    def __call__(self, *words: object, code: int = 0) -> CommandResult:
        return self.unseen("restore", *words, "--model", self.model, *SINGLE, code=code)

    def refusal(self, *words: object) -> str:
        return self.unseen.refusal("restore", *words, "--model", self.model, *SINGLE)


@pytest.fixture(scope="module")
def restoring_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run: a small network, trained for a moment."""
    folder = tmp_path_factory.mktemp("model") / "run"
    photos = photographs(folder.parent / "photos", "a.png", "b.png", "c.png", size=(48, 48))
    assert main(["train", *TINY, "--method", "erm", "--data", str(photos), "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def restore(unseen: CommandLine, restoring_model: Path) -> Restore:
    """Calls with the small network."""
    return Restore(unseen, restoring_model)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Photographs of three formats and two sizes, in two folders."""
    folder = tmp_path / "photos"
    photographs(folder, "a.png", "b.png", "c.jpg")
    photographs(folder / "deep" / "er", "d.webp", "e.png", size=(30, 17))
    return folder


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.array(image).astype(np.uint8)


def by_hand(model: Path, path: Path) -> NDArray[np.uint8]:
    """What the model makes of a whole 8-bit RGB file, rounded."""
    image = torch.from_numpy(pixels(path).astype(np.float32) / 255).permute(2, 0, 1)[None]
    restored = load_model(str(model)).run(image).clamp(0, 1)[0].permute(1, 2, 0)
    whole: NDArray[np.uint8] = (255 * restored).round().byte().numpy()
    return whole
