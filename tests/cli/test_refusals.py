"""What the command line refuses, in one line: words, files, folders, and names that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.commandline import TINY, CommandLine, photographs

from unseen.cli.main import COMMANDS
from unseen.cli.options import REQUIRED
from unseen.core.outputs import names_a_file
from unseen.core.wording import did_you_mean
from unseen.core.yaml12 import dump


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "give a command: demo, restore, "),
        ("trian", "(did you mean 'train'?)"),
        ("list", "give a kind; unseen list --help says more"),
        ("list method", "(did you mean 'methods'?)"),
        ("list methods erm dil_sf", "'dil_sf' is one word too many"),
        ("list methods eerm", "pattern: 'eerm' matches no name (did you mean 'erm'?)"),
        ("evaluate", "give a checkpoint; unseen evaluate --help says more"),
        ("train --budgt 5", "unknown option '--budgt' (did you mean '--budget'?)"),
        ("train --bud 5", "unknown option '--bud' (did you mean '--budget'?)"),
        ("train --budget", "--budget: expected one argument"),
        ("train --budget many", "budget: 'many' is no whole number of gradient evaluations, and no time such as 30min"),
        ("train --budget 1.5", "budget: '1.5' is no whole number of gradient evaluations"),
        ("train --budget 0", "budget: 0 is below 1"),
        ("train --validations 0", "validations: 0 is below 1"),
        ("train --lr fast", "lr: expected a number, got 'fast'"),
        ("train --enlarge maybe", "enlarge: expected true or false, got 'maybe'"),
        ("train --lr 0", "lr: 0 is not above 0"),
        ("train --lr nan", "lr: expected a number, got 'nan'"),
        ("train --schedule cosin", "'cosin' is none of cosine, constant, published (did you mean 'cosine'?)"),
        ("train --method.inner_lr 1", "settings go into the value"),
        ("train --method eerm", "method: 'eerm' is none of erm, "),
        ("train --method dil_sf:iner_lr=1", "no setting 'iner_lr' (did you mean 'inner_lr'?)"),
        ("train --method nowhere.at.All", "method: 'nowhere.at.All' cannot be imported"),
        ("train --method unseen.methods.Nothing", "method: 'unseen.methods.Nothing' cannot be imported"),
        ("train --backbone nowhere.Net", "backbone: 'nowhere.Net' cannot be imported"),
        ("train --protocol denoize", "(did you mean 'denoise'?)"),
        ("train --protocol nowhere.yaml", "protocol: nowhere.yaml: cannot be read"),
        ("train --device gpu", "device: 'gpu' is no device; give cpu, cuda"),
        ("train --threads -1", "threads: -1 is below 0"),
        ("train --threads 100000", "threads: 100000 is above 1024"),
        ("train --resume --overwrite", "give --resume or --overwrite, not both"),
        ("train --data=", "data: no folder given"),
        ("train --config nowhere.yaml", "nowhere.yaml: cannot be read: No such file"),
        ("train --config", "--config: expected one argument"),
        ("compare --seeds 0", "seeds: 0 is below 1"),
        ("compare --methods erm erm", "methods: 'erm' is listed twice"),
        ("compare --methods erm nosuch", "methods: 'nosuch' is none of "),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    words: str, line: str, unseen: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert line in unseen.refusal(*words.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"budgt": 5}, "unknown option 'budgt' (did you mean 'budget'?)"),
        ({"overwrite": True}, "unknown option 'overwrite'"),
        ({"budget": "many"}, "budget: 'many' is no whole number of gradient evaluations, and no time such as 30min"),
        ({"budget": 1.5}, "budget: expected a whole number or text, got 1.5"),
        ({"budget": True}, "budget: expected a whole number or text, got true"),
        ({"budget": None}, "budget: has no value"),
        ({"method": 5}, "method: expected text, got 5"),
        ({"loss": "l3"}, "loss: 'l3' is none of l1, l2, huber"),
        ({"data": "photos"}, "data: expected a list, such as [photos]"),
        ({"data": {"photos": 1}}, "data: expected a list"),
        ({"data": [1]}, "data element 1: expected text, got 1"),
        ({"train": {"budget": 5}}, "unknown option 'train'"),
        (["budget"], "not a configuration"),
        (None, "not a configuration"),
    ],
)
def test_files_are_refused_by_file_and_field(values: Any, line: str, unseen: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(dump(values))
    refusal = unseen.refusal("train", "--config", path, "--out", tmp_path / "run")
    assert refusal.startswith(f"{path}: ")
    assert line in refusal
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["budget: [", "just words", "\x00"])
def test_files_that_are_no_configuration(text: str, unseen: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    refusal = unseen.refusal("train", f"--config={path}")
    assert refusal.startswith(str(path))
    assert "not a configuration" in refusal


def test_out_under_a_file_is_refused_and_leaves_nothing(unseen: CommandLine, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    for out in (file, file / "deep" / "run", tmp_path / ("x" * 300)):
        for words in (["train", *TINY, "--data", photos], ["compare", *TINY, "--data", photos], ["demo"]):
            assert "cannot be written" in unseen.refusal(*words, "--out", out)
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "in the way"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("missing", "{}: no such folder"),
        ("empty", "{}: holds no photograph"),
        ("single", "data: {}: needs two photographs at least, one of them to validate on"),
        ("broken", "{}: none of 1 photographs can be read"),
    ],
)
def test_folders_that_cannot_be_trained_on(data: str, line: str, unseen: CommandLine, tmp_path: Path) -> None:
    folder, run = tmp_path / data, tmp_path / "run"
    if data != "missing":
        photographs(folder, *(["a.png"] if data == "single" else []))
    if data == "broken":
        (folder / "a.png").write_text("no picture")
    refusal = unseen.refusal("train", *TINY, "--data", folder, "--out", run)
    assert refusal.startswith(line.format(folder))
    assert not run.exists()


@pytest.mark.parametrize("command", [name for name, command in COMMANDS.items() if name != "train"])
def test_under_torchrun_all_but_train_is_refused_at_once_by_one_voice(
    command: str, unseen: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    required = [argument for argument in COMMANDS[command].arguments if argument.default is REQUIRED]
    words = [command, *("methods" if argument.key == "kind" else "word" for argument in required)]
    monkeypatch.setenv("RANK", "0")
    assert unseen.refusal(*words) == f"{command}: is for one process; torchrun shares the work of `unseen train` alone"
    monkeypatch.setenv("RANK", "1")
    assert unseen(*words, code=2).err == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("restore a.png b.png -o out.png", "out: out.png is the name of one file; several photographs need a folder"),
        ("restore photos -o out.jpg", "out: out.jpg is the name of one file; several photographs need a folder"),
        ("restore nothing.png -o out.png", "photo: nothing.png: no such file or folder"),
        ("restore a.png -o out.jp2", "out: out.jp2: no .jp2 can be written; give .png, .jpg, .tif, .webp, .bmp"),
        ("restore a.png -o out.heic", "out: out.heic: no .heic can be written"),
        ("restore a.png -o out.xyz", "out: out.xyz: no .xyz can be written"),
        ("restore a.png b.png -o out.jp2", "out: out.jp2 is the name of one file"),
        (
            "degrade photos --distortion jpeg:40 -o out.png",
            "out: out.png is the name of a file, and a folder for copies",
        ),
        ("evaluate run -o report.html", "out: report.html is the name of a file"),
        ("compare -o results.jsonl", "out: results.jsonl is the name of a file"),
        ("demo -o report.html", "out: report.html is the name of a file"),
        ("train -o checkpoint.safetensors", "out: checkpoint.safetensors is the name of a file"),
        ("export denoiser photos", "file: photos: is no name of an ONNX file, such as photos.onnx"),
        ("export denoiser net.pth", "file: net.pth: is no name of an ONNX file, such as net.onnx"),
    ],
)
def test_a_file_is_no_folder_and_a_folder_no_file(
    words: str, line: str, unseen: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path / "photos", "a.png")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes((tmp_path / "photos" / "a.png").read_bytes())
    before = sorted(tmp_path.iterdir())
    assert unseen.refusal(*words.split()).startswith(line)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["runs/lr-0.001", "v1.2", "holiday.2024", "clean", "out.png/"])
def test_a_folder_may_be_called_like_that(name: str) -> None:
    assert not names_a_file(name, any_suffix=True)


def test_a_folder_that_is_there_may_have_any_name(unseen: CommandLine, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out.png").mkdir()
    unseen("degrade", photos, "--distortion", "gaussian_noise:9", "-o", tmp_path / "out.png")
    unseen("degrade", photos, "--distortion", "gaussian_noise:9", "-o", f"{tmp_path / 'new.png'}/")
    assert (tmp_path / "out.png" / "a.png").exists()
    assert (tmp_path / "new.png" / "a.png").exists()


@pytest.mark.parametrize("words", ["train", "compare", "demo", "evaluate run", "degrade p --distortion jpeg:40"])
def test_seeds_are_not_negative(words: str, unseen: CommandLine) -> None:
    assert unseen.refusal(*words.split(), "--seed", "-1", "--out", "x") == "seed: -1 is below 0"


def test_hints_name_up_to_three_words_that_are_about_equally_near() -> None:
    assert did_you_mean("sed", ["seed", "seeds", "lr"]) == " (did you mean 'seed'?)"
    assert did_you_mean("dil_xx", ["dil_sf", "dil_ss", "dil_pf", "dil_ps", "erm"]).count("dil_") == 3
    assert did_you_mean("dil_xf", ["dil_sf", "dil_ss", "dil_pf"]) == " (did you mean 'dil_sf' or 'dil_pf'?)"
    assert did_you_mean("nothing", ["erm"]) == ""
    assert did_you_mean("x" * 10**7, ["erm"]) == ""


def test_too_little_memory_is_echoed_as_it_was_given(unseen: CommandLine, photos: Path, tmp_path: Path) -> None:
    refusal = unseen.refusal("restore", photos, "-o", tmp_path / "out", "--memory", "1KiB", "--device", "cpu")
    assert refusal.startswith("memory: 1KiB is too little")
