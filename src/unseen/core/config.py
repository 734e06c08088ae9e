"""What the commands can be told, by option or in a YAML file, under the same names.

Each field stands with its type and its description; the command line is made from them. This module
imports nothing slow, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import yaml

from ..study.entry_names import AT, label_of
from .atomic import write_text
from .errors import UserError
from .units import Budget
from .yaml12 import load_plain

Select: TypeAlias = Literal["last", "seen", "held-out", "oracle"]
Format: TypeAlias = Literal["input", "png", "jpeg", "tiff", "webp", "bmp"]

CONFIG = "config.yaml"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where to compute. Both are part of a run's identity: equal bits need equal threads and device."""

    device: Annotated[str, "cpu, cuda, cuda:1, mps, or auto for the best there is"] = "auto"
    threads: Annotated[int, "processor threads; 0 takes all"] = 0

    def resolved(self) -> Self:
        """With `auto` and 0 replaced by what this machine has. Raises UserError for an absent device."""
        import torch

        best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        device = best if self.device == "auto" else self.device
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise UserError(f"device: {device!r} cannot be used here; try cpu, or auto") from error
        if device == "cuda":  # of several processes on one machine, each takes a GPU of its own
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        if self.threads < 0:
            raise UserError(f"threads: {self.threads} is below zero")
        if self.threads > 1024:  # some thousands crash the process in torch
            raise UserError(f"threads: {self.threads} is above 1024")
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return replace(self, device=device, threads=self.threads or usable)


@dataclass(frozen=True, kw_only=True)
class Recipe(Machine):
    """How to train, whatever the method."""

    protocol: Annotated[str, "a protocol by name (see `unseen list protocols`) or a YAML file"] = "denoise"
    backbone: Annotated[str, "network, with settings: rrdb_small:features=24,blocks=3"] = "rrdb_small"
    data: Annotated[list[str], "folders of clean photos; or embedded, dead_leaves, dead_leaves:500"] = field(
        default_factory=lambda: ["embedded"]
    )
    pairs: Annotated[list[str], "recorded pairs that the protocol trains on: NAME=INPUT_DIR:TARGET_DIR"] = field(
        default_factory=list
    )
    enlarge: Annotated[
        bool, "of a protocol that enlarges: enlarge the input bicubically, keep sizes in the network"
    ] = False
    budget: Annotated[
        int | str, "gradient evaluations (forward and backward passes of one batch), or time in training: 30min"
    ] = 10_000
    batch: Annotated[int, "images in a batch"] = 8
    patch: Annotated[int, "side of a training patch, pixels"] = 40
    content: Annotated[
        Literal["counterfactual", "independent"], "same clean patches under every distortion, or each its own"
    ] = "counterfactual"
    loss: Annotated[Literal["l1", "l2", "huber"], "what is minimised"] = "l1"
    lr: Annotated[float, "learning rate of the outer Adam"] = 1e-3
    schedule: Annotated[
        Literal["cosine", "constant", "published"], "cosine to zero; constant; halved after two thirds"
    ] = "cosine"
    select: Annotated[
        Select, "keep the last weights, or the best on seen or held-out levels; oracle: on unseen ones, and said so"
    ] = "last"
    validations: Annotated[int, "how often to validate, and to save for --resume, in a run"] = 10
    diagnose: Annotated[int, "look at gradients and net bias every so many steps, beside the budget; 0 never does"] = 0

    @property
    def limit(self) -> Budget:
        """The budget. Raises UserError for what is none."""
        return Budget.parse(self.budget)

    def check(self) -> None:
        """Raises UserError, naming the field, for a number that cannot be."""
        _ = self.limit
        for name, least in {"batch": 1, "patch": 1, "validations": 1, "diagnose": 0}.items():
            if getattr(self, name) < least:
                raise UserError(f"{name}: {getattr(self, name)} is below {least}")
        if not self.lr > 0:
            raise UserError(f"lr: {self.lr} is not above zero")
        if not self.data or not all(self.data):  # an empty name would be the current folder
            raise UserError("data: no folder given; leave it out for the embedded photographs")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Recipe):
    """One network by one method."""

    method: Annotated[str, "training method, with settings: dil_sf:inner_lr=1e-4"] = "dil_sf"
    seed: Annotated[int, "seed of everything random"] = 0
    out: Annotated[str, "folder of the run; runs/PROTOCOL-METHOD-SEED if left out"] = ""

    @property
    def folder(self) -> Path:
        """Where the run is written."""
        return Path(self.out or f"runs/{Path(self.protocol).stem}-{slug(self.method)}-{self.seed}")


