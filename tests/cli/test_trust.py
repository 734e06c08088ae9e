"""Trust: whatever names code, and whichever file says so, nothing of it is imported or called on the file's word."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from safetensors.torch import save_file
from support.commandline import MACHINE, TINY, CommandLine, json_lines, saved_config
from torch import nn

import unseen as package
from unseen.cli.main import main
from unseen.core.config import CONFIG
from unseen.core.errors import UserError
from unseen.core.registry import build, resolve
from unseen.core.trust import trusting
from unseen.core.yaml12 import dump
from unseen.distortions import DISTORTIONS
from unseen.methods import METHODS, Method
from unseen.models.backbones import BACKBONES, PlainCNN
from unseen.models.checkpoint import CHECKPOINT, read_card, save_checkpoint
from unseen.protocols.loading import load_protocol

pytestmark = pytest.mark.usefixtures("empty_page")

CANARY = """
from dataclasses import dataclass
from pathlib import Path
from torch import nn
from unseen.distortions import JPEG
from unseen.methods.erm import ERM

(Path(__file__).parent / "IMPORTED").touch()

class Method(ERM):
    pass

class Distortion(JPEG):
    pass

class Net(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 3, 1)

def function(path="CALLED"):
    Path(path).touch()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, as it may have been downloaded: it has a module `canary` that tells when it is imported."""
    (tmp_path / "canary.py").write_text(CANARY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    yield tmp_path
    sys.modules.pop("canary", None)


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that no test changes."""
    out = tmp_path_factory.mktemp("runs") / "a-run"
    assert main(["train", *TINY, "--data", str(photos), "--out", str(out)]) == 0
    return out


def protocol_file(folder: Path, *seen: str, held_out: str = "jpeg:30", unseen: str = "jpeg:20") -> Path:
    path = folder / "protocol.yaml"
    levels = {"seen": list(seen or ["jpeg:50"]), "held_out": [held_out], "unseen": [unseen]}
    path.write_text(dump({"name": "p", "version": 1, "about": "x", **levels}))
    return path


def refused_untouched(unseen: CommandLine, here: Path, *words: object) -> str:
    """Run a command that must be refused with a hint at --trust, and must have run nothing of what its file names."""
    line = unseen.refusal(*words)
    assert not {"IMPORTED", "CALLED"} & {path.name for path in here.iterdir()}, line
    assert re.search(r"is code from outside of unseen, and not imported on a file's word; .* add --trust [\w.]+ ", line)
    return line


