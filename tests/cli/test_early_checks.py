"""Mistakes in options are found before PyTorch is imported, and the built-ins are what the command line thinks."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from support.commandline import photographs

import unseen.cli.early_checks
from unseen.cli.early_checks import TYPES, Kind, built_ins, described, signature_of
from unseen.core.registry import _parameters, signature, summary_line
from unseen.core.wording import format_value
from unseen.distortions import DISTORTIONS
from unseen.methods import METHODS
from unseen.models.backbones import BACKBONES

BUILT_INS = Path(unseen.cli.early_checks.__file__).with_name("built_ins.json")
REGISTRIES: dict[Kind, Mapping[str, Callable[..., Any]]] = {
    "methods": METHODS,
    "distortions": DISTORTIONS,
    "backbones": BACKBONES,
}

MISTAKES = {
    "train --method eerm": "method: 'eerm' is none of erm, ",
    "train --method dil_sf:iner_lr=1": "no setting 'iner_lr' (did you mean 'inner_lr'?)",
    "train --method dil_sf:inner_lr=fast": "inner_lr: expected a number, got 'fast'",
    "train --method dil_sf:inner_lr=1,inner_lr=2": "inner_lr is given twice",
    "train --backbone resnet": "backbone: 'resnet' is none of ",
    "train --backbone unet:features=many": "features: expected a whole number, got 'many'",
    "train --backbone wne": "wraps another, whose name must follow: wne:NAME",
    "train --backbone wne:unet:features=many": "'unet:features=many': features: expected a whole number, got 'many'",
    "train --protocol denoize": "(did you mean 'denoise'?)",
    "train --protocol nowhere.yaml": "protocol: nowhere.yaml: cannot be read: No such file",
    "train --data nowhere": "nowhere: no such folder",
    "train --data dead_leaves:many": "expected dead_leaves:COUNT",
    "train --pairs here": "expected NAME=INPUT_DIR:TARGET_DIR",
    "train --pairs a=nowhere:photos": "nowhere: no such folder",
    "train --device gpu": "device: 'gpu' is no device",
    "train --device cuda:x": "device: 'cuda:x' is no device",
    "train --budget many": "budget: 'many' is no whole number",
    "train --lr fast": "lr: expected a number",
    "train --seed -1": "seed: -1 is below 0",
    "train --batch 4 --accumulate 16": "accumulate: a batch of 4 cannot be cut into 16 equal pieces",
    "train --warmup 1": "warmup: 1 is not below 1",
    "train --clip -1": "clip: -1 is below 0",
    "train --ema 1": "ema: 1 is not below 1",
    "train --momentum 0.9": "momentum: adam has its own",
    "train --optimiser adamw": "weight_decay: at 0 adamw is adam",
    "train --weight-decay 0.1": "weight_decay: adam would divide it",
    "train --engine graph --device cpu": "engine: a graph needs a CUDA GPU, and the device is cpu",
    "train --resume": "holds no run to resume",
    "train --resume --overwrite": "give --resume or --overwrite, not both",
    "train --out /proc/none": "/proc/none: cannot be written",
    "train --out net.onnx": "out: net.onnx is the name of a file",
    "train --config nowhere.yaml": "nowhere.yaml: cannot be read",
    "compare --methods erm nosuch": "methods: 'nosuch' is none of ",
    "compare --methods erm@resnet": "backbone: 'resnet' is none of ",
    "compare --methods erm erm": "methods: 'erm' is listed twice",
    "compare --test q=nowhere": "nowhere: no such folder",
    "compare --test q=nowhere:photos": "nowhere: no such folder",
    "compare --together 2 --budget 10s": "together: runs side by side take each other's time",
    "compare --seeds 0": "seeds: 0 is below 1",
    "demo --threads -1": "threads: -1 is below 0",
    "demo --out /proc/none": "/proc/none: cannot be written",
    "evaluate nowhere": "nowhere: no such file; expected a checkpoint of unseen",
    "evaluate photos --test q=nowhere": "nowhere: no such folder",
    "evaluate photos --protocol denoize": "(did you mean 'denoise'?)",
    "evaluate photos --crop -1": "crop: -1 is below 0",
    "degrade photos -o out": "distortion: none given",
    "degrade photos -o out --distortion jpgg:40": "(did you mean 'jpeg'?)",
    "degrade photos -o out --distortion gaussian_noise": "needs sigma",
    "degrade photos -o out --replay nowhere": "nowhere: cannot be read: No such file",
    "degrade photos -o out --grid --protocol denoize": "(did you mean 'denoise'?)",
    "restore photos": "out: none given",
    "restore photos -o out --model nowhere": "model: 'nowhere' is no file and no shipped model",
    "restore photos -o out --strength 3": "strength: 3 is above 2",
    "restore photos -o out --compare": "compare: give one photo, and the name of a sheet that ends in .png",
    "restore photos -o out --memory lots": "memory: 'lots' is no amount of memory",
    "restore nowhere -o out": "failed nowhere: no such file or folder",
    "restore photos -o photos": "out: photos is among the photographs",
    "card nowhere": "model: 'nowhere' is no file and no shipped model",
    "export nowhere a.onnx": "model: 'nowhere' is no file and no shipped model",
    "export denoiser a.pth": "file: a.pth: is no name of an ONNX file",
    "studio --models nowhere": "model: 'nowhere' is no file and no shipped model",
    "studio --port 70000": "port: 70000 is above 65535",
    "describe denoize": "(did you mean 'denoise'?)",
    "rank nowhere": "nowhere",
    "check-data sett5=nowhere": "(did you mean 'set5'?)",
    "list method": "(did you mean 'methods'?)",
}

LISTS = ["list methods", "list distortions", "list backbones", "list protocols"]

SCRIPT = """
import contextlib, io, json, sys, time

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise AssertionError("torch is imported")

