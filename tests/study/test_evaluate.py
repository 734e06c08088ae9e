"""`unseen evaluate` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.commandline import TINY, CommandLine, json_lines, leftovers, photographs
from support.own_parts import own_parts

from unseen.cli.main import main
from unseen.models.checkpoint import CHECKPOINT
from unseen.protocols.loading import load_protocol

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("empty_page")]  # every test trains networks

FIELDS = [
    "run", "protocol", "protocol_hash", "data", "convention", "method", "backbone", "seed", "budget", "select", "tuned",
    "split", "distortion", "degree", "dataset", "image", "psnr", "ssim", "input_psnr", "input_ssim", "invariance",
]  # fmt: skip
SPLITS = {5: "seen", 10: "seen", 15: "seen", 20: "seen", 25: "held-out", 30: "unseen", 40: "unseen", 50: "unseen"}


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that no test changes."""
    out = tmp_path_factory.mktemp("runs") / "a-run"
    assert main(["train", *TINY, "--data", str(photos), "--seed", "2", "--out", str(out)]) == 0
    return out


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a module `own` that leaves a mark there when it is imported."""
    return own_parts(tmp_path, monkeypatch)


def evaluate(unseen: CommandLine, checkpoint: Path, out: Path, *words: object, code: int = 0) -> list[dict[str, Any]]:
    unseen("evaluate", checkpoint, "--threads", "1", "--out", out, *words, code=code)
    return json_lines(out / "results.jsonl")


@pytest.mark.usefixtures("whole_page")
def test_evaluate_gives_a_row_for_each_image_and_level(
    unseen: CommandLine, run: Path, tests: Path, tmp_path: Path
) -> None:
    rows = evaluate(unseen, run, tmp_path / "out", "--test", f"q={tests}")
    assert {tuple(row) for row in rows} == {tuple(FIELDS)}
    assert {(row["image"], row["degree"]): row["split"] for row in rows} == {
        (image, degree): split for image in ("e.png", "f.png") for degree, split in SPLITS.items()
    }
    assert len(rows) == 2 * len(SPLITS)
    denoise = load_protocol("denoise")
    constant = ["run", "protocol", "protocol_hash", "convention", "method", "seed", "budget", "distortion", "dataset"]
    assert {tuple(row[name] for name in constant) for row in rows} == {
        (
            "a-run",
            "denoise",
            denoise.hash(),
            denoise.convention.hash(),
            "dil_sf",
            2,
            "16 gradient evaluations",
            "gaussian_noise",
            "q",
        )
    }
    inputs = [row["input_psnr"] for row in rows if row["image"] == "e.png"]
    assert inputs == sorted(inputs, reverse=True)  # stronger noise, worse input
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.jsonl", "report.html"}
    assert leftovers(tmp_path) == []


def test_evaluate_twice_and_by_folder_or_file_gives_equal_numbers(
    unseen: CommandLine, run: Path, tests: Path, tmp_path: Path
) -> None:
    first = evaluate(unseen, run, tmp_path / "first", "--test", f"q={tests}")
    assert evaluate(unseen, run, tmp_path / "second", "--test", f"q={tests}") == first
    assert evaluate(unseen, run / CHECKPOINT, tmp_path / "third", "--test", f"q={tests}") == first
    other = evaluate(unseen, run, tmp_path / "fourth", "--test", f"q={tests}", "--seed", "1")
    assert [row["psnr"] for row in other] != [row["psnr"] for row in first]


def test_evaluate_on_two_sets(unseen: CommandLine, run: Path, tests: Path, tmp_path: Path) -> None:
    rows = evaluate(
        unseen, run, tmp_path / "out", "--test", f"one={tests}", "embedded", "--images", "2", "--crop", "20"
    )
    assert len({(row["dataset"], row["image"]) for row in rows}) == 2 + 2
    assert {row["dataset"] for row in rows} == {"one", "embedded"}
    again = tmp_path / "again"
    refusal = unseen.refusal("evaluate", run, "--test", f"one={tests}", f"one={tests}", "--out", again)
    assert refusal.startswith("test: two sets have one name (one, one)")
    assert not again.exists()


def test_a_broken_test_image_is_named_and_the_others_are_tested(
    unseen: CommandLine, run: Path, tests: Path, tmp_path: Path
) -> None:
    whole = evaluate(unseen, run, tmp_path / "whole", "--test", f"q={tests}")
    mixed = photographs(tmp_path / "mixed", "e.png", "f.png", size=(20, 22))
    (mixed / "broken.png").write_text("no picture")
    out = tmp_path / "out"
    told = unseen("evaluate", run, "--threads", "1", "--test", f"q={mixed}", "--out", out, code=1)
    assert "not tested: q/broken.png: " in told.err
    assert json_lines(out / "results.jsonl") == whole


@pytest.mark.parametrize("damage", ["missing", "text", "foreign", "cut", "state", "empty", "folder", "card", "misfit"])
def test_what_is_no_checkpoint_is_refused_by_name(damage: str, unseen: CommandLine, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    whole, weights = (run / CHECKPOINT).read_bytes(), load_file(run / CHECKPOINT)
    with safe_open(run / CHECKPOINT, framework="pt") as file:
        card = json.loads(file.metadata()["unseen"])
    if damage == "card":
        card["config"].pop("method")
    card["config"]["backbone"] = "plain:features=5,depth=2" if damage == "misfit" else card["config"]["backbone"]
    content = {
        "text": b"no weights",
        "cut": whole[:-100],
        "empty": b"",
        "state": (run / "resume.safetensors").read_bytes(),
    }
    if damage in content:
        path.write_bytes(content[damage])
    elif damage == "folder":
        path.mkdir()
    elif damage != "missing":
        save_file(weights, path, metadata={} if damage == "foreign" else {"unseen": json.dumps(card)})
    refusal = unseen.refusal("evaluate", path, "--out", tmp_path / "out")
    assert refusal.startswith(f"{path}")
    assert not (tmp_path / "out").exists()


def test_a_page_of_another_command_stays(unseen: CommandLine, run: Path, tests: Path, tmp_path: Path) -> None:
    page = tmp_path / "out" / "report.html"
    page.parent.mkdir()
    page.write_text("of restore")
    assert "or another page" in unseen.refusal("evaluate", run, "--test", f"q={tests}", "--out", page.parent)
    (page.parent / "results.jsonl").touch()
    refusal = unseen.refusal("restore", tests, "--model", "erm", "--report", "-o", page.parent)
    assert refusal.startswith(f"report: {page} is the page of results.jsonl")
    assert page.read_text() == "of restore"


def test_an_evaluation_is_not_replaced_unasked(unseen: CommandLine, run: Path, tests: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = evaluate(unseen, run, out, "--test", f"q={tests}")
    assert "holds an evaluation" in unseen.refusal("evaluate", run, "--test", f"other={tests}", "--out", out)
    assert json_lines(out / "results.jsonl") == first
    rows = evaluate(unseen, run, out, "--test", f"other={tests}", "--overwrite")
    assert {row["dataset"] for row in rows} == {"other"}
    assert "cannot be written" in unseen.refusal("evaluate", run, "--out", out / "results.jsonl" / "deeper")


def test_code_that_a_checkpoint_names_runs_only_once_confirmed(
    own: Path, unseen: CommandLine, photos: Path, tests: Path, tmp_path: Path
) -> None:
    run, mark = tmp_path / "run", own / "was-imported"
    unseen("train", *TINY, "--backbone", "own.Net:width=4", "--data", photos, "--out", run)
    mark.unlink()
    del sys.modules["own"]
    words = ["evaluate", run, "--threads", "1", "--test", f"q={tests}", "--out", tmp_path / "out"]
    for confirmation in ([], ["--trust", "owner"], ["--trust", "own.Ne"], ["--method", "own.Method"]):
        refusal = unseen.refusal(*words, *confirmation)
        assert refusal.startswith(f"{run / CHECKPOINT}: backbone: 'own.Net' is code from outside of unseen")
        assert "add --trust own." in refusal
        assert not mark.exists()
    for another in ("own.Net", "plain"):
        assert "'own.Net:width=4' was trained, and not" in unseen.refusal(*words, "--backbone", another)
    unseen(*words, "--backbone", "own.Net:width=4")
    assert mark.exists()