ATTACKS = [
    "canary.{kind}",
    "canary.function:CALLED",
    "os.mkdir:CALLED",
    "pathlib.Path.touch",
    "builtins.open:CALLED,mode=w",
    "protocol.yaml",  # a file's own name is no consent to import what is called so
]
"""Specs of code outside of unseen, which would leave a file in the working folder if it were imported or called."""


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("place", ["seen", "held_out", "unseen", "composed"])
def test_a_protocol_imports_nothing(attack: str, place: str, here: Path, unseen: CommandLine) -> None:
    spec = attack.format(kind="Distortion")
    path = protocol_file(here, f"jpeg:50 > {spec}") if place == "composed" else None
    path = path or (protocol_file(here, spec) if place == "seen" else protocol_file(here, **{place: spec}))
    line = refused_untouched(unseen, here, "describe", "protocol.yaml")
    assert re.match(r"protocol\.yaml, line \d+: (seen|held_out|unseen)\[0\]: '", line), line


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--out", "run"],
        ["compare", "--out", "study"],
        ["degrade", "photos", "--grid", "--out", "grids"],
    ],
    ids=lambda words: words[0],
)
def test_no_command_imports_what_a_protocol_names(words: list[str], here: Path, unseen: CommandLine) -> None:
    (here / "photos").mkdir()
    protocol_file(here, "canary.Distortion:50")
    refused_untouched(unseen, here, *words, "--protocol", "protocol.yaml", *MACHINE)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    ("words", "field", "kind"),
    [
        (["train"], "method", "Method"),
        (["train"], "backbone", "Net"),
        (["compare"], "methods", "Method"),
        (["compare"], "backbone", "Net"),
        (["evaluate", "RUN"], "backbone", "Net"),
        (["evaluate", "RUN"], "method", "Method"),
        (["restore", "photo.png", "--out", "out"], "backbone", "Net"),
        (["degrade", "photos", "--out", "out"], "distortion", "Distortion"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_configuration_imports_nothing(
    words: list[str], field: str, kind: str, attack: str, here: Path, run: Path, unseen: CommandLine
) -> None:
    spec = attack.format(kind=kind)
    listed = field in ("methods", "distortion")
    (here / "a.yaml").write_text(dump({field: [spec] if listed else spec}))
    words = [str(run) if word == "RUN" else word for word in words]
    line = refused_untouched(unseen, here, *words, "--config", "a.yaml")
    assert line.startswith(f"a.yaml: {field}: '")


def test_a_backbone_beside_a_method_in_a_configuration_is_seen_too(here: Path, unseen: CommandLine) -> None:
    (here / "a.yaml").write_text(dump({"methods": ["erm @ canary.Net"]}))
    refused_untouched(unseen, here, "compare", "--config", "a.yaml")


def test_trust_is_no_field_of_a_file(here: Path, unseen: CommandLine) -> None:
    (here / "a.yaml").write_text("trust: [canary]\nmethod: canary.Method\n")
    assert "unknown option 'trust'" in unseen.refusal("train", "--config", "a.yaml")
    unseen("train", *TINY, "--method", "canary.Method", "--trust", "canary", "--out", "run")
    assert "trust" not in saved_config(here / "run")


@pytest.mark.parametrize(("field", "kind"), [("method", "Method"), ("backbone", "Net")])
def test_the_folder_of_a_run_imports_nothing(field: str, kind: str, here: Path, run: Path, unseen: CommandLine) -> None:
    mine = here / "mine"
    mine.mkdir()
    for file in run.iterdir():
        (mine / file.name).write_bytes(file.read_bytes())
    (mine / CONFIG).write_text(json.dumps(saved_config(run) | {field: f"canary.{kind}"}))
    line = refused_untouched(unseen, here, "train", "--resume", "--out", "mine")
    assert line.startswith(f"mine/{CONFIG}: {field}: 'canary.{kind}' ")


def test_what_was_trained_with_code_of_one_s_own_goes_on_once_it_is_trusted(
    here: Path, photos: Path, tests: Path, unseen: CommandLine
) -> None:
    protocol_file(here, "canary.Distortion:50")
    own = ["--method", "canary.Method", "--backbone", "canary.Net", "--protocol", "protocol.yaml"]
    recipe = [word for word in TINY if word != "plain:features=4,depth=2" and word != "--backbone"]
    assert "protocol.yaml, line" in unseen.refusal("train", *recipe, *own, "--data", photos, "--out", "run")
    unseen("train", *recipe, *own, "--trust", "canary.Distortion", "--data", photos, "--out", "run")
    evaluate = ["evaluate", "run", *MACHINE, "--protocol", "protocol.yaml", "--test", f"q={tests}", "--out", "out"]
    for words in (["train", "--resume", "--out", "run"], evaluate):
        assert "add --trust canary." in unseen.refusal(*words)
        said = unseen(*words, "--trust", "canary").out
        assert "was not checked" not in said


def copy_of(run: Path, folder: Path, backbone: str) -> Path:
    """A checkpoint whose card names another backbone."""
    card = read_card(run)
    path = folder / CHECKPOINT
    save_checkpoint(path, PlainCNN().state_dict(), replace(card, config=card.config | {"backbone": backbone}))
    return path


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_card_imports_nothing(attack: str, here: Path, run: Path, tests: Path, unseen: CommandLine) -> None:
    path = copy_of(run, here, attack.format(kind="Net"))
    for words in (
        ["evaluate", path, "--test", f"q={tests}"],
        ["restore", tests, "--model", path, "--out", "restored"],
        ["export", path, "a.onnx"],
        ["studio", "--models", path, "--no-browser"],
    ):
        assert refused_untouched(unseen, here, *words).startswith(f"{path}: backbone: '")
    assert unseen("card", path).code == 0
    assert not (here / "IMPORTED").exists()


def test_a_sidecar_imports_nothing(here: Path, tests: Path, unseen: CommandLine) -> None:
    unseen("degrade", tests, "--distortion", "jpeg:20", "--out", "copies")
    sidecar = here / "copies" / "degradation.jsonl"
    lines = json_lines(sidecar)
    for attack in ATTACKS:
        for spec in (attack, f"jpeg:20 > {attack}"):
            lines[1]["distortion"] = spec.format(kind="Distortion")
            sidecar.write_text("".join(json.dumps(record) + "\n" for record in lines))
            line = refused_untouched(unseen, here, "degrade", tests, "--replay", sidecar, "--out", "again")
            assert line.startswith(f"{sidecar}, line 2: distortion: '")
    confirmed = [record | {"distortion": "canary.Distortion:20"} for record in lines]
    sidecar.write_text("".join(json.dumps(record) + "\n" for record in confirmed))
    unseen("degrade", tests, "--replay", sidecar, "--out", "again", "--trust", "canary")


@pytest.mark.slow
def test_rows_of_a_study_import_nothing(here: Path, photos: Path, tests: Path, unseen: CommandLine) -> None:
    words = ["compare", *TINY, "--data", photos, "--test", f"q={tests}", "--methods", "erm", "--tune", "2"]
    unseen(*words, "--out", "study")
    edited = {"method": "canary.Method", "backbone": "canary.Net", "spec": "canary.Method", "protocol": "canary.yaml"}
    for name in ("results.jsonl", "runs.jsonl", "tuning.jsonl"):
        rows = json_lines(here / "study" / name)
        kept = [row | {field: value for field, value in edited.items() if field in row} for row in rows]
        (here / "study" / name).write_text("".join(json.dumps(row) + "\n" for row in kept))
    assert main(["rank", "study", "study"]) in (0, 2)
    assert main([*map(str, words), "--out", "study"]) in (0, 2)
    (here / "study" / CONFIG).write_text(json.dumps(saved_config(here / "study") | {"methods": ["canary.Method"]}))
    assert main(["rank", "study", "study"]) in (0, 2)
    assert main([*map(str, words), "--out", "study"]) in (0, 2)
    assert not {"IMPORTED", "CALLED"} & {path.name for path in here.iterdir()}


@pytest.mark.slow
def test_an_onnx_file_imports_nothing(here: Path, tests: Path, unseen: CommandLine) -> None:
    unseen("export", "denoiser", "a.onnx")
    model = onnx.load(here / "a.onnx")
    (entry,) = (entry for entry in model.metadata_props if entry.key == "unseen")
    card = json.loads(entry.value)
    card["config"] |= {"backbone": "canary.Net", "method": "canary.Method", "protocol": "canary.yaml"}
    entry.value = json.dumps(card)
    onnx.save(model, here / "a.onnx")
    unseen("card", "a.onnx")
    unseen("restore", tests, "--model", "a.onnx", "--out", "restored")
    assert not (here / "IMPORTED").exists()


def test_modules_beside_the_files_are_found_only_where_something_is_trusted(here: Path, unseen: CommandLine) -> None:
    """A module in the current folder might stand in for an optional one that is not installed."""
    unseen("describe", "denoise")
    assert "" not in sys.path
    unseen.refusal("train", "--method", "canary.Nothing", "--out", "run")
    assert (here / "IMPORTED").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("train --method os.system", "method: 'os.system' is a builtin_function_or_method, and no class of Method"),
        ("train --method builtins.print", "is a builtin_function_or_method, and no class of Method"),
        ("train --method canary.function", "method: 'canary.function' is a function, and no class of Method"),
        ("train --method canary.Net", "method: 'canary.Net' is the class Net, and no class of Method"),
        ("train --method canary.CANARY", "method: 'canary.CANARY' cannot be imported"),
        ("train --method os.path", "method: 'os.path' is a module, and no class of Method"),
        ("train --method subprocess.Popen:x", "method: 'subprocess.Popen' is the class Popen, and no class of Method"),
        ("train --backbone pathlib.Path:CALLED", "'pathlib.Path' is the class Path, and no class of Module"),
        ("degrade photos --grid --out o --distortion os.mkdir:CALLED", "distortion: 'os.mkdir' is a builtin_function"),
        ("train --method unseen.__main__.main", "'unseen.__main__.main' cannot be imported: no such module is loaded"),
        ("train --backbone unseen.models.checkpoint.nn", "'unseen.models.checkpoint.nn' is a module, and no class"),
        ("train --method unseen.methods.loss", "'unseen.methods.loss' cannot be imported"),
        ("describe denoise --trust ../x", "trust: '../x' is no module and no class, such as my_parts"),
        ("describe denoise --trust", "--trust: expected one argument"),
    ],
)  # fmt: skip
def test_only_a_class_of_the_kind_is_called(words: str, line: str, here: Path, unseen: CommandLine) -> None:
    (here / "photos").mkdir()
    assert line in unseen.refusal(*words.split())
    assert not (here / "CALLED").exists()