@dataclass(frozen=True, kw_only=True)
class Testing:
    """What to test on."""

    test: Annotated[list[str], "test sets as NAME=DIR, pairs as NAME=INPUT_DIR:TARGET_DIR; or embedded"] = field(
        default_factory=lambda: ["embedded"]
    )
    crop: Annotated[int, "test on the centre of each photo, at most so many pixels a side; 0 takes all of it"] = 0
    images: Annotated[int, "test on so many photos of each set, spread evenly over its names; 0 takes all"] = 0

    def check_tests(self) -> None:
        """Raises UserError, naming the field, for what cannot be."""
        if not self.test:
            raise UserError("test: none given")
        for name in ("crop", "images"):
            if getattr(self, name) < 0:
                raise UserError(f"{name}: {getattr(self, name)} is below 0")


@dataclass(frozen=True)
class Entry:
    """What competes in a study: a method that trains a backbone.

    name: the line of the tables. lr: the outer learning rate. spec: the method with the settings that it is trained
    with, which may have been chosen for it.
    """

    name: str
    method: str
    backbone: str
    lr: float
    spec: str


@dataclass(frozen=True, kw_only=True)
class CompareConfig(Recipe, Testing):
    """Several methods and seeds under one protocol, at one budget."""

    methods: Annotated[list[str], "methods, each with settings if need be; on a backbone of its own: 'erm @ unet'"] = (
        field(default_factory=lambda: ["erm", "dil_sf", "ceiling"])
    )
    gap: Annotated[bool, "report gap closed: erm and ceiling compete too, listed or not"] = False
    seeds: Annotated[int, "how many seeds a method"] = 1
    seed: Annotated[int, "the first of the seeds"] = 0
    tune: Annotated[int, "first try so many settings of every method, and keep the best on held-out levels"] = 0
    out: Annotated[str, "folder of the study"] = "runs/study"

    def check(self) -> None:
        """Also for a study of nothing, and for two methods that would share a folder."""
        super().check()
        if self.seeds < 1:
            raise UserError(f"seeds: {self.seeds} is below 1")
        if self.tune < 0 or self.tune == 1:
            raise UserError(f"tune: {self.tune} is no choice of settings; give 2 or more, or 0 to try none")
        if not self.methods:
            raise UserError("methods: none given")
        self.check_tests()
        folders = [slug(entry.name) for entry in self.entries()]
        twice = next((entry.name for entry in self.entries() if folders.count(slug(entry.name)) > 1), None)
        if twice is not None:
            raise UserError(f"methods: {twice!r} is there twice")

    def entries(self) -> list[Entry]:
        """What competes, in order; with `gap`, erm and ceiling on the study's backbone are among them."""
        found = [self._entry(given) for given in self.methods]
        ends = [self._entry(name) for name in ("erm", "ceiling") if self.gap]
        return found + [end for end in ends if end.name not in [entry.name for entry in found]]

    def _entry(self, given: str) -> Entry:
        """Raises UserError for a method without its backbone, or the other way round."""
        method, at, other = (part.strip() for part in given.partition(AT.strip()))
        if at and not (method and other):
            raise UserError(f"methods: {given!r} lacks a method or a backbone; it is METHOD @ BACKBONE")
        backbone = other or self.backbone
        return Entry(label_of(method, backbone, self.backbone), method, backbone, self.lr, method)

    def run(self, entry: Entry, seed: int) -> TrainConfig:
        """The training run of one entry and seed, in a folder of its own inside the study."""
        recipe = {f.name: getattr(self, f.name) for f in fields(Recipe)} | {"backbone": entry.backbone, "lr": entry.lr}
        return TrainConfig(**recipe, method=entry.spec, seed=seed, out=f"{self.out}/{slug(entry.name)}-{seed}")


@dataclass(frozen=True, kw_only=True)
class DemoConfig(Machine):
    """The demonstration: everything but the machine, the seed and the folder is settled."""

    seed: Annotated[int, "seed of everything random"] = 0
    out: Annotated[str, "folder for report.html and results.jsonl"] = "demo"


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Machine, Testing):
    """A checkpoint on test photographs."""

    protocol: Annotated[str, "a protocol by name or file; the checkpoint's own if left out"] = ""
    backbone: Annotated[str, "the network, needed only for one of your own: my.module.Net"] = ""
    method: Annotated[str, "the method, needed only for one of your own, to tell what it was trained on"] = ""
    seed: Annotated[int, "seed of the test distortions"] = 0
    card: Annotated[bool, "write what was measured into the checkpoint's card, in place of what it told before"] = False
    out: Annotated[str, "folder for results.jsonl and report.html"] = "runs/evaluation"


