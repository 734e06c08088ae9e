"""A studio in a process of its own, whose networks are ones whose result can be had elsewhere."""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from support.forked import Forked, wait_for
from unseen.cli.main import main
from unseen.models.card import Card
from unseen.models.loading import Model
from unseen.models.receptive_field import ReceptiveField
from unseen.protocols.loading import load_protocol

PATIENCE = 60  # s; machines that test are busy


def mean(images: Tensor) -> Tensor:
    """The mean of 3×3 pixels."""
    border = "reflect" if min(images.shape[-2:]) > 1 else "replicate"
    return F.avg_pool2d(F.pad(images, (1, 1, 1, 1), border), 3, 1)


def towards_mean(images: Tensor, strength: float | None = None) -> Tensor:
    restored = mean(images)
    return restored if strength is None else images + strength * (restored - images)


class Slow:
    """A network that enlarges, makes what is shown at first and one tile of the whole, and then works for minutes."""

    tiles = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.tiles += 1
        time.sleep(0.1 if self.tiles <= 2 else 60)
        return F.interpolate(images, scale_factor=2)


def studio(slow: bool = False) -> int:
    """Be `unseen studio`, with the networks of this module; returns the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests may run where it is ignored, and then it would be here
    torch.set_num_threads(1)
    config = {"backbone": "plain", "method": "erm", "protocol": "denoise", "seed": 0, "budget": 1}
    card = Card("0", config, load_protocol("denoise").hash(), 1)
    same = Model("same", lambda images: images.clone(), ReceptiveField(0))
    models = {"mean": Model("mean", towards_mean, ReceptiveField(1), card, takes_strength=True), "<b>same</b>": same}
    if slow:
        models = {"slow": Model("slow", Slow(), ReceptiveField(0, 1, 2))}  # the first tab leaves out what enlarges
    patch = pytest.MonkeyPatch()
    patch.setattr("unseen.cli.restore.located", Path)
    patch.setattr("unseen.models.loading.load_model", lambda name, device: models[name])
    return main(["studio", "--no-browser", "--device", "cpu", "--threads", "1", "--models", *models])


def new_interpreter(slow: bool) -> NoReturn:
    """Go on as an interpreter that has imported nothing yet."""
    code = f"import sys; from support.studio_server import studio; sys.exit(studio({slow}))"
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.execve(sys.executable, [sys.executable, "-c", code], {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path})


@dataclass
class Server:
    """A studio in a process of its own, whose folder of temporary files is `folder`."""

    process: Forked
    url: str
    folder: Path

    @classmethod
    def start(cls, folder: Path, slow: bool = False, fresh: bool = False) -> Server:
        """Start a copy of this process, or one that is `fresh`: gradio and PyTorch take eight seconds to import."""
        if not fresh:
            os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # as the studio sets it before it imports gradio
            importlib.import_module("unseen.studio.page")

        def body() -> int:
            os.environ["TMPDIR"] = str(folder)
            tempfile.tempdir = None  # what this process took for it
            return new_interpreter(slow) if fresh else studio(slow)

        process = Forked(folder.parent / f"log-{len(list(folder.parent.iterdir()))}", body)
        deadline = time.monotonic() + PATIENCE
        wait_for(process.out, process, PATIENCE)
        while (url := re.search(r"http://127\.0\.0\.1:\d+", process.out.read_text())) is None:
            assert time.monotonic() < deadline, process.err.read_text()
            time.sleep(0.02)
        return cls(process, url[0], folder)

    @property
    def errors(self) -> str:
        return self.process.err.read_text()

    def end(self, number: signal.Signals) -> float:
        """Ask it to end; how long that took, in seconds."""
        started = time.monotonic()
        self.process.kill(number)
        assert self.process.ended(PATIENCE).code == 0
        return time.monotonic() - started


def started(tmp_path_factory: pytest.TempPathFactory, slow: bool = False, fresh: bool = False) -> Server:
    folder = tmp_path_factory.mktemp("studio") / "tmp"
    folder.mkdir()
    return Server.start(folder, slow, fresh)
