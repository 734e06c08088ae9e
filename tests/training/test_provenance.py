"""The folder of a run is enough to repeat it; what changed since is refused or told of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.commandline import TINY, CommandLine, equal_weights, json_lines
from support.trainings import without_times

from unseen.core.version import __version__

PROTOCOL = """
name: mine
version: 1
about: Weak noise
seen: [gaussian_noise:5, gaussian_noise:10]
held_out: [gaussian_noise:20]
unseen: [gaussian_noise:40]
"""


@pytest.fixture
def run(unseen: CommandLine, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run under a protocol of the user's own, with photographs of the user's own."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(PROTOCOL)
    shutil.copytree(photos, "photos")
    unseen("train", *TINY, "--data", "photos", "--protocol", "mine.yaml", "--method", "dil_sf", "--out", "run")
    return tmp_path / "run"


def test_a_run_is_repeated_from_its_folder_alone(unseen: CommandLine, run: Path) -> None:
    Path("mine.yaml").unlink()
    kept = Path("kept")
    kept.mkdir()
    for name in ("config.yaml", "protocol.yaml", "provenance.json"):
        shutil.copy(run / name, kept)
    words = ["train", "--config", kept / "config.yaml", "--out", "again"]
    assert unseen.refusal(*words) == "protocol: mine.yaml: cannot be read: No such file or directory"
    assert unseen(*words, "--protocol", kept / "protocol.yaml").err == ""
    again = Path("again")
    assert equal_weights(run, again)
    assert without_times(json_lines(run / "log.jsonl")) == without_times(json_lines(again / "log.jsonl"))
    assert (run / "provenance.json").read_bytes() == (again / "provenance.json").read_bytes()


def test_what_changed_since_is_refused_or_told_of(unseen: CommandLine, photos: Path, run: Path) -> None:
    again = ["train", "--config", "run/config.yaml", "--out"]
    Path("mine.yaml").write_text(PROTOCOL.replace("10", "15"))
    refusal = unseen.refusal(*again, "one")
    assert refusal == (
        "protocol: mine.yaml has changed since run, which keeps what it was: give --protocol run/protocol.yaml"
    )
    Path("mine.yaml").write_text("# a remark\n" + PROTOCOL)
    pixels = np.random.default_rng(5).integers(0, 256, (24, 28, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photos/e.png")
    refusal = unseen.refusal(*again, "one")
    assert refusal.startswith("data: what is in photos has changed since run; ")
    assert not Path("one").exists()
    provenance = json.loads((run / "provenance.json").read_text())
    (run / "provenance.json").write_text(json.dumps(provenance | {"numpy": "1.0"}))
    (told,) = unseen(*again, "one", "--data", photos).err.splitlines()  # the same photographs, of another name
    assert told == f"run was trained with numpy 1.0, here it is {np.__version__}: last bits may differ"
    assert equal_weights(run, Path("one"))
    Path("elsewhere.yaml").write_bytes((run / "config.yaml").read_bytes())
    unseen("train", "--config", "elsewhere.yaml", "--out", "two")  # a recipe, and no run that is repeated
    assert not equal_weights(run, Path("two"))


def test_local_steps_of_another_number_of_processes_are_no_repetition(unseen: CommandLine, run: Path) -> None:
    config, provenance = run / "config.yaml", run / "provenance.json"
    config.write_text(config.read_text().replace("sync: exact", "sync: meta"))
    provenance.write_text(provenance.read_text().replace('"processes": "1"', '"processes": "8"'))
    refusal = unseen.refusal("train", "--config", config, "--out", run.parent / "again")
    assert refusal == f"sync: {run} was trained by 8 processes, each on its share; start as many, not 1"


def test_provenance_names_what_bits_depend_on(run: Path) -> None:
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["numpy"] == np.__version__
    assert f"torch {torch.__version__}, unseen {__version__}" in provenance["machine"]
    assert "cpu, 1 threads" in provenance["machine"]
    assert torch.backends.cpu.get_cpu_capability() in provenance["processor"]
    assert (run / "protocol.yaml").read_text() == PROTOCOL
