"""Hostile documents through the commands that read them."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from support.commandline import MACHINE, TINY, photographs

from unseen.cli.degrade import DegradeConfig
from unseen.core.folder_lock import LOCK, Holder
from unseen.core.yaml12 import load
from unseen.distortions.sidecar import CopyRecord
from unseen.evaluation.config import EvaluateConfig
from unseen.evaluation.results import ImageResult
from unseen.models.card import Card
from unseen.models.receptive_field import ReceptiveField
from unseen.protocols.loading import _Fields as ProtocolFields
from unseen.restoration.config import RestoreConfig
from unseen.study.config import CompareConfig
from unseen.study.runs import RunRecord
from unseen.study.tuning import Trial
from unseen.training.config import TrainConfig
from unseen.training.state import TrainingState

from .documents import as_json, as_yaml, files_of
from .oracle import Allowance, MiB
from .workshop import PICTURES, Fault, Sandbox, Workshop

EXAMPLES = 8
"""Documents in a trial."""

STUDY = ["compare", *TINY, "--data", "photos", "--test", "q=tests", "--methods", "erm", "--tune", "2", "--out", "out"]
COSTS = {
    "budget": 8,
    "batch": 2,
    "patch": 16,
    "validations": 1,
    "tune": 0,
    "seeds": 1,
    "crop": 16,
    "images": 1,
    "diagnose": 0,
}
"""Fields that ask for work, which a user may ask for: a document asks for little."""

ALLOWANCE = Allowance(memory=640 * MiB, lines=20)


@dataclass(frozen=True)
class Target:
    """A document that commands read.

    Attributes:
        record: the dataclass that reads it.
        real: from the folder of real files to the document that is accepted.
        write: from a document to text.
        place: puts the text into the sandbox.
        commands: command lines that read it.
    """

    record: Any
    real: Callable[[Path], Any]
    write: Callable[[Any], str]
    place: Callable[[Sandbox, bytes], None]
    commands: list[list[str]]


def at(name: str) -> Callable[[Sandbox, bytes], None]:
    """Put a text into a file of the current folder."""

    def place(sandbox: Sandbox, content: bytes) -> None:
        path = sandbox.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return place


def in_study(name: str) -> Callable[[Sandbox, bytes], None]:
    """Put a text into a file of a finished study in the output folder."""

    def place(sandbox: Sandbox, content: bytes) -> None:
        shutil.copytree(real_files(sandbox.workshop) / "study", sandbox.out)
        (sandbox.out / name).write_bytes(content)

    return place


def in_metadata(name: str, key: str) -> Callable[[Sandbox, bytes], None]:
    """Put a text into the metadata of a safetensors file of a finished run, which becomes `out`."""

    def place(sandbox: Sandbox, content: bytes) -> None:
        shutil.copytree(real_files(sandbox.workshop) / "study" / "erm-0", sandbox.out)
        whole = (sandbox.out / name).read_bytes()
        (length,) = struct.unpack_from("<Q", whole)
        header = json.loads(whole[8 : 8 + length])
        header["__metadata__"] = {key: content.decode(errors="replace")}
        head = json.dumps(header).encode()
        (sandbox.out / name).write_bytes(struct.pack("<Q", len(head)) + head + whole[8 + length :])

    return place


def in_onnx(key: str) -> Callable[[Sandbox, bytes], None]:
    """Put a text into the metadata of an ONNX file."""

    def place(sandbox: Sandbox, content: bytes) -> None:
        import onnx

        model = onnx.load(real_files(sandbox.workshop) / "model.onnx")
        for entry in model.metadata_props:
            if entry.key == key:
                entry.value = content.decode(errors="replace")
        onnx.save(model, sandbox.work / "model.onnx")

    return place


def first_row(name: str) -> Callable[[Path], Any]:
    """The first line of a file of JSON lines."""
    return lambda real: json.loads((real / name).read_text().splitlines()[0])


def targets() -> dict[str, Target]:
    """Every document that a command reads, by what it is called in the report."""
    restore = ["restore", "photos", *MACHINE, "-o", "restored"]
    short = [word for name in ("budget", "batch", "patch", "validations") for word in (f"--{name}", str(COSTS[name]))]
    cards = [
        ["card", "out"],
        [*restore, "--model", "out"],
        ["evaluate", "out", "--test", "q=tests", *MACHINE, "--out", "tested"],
    ]
    cards += [["export", "out", "restored/x.onnx"]]
    onnx = [["card", "model.onnx"], [*restore, "--model", "model.onnx"]]
    study = [STUDY, ["rank", "out"]]

    def config(kind: Any, command: list[str], **values: object) -> Target:
        # The constructor and not a file: the document has every field.
        return Target(
            kind, lambda _: asdict(kind(**values)), as_yaml, at("config.yaml"), [[*command, "--config", "config.yaml"]]
        )

    return {
        "training configurations": config(
            TrainConfig,
            ["train", *MACHINE, *short, "--out", "out"],
            backbone="plain:features=4,depth=2",
            method="erm",
            data=["photos"],
        ),
        "study configurations": config(
            CompareConfig,
            ["compare", *MACHINE, *short, "--tune", "0", "--seeds", "1", "--out", "out"],
            backbone="plain:features=4,depth=2",
            methods=["erm"],
            data=["photos"],
            test=["q=tests"],
        ),
        "test configurations": config(
            EvaluateConfig, ["evaluate", "model.safetensors", *MACHINE, "--out", "out"], test=["q=tests"]
        ),
        "restoring configurations": config(RestoreConfig, restore, model="model.safetensors"),
        "degrading configurations": config(
            DegradeConfig, ["degrade", "photos", "--out", "out"], distortion=["gaussian_noise:30"]
        ),
        "runs' configurations": Target(
            TrainConfig,
            lambda real: load((real / "study/erm-0/config.yaml").read_text()),
            as_yaml,
            in_study("erm-0/config.yaml"),
            [["train", "--resume", "--out", "out/erm-0"], STUDY],
        ),
        "protocols": Target(
            ProtocolFields,
            lambda real: load((real / "protocol.yaml").read_text()),
            as_yaml,
            at("protocol.yaml"),
            [
                ["describe", "protocol.yaml"],
                ["train", *TINY, "--protocol", "protocol.yaml", "--method", "erm", "--data", "photos", "--out", "out"],
                ["degrade", "photos", "--grid", "--protocol", "protocol.yaml", "--out", "out"],
            ],
        ),
        "cards": Target(
            Card,
            lambda real: json.loads(_metadata(real / "study/erm-0/checkpoint.safetensors")["unseen"]),
            as_json,
            in_metadata("checkpoint.safetensors", "unseen"),
            cards,
        ),
        "states": Target(
            TrainingState,
            lambda real: json.loads(_metadata(real / "study/erm-0/resume.safetensors")["unseen-resume"]),
            as_json,
            in_metadata("resume.safetensors", "unseen-resume"),
            [["train", "--resume", "--out", "out"]],
        ),
        "sidecars": Target(
            CopyRecord,
            first_row("degraded/degradation.jsonl"),
            as_json,
            at("sidecar.jsonl"),
            [["degrade", "photos", "--replay", "sidecar.jsonl", "--out", "out"]],
        ),
        "rows of results": Target(
            ImageResult, first_row("study/results.jsonl"), as_json, in_study("results.jsonl"), study
        ),
        "rows of runs": Target(RunRecord, first_row("study/runs.jsonl"), as_json, in_study("runs.jsonl"), study),
        "rows of tuning": Target(Trial, first_row("study/tuning.jsonl"), as_json, in_study("tuning.jsonl"), study),
        "locks": Target(
            Holder,
            lambda _: {"pid": 1, "host": "elsewhere", "command": "unseen train", "since": "2026-01-01 10:00"},
            as_json,
            at(f"out/{LOCK}"),
            [["degrade", "photos", "--distortion", "gaussian_noise:30", "--out", "out"]],
        ),
        "ONNX cards": Target(
            Card,
            lambda real: json.loads(_metadata(real / "study/erm-0/checkpoint.safetensors")["unseen"]),
            as_json,
            in_onnx("unseen"),
            onnx,
        ),
        "ONNX fields": Target(
            ReceptiveField, lambda _: {"radius": 3, "stride": 1, "scale": 1}, as_json, in_onnx("unseen.reach"), onnx
        ),
    }


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata: dict[str, str] = file.metadata()
    return metadata


PROTOCOL = """\
name: hostile
version: 1
about: Noise, seen weak and unseen strong
seen: [gaussian_noise:5, 'gaussian_blur:1 > jpeg:40']
held_out: [gaussian_noise:15]
unseen: [gaussian_noise:30]
notes: [A note.]
reported: [{source: A paper, columns: [method, PSNR], rows: [[erm, 1.5]]}]
"""


def real_files(workshop: Workshop) -> Path:
    """The folder of what the commands themselves write: a study, degraded copies, an ONNX file; made once."""
    real = workshop.scratch / "real"
    if not real.exists():
        with workshop.sandbox("real-files") as sandbox:
            stock(sandbox)
            allowance = Allowance(codes=(0,), cpu=30, lines=30)
            sandbox.run(*STUDY, allowance=allowance)
            made = workshop.scratch / "real-in-the-making"
            made.mkdir()
            shutil.move(sandbox.out, made / "study")
            sandbox.run("degrade", "photos", "--distortion", "gaussian_noise:30", "--out", "out", allowance=allowance)
            shutil.move(sandbox.out, made / "degraded")
            sandbox.run("export", "model.safetensors", "out/model.onnx", allowance=allowance)
            shutil.move(sandbox.out / "model.onnx", made)
            (made / "protocol.yaml").write_text(PROTOCOL)
            made.rename(real)
    return real


def stock(sandbox: Sandbox) -> None:
    """Put photographs, the tiny model and a trap into a sandbox."""
    photographs(sandbox.work / "photos", *PICTURES)
    photographs(sandbox.work / "tests", "e.png", "f.png", size=(20, 22))
    shutil.copy(sandbox.workshop.model, sandbox.work / "model.safetensors")
    (sandbox.work / "my_parts.py").write_text(TRAP)


TRAP = """
from pathlib import Path
Path("ran").touch()
class Evil:
    pass
