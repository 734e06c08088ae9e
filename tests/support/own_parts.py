"""A method and a network of the user's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

OWN = """
from pathlib import Path
from torch import nn
from unseen.methods.erm import ERM

(Path(__file__).parent / "was-imported").touch()

class Method(ERM):
    def __init__(self, strength: float = 1.0):
        self.strength = strength

    def gradient(self, objective, params, episode):
        found = super().gradient(objective, params, episode)
        return {name: self.strength * value for name, value in found.items()}

class Net(nn.Module):
    def __init__(self, width: int = 4):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, width - 1, padding=1)

    def forward(self, x):
        return self.layer(x)
"""


def own_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the folder of a module `own`, which can be imported, and leaves a mark there when it is."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "own.py").write_text(OWN)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    return folder