@dataclass(frozen=True, kw_only=True)
class DegradeConfig(Machine):
    """Degraded copies of photographs. On one thread unless told otherwise, so that cores make no difference."""

    device: Annotated[str, "cpu, cuda, cuda:1, mps, or auto; equal bits need an equal one"] = "cpu"
    threads: Annotated[int, "processor threads; 0 takes all; equal bits need equally many"] = 1
    distortion: Annotated[list[str], "what to do, such as gaussian_noise:30, or 'gaussian_blur:2 > jpeg:40'"] = field(
        default_factory=list
    )
    protocol: Annotated[str, "with --grid, in place of distortions: all that this protocol makes"] = ""
    replay: Annotated[str, "make the copies again that this degradation.jsonl describes"] = ""
    seed: Annotated[int, "seed of what is drawn"] = 0
    out: Annotated[str, "folder for the copies and degradation.jsonl, or for the grids"] = ""

    def check(self, grid: bool) -> None:
        """Raises UserError, naming the field, for what cannot be, or cannot be together."""
        if not self.out:
            raise UserError("out: no folder given")
        if self.replay and grid:
            raise UserError("give --replay or --grid, not both")
        if self.protocol and not grid:
            raise UserError("protocol: is for --grid; for copies, give a --distortion")
        if self.protocol and self.distortion:
            raise UserError("give --protocol or --distortion, not both")
        if not (self.distortion or self.protocol or self.replay):
            raise UserError("distortion: none given; one is gaussian_noise:30, unseen list distortions has them all")
        if len(self.distortion) > 1 and not (grid or self.replay):
            raise UserError("distortion: several given; ' > ' joins them to one for a copy, --grid shows each")


MODEL = (
    "a shipped model (unseen models), a run or its checkpoint, an .onnx, or what spandrel loads (.pth, .safetensors)"
)


@dataclass(frozen=True, kw_only=True)
class Restoring(Machine):
    """What restores, and in how much memory."""

    model: Annotated[str, MODEL] = "denoiser"
    backbone: Annotated[str, "the network, needed only for one of your own: my.module.Net"] = ""
    memory: Annotated[str, "what the tiles may take beside the loaded program: 512MiB, 2GiB"] = "1GiB"
    tile: Annotated[int, "side of a tile in pixels; 0 takes the largest that memory allows"] = 0

    @property
    def bytes(self) -> int:
        """The memory in bytes. Raises UserError for what is none."""
        return parse_bytes(self.memory, "memory")

    def check(self) -> None:
        """Raises UserError, naming the field, for what cannot be."""
        _ = self.bytes
        if self.tile < 0:
            raise UserError(f"tile: {self.tile} is below 0")


@dataclass(frozen=True, kw_only=True)
class RestoreConfig(Restoring):
    """Photographs to restore."""

    format: Annotated[Format, "what to write; input keeps the format of each file"] = "input"
    out: Annotated[str, "folder for the restored files, or for a single photo a file; -o for short"] = ""

    def check(self) -> None:
        """Also for a run without a place to write to."""
        super().check()
        if not self.out:
            raise UserError("out: none given; say where restored files go, -o FOLDER")


@dataclass(frozen=True, kw_only=True)
class StudioConfig(Machine):
    """The page to look at what models do."""

    models: Annotated[list[str], f"side by side, each {MODEL}"] = field(
        default_factory=lambda: ["erm", "dil_sf", "denoiser"]
    )
    port: Annotated[int, "port on 127.0.0.1; 0 takes the first free one from 7860 on"] = 0


UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_bytes(text: str, name: str) -> int:
    """`512MiB` or `2GB` as bytes. Raises UserError, naming the field `name`, for anything else."""
    found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)\s*([A-Za-z]*)", text.strip())
    try:
        amount = int(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    except (ValueError, KeyError, OverflowError):
        amount = 0
    if amount <= 0:
        raise UserError(f"{name}: {text!r} is no amount of memory; give one such as 512MiB or 2GiB")
    return amount


def slug(spec: str) -> str:
    """A spec as a folder name."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in spec)


def save_config(path: Path, config: Machine) -> None:
    """Write the resolved configuration as YAML that `--config` reads back."""
    write_text(path, yaml.safe_dump(asdict(config), sort_keys=False))


def load_config(path: Path) -> dict[str, Any]:
    """What `save_config` wrote. Raises UserError if it is no such file."""
    try:
        values = load_plain(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise UserError(f"{path}: not a configuration: {reason}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a configuration: expected names and values")
    return values