def test_trust_covers_a_module_and_what_is_in_it_and_nothing_beside(here: Path, unseen: CommandLine) -> None:
    protocol_file(here, "canary.Distortion:50")
    for trusted in ("canar", "canary.Dist", "canary.Distortions", "Distortion", "canary.Distortion.deeper", "other"):
        refused_untouched(unseen, here, "describe", "protocol.yaml", "--trust", trusted)
    for names in (["canary"], ["canary.Distortion"], ["other", "canary"]):
        unseen("describe", "protocol.yaml", *(word for name in names for word in ("--trust", name)))
    assert (here / "IMPORTED").exists()


def test_a_program_trusts_for_the_length_of_a_block(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(here)
    path = str(protocol_file(here, "canary.Distortion:50"))
    with pytest.raises(UserError, match=r"with unseen\.trusting\('canary\.Distortion'\)"):
        load_protocol(path)
    with package.trusting("canary"):
        assert load_protocol(path).seen[0].name == "canary.Distortion:50"
    with pytest.raises(UserError, match="is code from outside of unseen"):
        load_protocol(path)


def test_a_path_of_unseen_itself_imports_nothing_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "unseen.studio.curve", raising=False)
    with pytest.raises(UserError, match="no such module is loaded"):
        resolve("unseen.studio.curve.Curve", METHODS, "method", Method)
    assert "unseen.studio.curve" not in sys.modules
    monkeypatch.setattr(sys.modules["unseen.methods"], "Conv2d", nn.Conv2d, raising=False)
    with pytest.raises(UserError, match=r"is torch\.nn\.modules\.conv\.Conv2d"):
        resolve("unseen.methods.Conv2d", BACKBONES, "backbone", nn.Module)


def test_a_name_that_is_no_path_is_never_imported() -> None:
    for name in ("a..b", ".a", "a.", "a b.c", "a/b.c", "é.\x00", f"{'a.' * 200}b"):
        with trusting(name, "a"), pytest.raises(UserError, match="is none of"):
            resolve(name, DISTORTIONS, "field", object)
    with pytest.raises(UserError) as error:
        build("x" * 10_000_000, METHODS, "method", Method)
    assert len(str(error.value)) < 1000


def test_no_file_of_weights_is_unpickled(here: Path, tests: Path, unseen: CommandLine) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (here / "CALLED",)

    torch.save({"weight": Evil()}, here / "evil.pth")
    assert "evil.pth" in unseen.refusal("restore", tests, "--model", "evil.pth", "--out", "restored")
    save_file({"a": torch.zeros(1)}, here / "no-card.safetensors")
    unseen.refusal("restore", tests, "--model", "no-card.safetensors", "--out", "restored")
    assert not (here / "CALLED").exists()