"""
"""A module that nobody has trusted: what imports it leaves a mark."""


def frugal(document: Any) -> Any:
    """The document, asking for little where it asks for work that a user may ask for."""
    if not isinstance(document, dict):
        return document
    holders = [holder for holder in (document, document.get("config")) if isinstance(holder, dict)]
    for holder in holders:
        # A text may be an amount of time, and one with dots a program of the user's own.
        holder |= {
            name: most
            for name, most in COSTS.items()
            if isinstance(holder.get(name), int | float) and holder[name] > most
        }
    return document


def hostile_documents(workshop: Workshop, seed: int) -> None:
    """Give some hostile documents of one kind to the commands that read them."""
    catalogue = targets()
    name = list(catalogue)[seed % len(catalogue)]
    target = catalogue[name]
    document = target.real(real_files(workshop))
    contents = files_of(document, target.record, lambda document: target.write(frugal(document)))
    fuzz(workshop, seed, st.tuples(contents, st.sampled_from(target.commands)), target.place)


def fuzz(
    workshop: Workshop,
    seed: int,
    strategy: SearchStrategy[tuple[bytes, list[str]]],
    place: Callable[[Sandbox, bytes], None],
) -> None:
    """Draw contents and commands, and run each in a sandbox; raises the first Fault."""
    number = 0

    @hypothesis.seed(seed)
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(strategy)
    def one(drawn: tuple[bytes, list[str]]) -> None:
        nonlocal number
        number += 1
        content, words = drawn
        with workshop.sandbox(f"documents-{seed}-{number}") as sandbox:
            stock(sandbox)
            place(sandbox, content)
            others = [sandbox.work / folder for folder in ("restored", "tested")]
            sandbox.run(*words, allowance=ALLOWANCE, writable=others)
            if any(path.name == "ran" for path in sandbox.root.rglob("*")):
                raise Fault(words, "runs code on a file's word")

    one()


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


def hostile_networks(workshop: Workshop, seed: int) -> None:
    """Give damaged or hostile files of networks to the commands that load networks."""
    real = real_files(workshop)
    intact = {
        "x.onnx": (real / "model.onnx").read_bytes(),
        "x.safetensors": workshop.model.read_bytes(),
        "x.pth": pickle.dumps(_Bomb()),
        "x.pt": pickle.dumps({"params": _Bomb()}, protocol=2),
    }
    commands = [
        ["restore", "photos", *MACHINE, "-o", "out", "--model", "FILE"],
        ["card", "FILE"],
        ["export", "FILE", "out/y.onnx"],
        ["evaluate", "FILE", "--test", "q=tests", *MACHINE, "--out", "out"],
    ]

    def place(sandbox: Sandbox, content: bytes) -> None:
        name, _, body = content.partition(b"\n")
        (sandbox.work / name.decode()).write_bytes(body)

    @st.composite
    def networks(draw: st.DrawFn) -> tuple[bytes, list[str]]:
        name = draw(st.sampled_from(list(intact)))
        body = bytearray(intact[name])
        for _ in range(draw(st.integers(0 if name.startswith("x.p") else 1, 4))):
            start = draw(st.integers(0, max(0, min(len(body), draw(st.sampled_from((16, 400, len(body))))) - 1)))
            new = draw(
                st.one_of(st.binary(max_size=8), st.sampled_from((b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7)))
            )
            body[start : start + draw(st.sampled_from((0, len(new), 64)))] = new
            if draw(st.integers(0, 9)) == 0:
                del body[start:]
        words = draw(st.sampled_from(commands))
        return name.encode() + b"\n" + bytes(body), [word.replace("FILE", name) for word in words]

    fuzz(workshop, seed, networks(), place)
