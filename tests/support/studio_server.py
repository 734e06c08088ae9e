"""A studio in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE = 60  # s; machines that test are busy

SERVER = """
import signal, sys, time
import torch
from torch.nn import functional as F
from unseen.models.card import Card
from unseen.models.loading import Model
from unseen.models.receptive_field import ReceptiveField
from unseen.protocols.loading import load_protocol
from unseen.cli import restore
from unseen.cli.main import main
from unseen.models import loading

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests may run where it is ignored, and then it would be here
torch.set_num_threads(1)

def mean(images):
    return F.avg_pool2d(F.pad(images, (1, 1, 1, 1), "reflect" if min(images.shape[-2:]) > 1 else "replicate"), 3, 1)

def towards_mean(images, strength=None):
    restored = mean(images)
    return restored if strength is None else images + strength * (restored - images)

tiles = []

def slowly(images):
    tiles.append(images)
    time.sleep(0.1 if len(tiles) <= 2 else 60)  # what is shown at first, and a tile of the whole
    return F.interpolate(images, scale_factor=2)

config = {"backbone": "plain", "method": "erm", "protocol": "denoise", "seed": 0, "budget": 1}
card = Card("0", config, load_protocol("denoise").hash(), 1)
same = Model("same", lambda images: images.clone(), ReceptiveField(0))
models = {"mean": Model("mean", towards_mean, ReceptiveField(1), card, takes_strength=True), "<b>same</b>": same}
if "slow" in sys.argv:
    models = {"slow": Model("slow", slowly, ReceptiveField(0, 1, 2))}  # it enlarges: the first tab leaves it out
restore.located = lambda name: None
loading.load_model = lambda name, device: models[name]
sys.exit(main(["studio", "--no-browser", "--device", "cpu", "--threads", "1", "--models", *models]))
"""


@dataclass
class Server:
    """A studio in a process of its own, whose folder of temporary files is `folder`."""

    process: subprocess.Popen[str]
    url: str
    folder: Path

    @classmethod
    def start(cls, folder: Path, *words: str) -> Server:
        environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=(folder.parent / "errors").open("w"),
            text=True,
        )
        assert process.stdout is not None
        url = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert url is not None, (folder.parent / "errors").read_text()
        return cls(process, url[0], folder)

    @property
    def errors(self) -> str:
        return (self.folder.parent / "errors").read_text()

    def end(self, number: signal.Signals) -> float:
        """Ask it to end; how long that took, in seconds."""
        started = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(timeout=PATIENCE) == 0
        return time.monotonic() - started


def started(tmp_path_factory: pytest.TempPathFactory, *words: str) -> Server:
    folder = tmp_path_factory.mktemp("studio") / "tmp"
    folder.mkdir()
    return Server.start(folder, *words)
