"""The command line up to a finished run: help, lists, configuration files, training, photographs."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.commandline import (
    RECIPE,
    TINY,
    CommandLine,
    equal_weights,
    json_lines,
    leftovers,
    photographs,
    saved_config,
)

from unseen import __version__
from unseen.cli.listing import Kind
from unseen.cli.main import COMMANDS, main, parse, program, spelling
from unseen.core.yaml12 import dump
from unseen.distortions import DISTORTIONS
from unseen.methods import METHODS
from unseen.models.backbones import BACKBONES
from unseen.protocols.files import protocol_names
from unseen.protocols.loading import load_protocol
from unseen.training.config import TrainConfig

HELP = """
import sys, time
from unseen.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0
assert not {"torch", "pydantic", "ruamel.yaml"} & set(sys.modules)
print("seconds", time.process_time())
"""


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_answers_at_once_without_slow_imports(command: str) -> None:
    words = [command, "--help"] if command else ["--help"]
    answer = subprocess.run([sys.executable, "-c", HELP, *words], capture_output=True, text=True, check=True)
    text, _, seconds = answer.stdout.rpartition("seconds")
    assert float(seconds) < 1  # of the processor: a busy machine is not our fault
    config = COMMANDS[command].config if command else None
    kinds = {"": tuple(COMMANDS), "list": get_args(Kind)}.get(command, ())
    expected = [f"--{field.name} " for field in fields(config)] if config else kinds
    assert [word for word in expected if word not in text] == []
    assert not re.search(r"Literal|type: |null|\['|default: \)", text)  # words for people alone


def test_the_installed_command_is_this_one() -> None:
    (script,) = entry_points(group="console_scripts", name="unseen")
    assert script.load() is program


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"unseen {__version__}\n"


@pytest.mark.parametrize(
    ("kind", "names"),
    [("methods", METHODS), ("distortions", DISTORTIONS), ("backbones", BACKBONES), ("protocols", protocol_names())],
)
def test_list_tells_of_each_known_name_what_it_is(kind: str, names: list[str], unseen: CommandLine) -> None:
    lines = unseen("list", kind).out.splitlines()
    for name in names:
        (place,) = [i for i, line in enumerate(lines) if re.split("[:\\s]", line)[0] == name]
        assert re.match(r"    \S", lines[place + 1])
    assert not [line for line in lines if line != line.rstrip()]


def test_list_shows_the_names_that_match_a_pattern(unseen: CommandLine) -> None:
    lines = unseen("list", "methods", "dil_s?").out.splitlines()
    assert [re.split("[:\\s]", line)[0] for line in lines if not line.startswith(" ")] == ["dil_sf", "dil_ss"]
    assert unseen("list", "protocols", "*sr*").out.splitlines()[0] == "real-sr-d1"


@pytest.mark.parametrize("protocol", protocol_names())
def test_describe_tells_all_of_a_protocol(protocol: str, unseen: CommandLine) -> None:
    said = " ".join(unseen("describe", protocol).out.split())
    told = load_protocol(protocol)
    for words in (protocol, told.hash(), told.about, *told.notes, *(table.source for table in told.reported)):
        assert " ".join(words.split()) in said
    for level, confounder in told.levels():
        assert f"{level.split} {confounder.name}" in said
    assert all(f"--test {name}=" in said for name in told.tests)
    assert [f"--pairs {c.degree}=" in said for c in told.seen] == [c.kind == "pairs" for c in told.seen]


def test_check_data_ends_with_one_where_something_is_wrong(unseen: CommandLine, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "set5", "baby.png", "bird.png")
    told = unseen("check-data", f"set5={folder}", code=1)
    assert "butterfly" in told.out
    assert unseen.refusal("check-data", "sett5=nowhere").startswith("check-data: 'sett5' is none of ")
    assert unseen.refusal("check-data", "set5=nowhere").startswith("nowhere: no such folder")


def test_check_data_ends_with_zero_where_all_is_there(unseen: CommandLine, real_images: Path) -> None:
    test = real_images / "test"
    said = unseen("check-data", f"set5={test / 'set5'}", f"cc15={test / 'cc15/noisy'}:{test / 'cc15/clean'}").out
    assert [line.split(":")[0] for line in said.splitlines()] == ["set5", "cc15"]


def test_hyphens_are_understood_and_values_left_alone() -> None:
    assert spelling("--inner-lr=a-b") == "--inner_lr=a-b"
    assert spelling("--inner-lr") == "--inner_lr"
    assert spelling("a-b") == "a-b"


@pytest.mark.slow
def test_options_and_a_file_under_the_same_names_are_one_run(unseen: CommandLine, photos: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        dump({**RECIPE, "device": "cpu", "threads": 1, "data": [str(photos)], "method": "erm", "seed": 3})
    )
    unseen("train", *TINY, "--data", photos, "--method", "erm", "--seed", "3", "--out", tmp_path / "options")
    unseen("train", "--config", recipe, "--out", tmp_path / "file")
    # An option wins, on whichever side of the file it stands.
    unseen("train", "--seed", "4", "--config", recipe, "--out", tmp_path / "before")
    unseen("train", "--config", recipe, "--seed", "4", "--out", tmp_path / "after")
    assert equal_weights(tmp_path / "options", tmp_path / "file")
    assert equal_weights(tmp_path / "before", tmp_path / "after")
    assert not equal_weights(tmp_path / "file", tmp_path / "after")
    assert saved_config(tmp_path / "before")["seed"] == 4


def test_the_resolved_configuration_is_saved_and_repeats_the_run(
    unseen: CommandLine, photos: Path, tmp_path: Path
) -> None:
    unseen("train", *TINY, "--device", "auto", "--data", photos, "--out", tmp_path / "first")
    saved = saved_config(tmp_path / "first")
    assert saved["device"] in ("cpu", "cuda", "mps")
    assert saved.keys() == {field.name for field in fields(TrainConfig)}
    assert TrainConfig(device="cpu").resolved().threads >= 1
    unseen("train", "--config", tmp_path / "first" / "config.yaml", "--out", tmp_path / "second")
    assert equal_weights(tmp_path / "first", tmp_path / "second")
    assert saved_config(tmp_path / "second") == {**saved, "out": str(tmp_path / "second")}


def test_a_finished_run_is_neither_replaced_nor_extended_unasked(
    unseen: CommandLine, photos: Path, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    words = ["train", *TINY, "--data", photos, "--out", run]
    unseen(*words)
    before = (run / "checkpoint.safetensors").read_bytes()
    assert "holds a run; give --resume, --overwrite" in unseen.refusal(*words, "--seed", "1")
    assert (run / "checkpoint.safetensors").read_bytes() == before
    unseen(*words, "--seed", "1", "--overwrite")
    unseen(*words, "--seed", "1", "--out", other)
    assert equal_weights(run, other)
    assert saved_config(run)["seed"] == 1
    assert [line["step"] for line in json_lines(run / "log.jsonl")] == [2, 4]


def test_broken_photographs_are_named_and_the_others_trained_on(unseen: CommandLine, tmp_path: Path) -> None:
    good = photographs(tmp_path / "good", "a.png", "b.png", "c.png")
    mixed = photographs(tmp_path / "mixed", "a.png", "b.png", "c.png", "cut.jpg")
    whole = (mixed / "cut.jpg").read_bytes()
    (mixed / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (mixed / "text.png").write_text("no picture")
    assert unseen("train", *TINY, "--data", good, "--out", tmp_path / "one").err == ""
    said = unseen("train", *TINY, "--data", mixed, "--out", tmp_path / "two").err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["skipped cut.jpg", "skipped text.png"]
    assert equal_weights(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize("kind", ["gray", "rgba", "16-bit", "small", "one-pixel"])
def test_photographs_of_every_kind_train(kind: str, unseen: CommandLine, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "photos", *(f"{i}.png" for i in range(3)))
    ramp = np.arange(24 * 24).reshape(24, 24)
    specials: dict[str, NDArray[Any]] = {
        "gray": ramp.astype(np.uint8),
        "rgba": np.stack([ramp, ramp, ramp, ramp // 3], -1).astype(np.uint8),
        "16-bit": (ramp * 113).astype(np.uint16),
        "small": np.stack([ramp[:5, :9]] * 3, -1).astype(np.uint8),
        "one-pixel": np.full((1, 1, 3), 90, dtype=np.uint8),
    }
    for i in range(3):  # all of them, so that one is sure to be trained on and one to be validated on
        step = 257 if kind == "16-bit" else 1  # one level of eight bits, so that no two of them are the same
        Image.fromarray(specials[kind] + specials[kind].dtype.type(i * step)).save(folder / f"{i}.png")
    run = tmp_path / "run"
    mirrored = "patch: 16 is larger than 2 of 2 training photographs" if kind in ("small", "one-pixel") else ""
    assert unseen("train", *TINY, "--data", folder, "--out", run).err.partition(",")[0].strip() == mirrored
    assert all(np.isfinite(line["loss"]) and line["seen_psnr"] > 10 for line in json_lines(run / "log.jsonl"))


def test_the_embedded_photographs_train(unseen: CommandLine, tmp_path: Path) -> None:
    told = unseen("train", *TINY, "--data", "embedded", "--method", "erm", "--out", tmp_path / "run")
    assert "16 gradient evaluations (budget: 16 gradient evaluations), 16 steps" in told.out
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "checkpoint.safetensors",
        "config.yaml",
        "log.jsonl",
        "protocol.yaml",
        "provenance.json",
        "resume.safetensors",
        "train.log",
    }
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "gap"),
    [("", False), ("--gap", True), ("--gap true", True), ("--gap false", False), ("--gap=false", False)],
)
def test_a_truth_value_may_stand_alone(words: str, gap: bool) -> None:
    for placed in (f"compare {words} --seeds 2", f"compare --seeds 2 {words}"):
        assert parse(placed.split())[1].gap is gap
    assert parse(["evaluate", "--card", "runs/mine", "--crop", "8"])[1].card is True