sys.meta_path.insert(0, Blocked())
from unseen.cli.main import main
answers = {}
for words in json.load(sys.stdin):
    errors, output, started = io.StringIO(), io.StringIO(), time.process_time()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(output):
        code = main(words.split())
    answers[words] = (code, errors.getvalue(), time.process_time() - started)
print(json.dumps(answers))
"""


def test_mistakes_are_found_and_components_listed_without_torch_and_at_once(tmp_path: Path) -> None:
    photographs(tmp_path / "photos", "a.png")
    before = sorted(path.name for path in tmp_path.iterdir())
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps([*MISTAKES, *LISTS]),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answers = json.loads(process.stdout)
    wrong = {
        words: answers[words]
        for words, line in MISTAKES.items()
        if answers[words][0] != 2 or line not in answers[words][1] or answers[words][1].count("\n") != 1
    }
    assert wrong == {}
    assert [answers[words][0] for words in LISTS] == [0, 0, 0, 0]
    assert max(seconds for _, _, seconds in answers.values()) < 1  # of the processor; the first ones import numpy
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", REGISTRIES)
def test_names_and_settings_are_those_of_the_built_ins(kind: Kind) -> None:
    components = built_ins(kind)
    assert list(components) == list(REGISTRIES[kind])
    for name, parameters in components.items():
        actual = _parameters(REGISTRIES[kind][name])
        assert list(parameters) == list(actual), name
        for setting, parameter in parameters.items():
            assert parameter.annotation == actual[setting].annotation, (name, setting)
            required = [one.default is inspect.Parameter.empty for one in (parameter, actual[setting])]
            assert required[0] == required[1], (name, setting)


def test_the_file_of_built_ins_is_written_from_them(request: pytest.FixtureRequest) -> None:
    table = {
        kind: {
            name: {"about": summary_line(c), "settings": {p.name: facts(p) for p in _parameters(c).values()}}
            for name, c in components.items()
        }
        for kind, components in REGISTRIES.items()
    }
    lines = {
        kind: ",\n".join(
            f"    {json.dumps(name)}: {json.dumps(said, ensure_ascii=False)}" for name, said in by_name.items()
        )
        for kind, by_name in table.items()
    }
    text = "{\n" + ",\n".join(f'  "{kind}": {{\n{of_kind}\n  }}' for kind, of_kind in lines.items()) + "\n}\n"
    if request.config.getoption("--write-docs"):
        BUILT_INS.write_text(text, encoding="utf-8")
    assert BUILT_INS.read_text(encoding="utf-8") == text, "run pytest tests/cli --write-docs"


@pytest.mark.parametrize("kind", REGISTRIES)
def test_what_is_listed_is_what_the_built_ins_say_of_themselves(kind: Kind) -> None:
    listed = {name: (signature_of(facts["settings"]), facts["about"]) for name, facts in described(kind).items()}
    assert listed == {name: (signature(c), summary_line(c)) for name, c in REGISTRIES[kind].items()}


def facts(parameter: inspect.Parameter) -> dict[str, Any]:
    """What built_ins.json says of one setting."""
    kind = parameter.annotation
    words = list(get_args(kind)) if get_origin(kind) is Literal else next(w for w, t in TYPES.items() if t == kind)
    default = parameter.default
    return {"type": words} | ({} if default is parameter.empty else {"default": format_value(default)})
