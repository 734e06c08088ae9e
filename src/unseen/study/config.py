"""Options of `unseen compare` and `unseen demo`, and the entries of a study."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from typing import Annotated, Self

from annotated_types import Ge, Le, MinLen, Predicate

from ..core.config import Machine, slug
from ..core.errors import UserError, one_line
from ..core.installation import install_command
from ..core.trust import Names
from ..evaluation.config import EvaluationOptions
from ..training.config import TrainConfig, TrainingOptions
from .entry_names import SEPARATOR, entry_name, entry_name_in_full

CONNECTING = 10.0
"""Seconds in which the head of a Ray cluster must answer."""


def is_address(text: str) -> bool:
    """Return True for the address of a Ray cluster, or for none, and raise UserError for anything else."""
    if not re.fullmatch(r"|auto|local|[\w.-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}", text):
        raise UserError(f"ray: {text!r} is no address; give auto, HOST:PORT, or local for a cluster on this machine")
    return True


def require_answer(address: str) -> None:
    """Raise UserError where nothing listens at HOST:PORT of a Ray cluster, on which Ray itself would wait for minutes.

    Other addresses name no machine, and are left to Ray.
    """
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECTING).close()
    except (OSError, OverflowError) as error:
        advice = "start one with `ray start --head`, or give --ray local"
        raise UserError(f"ray: no cluster at {address}: {one_line(error)}; {advice}") from error


@dataclass(frozen=True)
class Entry:
    """A competitor in a study: a method that trains a backbone.

    Attributes:
        name: the name in tables.
        folder: the name of the folders of its runs, less their seeds.
        method: the method as the user gave it.
        backbone: the network that the method trains.
        lr: the learning rate of the outer optimiser.
        spec: the method with the settings that it is trained with; tuning may have chosen them.
    """

    name: str
    folder: str
    method: str
    backbone: str
    lr: float
    spec: str


@dataclass(frozen=True, kw_only=True)
class CompareConfig(TrainingOptions, EvaluationOptions):
    """Options of a study: several methods and seeds under one protocol, at one budget."""

    methods: Annotated[
        list[str], MinLen(1), Names(), "methods, each with settings if need be; on a backbone of its own: 'erm @ unet'"
    ] = field(default_factory=lambda: ["erm", "dil_sf", "ceiling"])
    gap: Annotated[bool, "report gap closed: erm and ceiling compete too, listed or not"] = False
    seeds: Annotated[int, Ge(1), "how many seeds a method"] = 1
    seed: Annotated[int, Ge(0), "the first of the seeds"] = 0
    tune: Annotated[
        int, Ge(0), "first try N settings of every method, and keep the best on held-out levels; 0 tries none"
    ] = 0
    together: Annotated[
        int, Ge(1), Le(64), "how many runs a GPU trains side by side, which pays where one alone leaves it idle"
    ] = 1
    workers: Annotated[
        int, Ge(1), Le(256), "processes of this machine that share the runs and the trials; more than 1: --threads each"
    ] = 1
    ray: Annotated[
        str,
        Predicate(is_address),
        "Ray cluster that takes the runs and the trials: auto, HOST:PORT, or local for one of its own on this machine",
    ] = ""
    gpus_per_run: Annotated[
        float, Ge(0), Le(1), "share of a GPU that a run takes, of --workers or --ray; 0 is a whole one on CUDA"
    ] = 0.0
    out: Annotated[str, "folder of the study"] = "runs/study"

    @property
    def is_shared(self) -> bool:
        """Whether other processes than the study's own do the runs."""
        return self.workers > 1 or bool(self.ray)

    def resolved(self) -> Self:
        """Replace `auto` and 0 as other commands do, but give a run one thread where processes share the runs.

        Raises:
            UserError: for a device that is absent, or a number of threads out of range.
        """
        return super(CompareConfig, replace(self, threads=self.threads or 1) if self.is_shared else self).resolved()

    def check(self) -> None:
        """Raise UserError, naming the field, for a value that does not fit, or two methods that share a folder."""
        super().check()
        if self.tune == 1:
            raise UserError(f"tune: {self.tune} is no choice of settings; give 2 or more, or 0 to try none")
        if self.together > 1 and self.limit.unit == "seconds":
            raise UserError("together: runs side by side take each other's time; give a budget of gradient evaluations")
        if self.ray and self.workers > 1:
            raise UserError("workers: a cluster has as many as it has room for; give --workers or --ray, not both")
        if self.ray and find_spec("ray") is None:
            raise UserError(f"ray: needs Ray: {install_command('ray')}")
        if self.gpus_per_run and not self.is_shared:
            raise UserError("gpus_per_run: this process takes the whole GPU; give --workers or --ray as well")
        if self.is_shared and self.device.startswith("cuda:"):
            raise UserError(f"device: each run gets a GPU of its own, and {self.device} is one for all; give cuda")
        entries = self.entries()
        names, folders = [entry.name for entry in entries], [entry.folder for entry in entries]
        alike = (e.name for e in entries if names.count(e.name) > 1 or folders.count(e.folder) > 1)
        twice = next(alike, None)
        if twice is not None:
            raise UserError(f"methods: {twice!r} is listed twice")

    def entries(self) -> list[Entry]:
        """Return the competitors in order; with `gap`, erm and ceiling on the study's backbone are among them.

        Raises:
            UserError: for a method without its backbone, or a backbone without its method.
        """
        listed = [self._entry(text) for text in self.methods]
        ends = [self._entry(name) for name in ("erm", "ceiling") if self.gap]
        return listed + [end for end in ends if end.name not in [entry.name for entry in listed]]

    def _entry(self, text: str) -> Entry:
        """The competitor that an item of `methods` describes."""
        method, at, other = (word.strip() for word in text.partition(SEPARATOR.strip()))
        if at and not (method and other):
            raise UserError(f"methods: {text!r} lacks a method or a backbone; it is METHOD @ BACKBONE")
        backbone = other or self.backbone
        folder = slug(entry_name_in_full(method, backbone, self.backbone))
        return Entry(entry_name(method, backbone, self.backbone), folder, method, backbone, self.lr, method)

    def run(self, entry: Entry, seed: int) -> TrainConfig:
        """Return the configuration of the training run of one entry and seed, in a folder inside the study's."""
        recipe = {f.name: getattr(self, f.name) for f in fields(TrainingOptions)} | {
            "backbone": entry.backbone,
            "lr": entry.lr,
        }
        return TrainConfig(**recipe, method=entry.spec, seed=seed, out=f"{self.out}/{entry.folder}-{seed}")


@dataclass(frozen=True, kw_only=True)
class DemoConfig(Machine):
    """Options of the demonstration, in which all but the machine, the seed and the folder is settled."""

    seed: Annotated[int, Ge(0), "seed of everything random"] = 0
    out: Annotated[str, "folder for report.html and results.jsonl"] = "demo"
