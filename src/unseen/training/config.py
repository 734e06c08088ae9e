"""Options of `unseen train`: how to train, and one method to train by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from annotated_types import Ge, Gt, Le, Lt, Predicate

from ..core.config import Machine, check_values, slug
from ..core.errors import UserError
from ..core.installation import install_command
from ..core.precision import Precision, native_bf16
from ..core.trust import Names
from ..core.units import Budget, is_memory
from ..protocols.levels import Split

Select: TypeAlias = Literal["last", "seen", "held-out", "oracle"]
Draws: TypeAlias = Literal["exact", "device"]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(Machine):
    """The options of training that hold for every method."""

    protocol: Annotated[str, "a protocol by name (see `unseen list protocols`) or a YAML file"] = "denoise"
    backbone: Annotated[str, Names(), "network, with settings: rrdb_small:features=24,blocks=3"] = "rrdb_small"
    data: Annotated[
        list[str], "folders of clean photos, or packs of them; or embedded, dead_leaves, dead_leaves:500"
    ] = field(default_factory=lambda: ["embedded"])
    credits: Annotated[str, "for the card: where the photos are from, and where their authors are named"] = ""
    pairs: Annotated[
        list[str], "recorded pairs that the protocol trains on: NAME=INPUT_DIR:TARGET_DIR, or NAME=PACK"
    ] = field(default_factory=list)
    memory: Annotated[
        str,
        Predicate(is_memory),
        "what the photos of a folder may take, such as 512MiB: of more, one window of each is used; a pack takes none",
    ] = "2GiB"
    shrink: Annotated[
        float,
        Ge(1),
        Le(8),
        "train on three copies of each photo, shrunk by up to this factor, without the traces of its JPEG and noise",
    ] = 1.0
    enlarge: Annotated[
        bool, "of a protocol that enlarges: enlarge the input bicubically, keep sizes in the network"
    ] = False
    budget: Annotated[
        int | str,
        Predicate(Budget.accepts),
        "gradient evaluations (forward and backward passes of one batch), or time in training: 30min",
    ] = 10_000
    batch: Annotated[int, Ge(1), "images in a batch, of all processes together"] = 8
    patch: Annotated[int, Ge(1), "side of a training patch, pixels"] = 40
    accumulate: Annotated[
        int,
        Ge(1),
        "pieces of a batch, computed one after another in the memory of one; the same gradient",
    ] = 1
    content: Annotated[
        Literal["counterfactual", "independent"], "same clean patches under every distortion, or each its own"
    ] = "counterfactual"
    loss: Annotated[
        Literal["l1", "l2", "huber", "log_mse", "sqrt_rmse"],
        "what is minimised; log_mse, sqrt_rmse: log of the squared error, root of the root mean squared error of each "
        "image, so that weak noise weighs as much, or nearly",
    ] = "l1"
    optimiser: Annotated[
        Literal["adam", "adamw", "sgd"],
        "optimiser that moves the weights by the gradient of the method",
    ] = "adam"
    lr: Annotated[float, Gt(0), "learning rate of the outer optimiser"] = 1e-3
    weight_decay: Annotated[
        float,
        Ge(0),
        "share of the weights that a step takes away, times lr (adamw), or that is added to the gradient (sgd)",
    ] = 0.0
    momentum: Annotated[float, Ge(0), Lt(1), "momentum of sgd"] = 0.0
    clip: Annotated[float, Ge(0), "norm over all weights to which a longer gradient is shortened; 0: no clipping"] = 0.0
    warmup: Annotated[
        float, Ge(0), Lt(1), "share of the budget in which the learning rate rises from 0; the schedule has the rest"
    ] = 0.0
    schedule: Annotated[
        Literal["cosine", "constant", "published"], "cosine to zero; constant; halved after two thirds"
    ] = "cosine"
    ema: Annotated[
        float,
        Ge(0),
        Lt(1),
        "validate and keep an average of the weights, of which a step keeps this share, such as 0.999; 0: no average",
    ] = 0.0
    precision: Annotated[
        Precision,
        "type in which the network multiplies in training; weights, loss, second derivatives stay in fp32; "
        "auto: bf16 where the device has it",
    ] = "fp32"
    draws: Annotated[
        Draws,
        "exact: noise from a seed for each image, the same on every machine; device: drawn where the network trains",
    ] = "exact"
    engine: Annotated[
        Literal["eager", "graph", "auto"],
        "eager: operation by operation; graph: each step as one CUDA graph; auto: a graph where that is possible",
    ] = "eager"
    select: Annotated[
        Select, "keep the last weights, or the best on seen or held-out levels; oracle: on unseen ones, and said so"
    ] = "last"
    validations: Annotated[int, Ge(1), "how often to validate, and to save for --resume, in a run"] = 10
    keep: Annotated[
        int,
        Ge(0),
        Le(1000),
        "keep the weights at so many shares of the budget, for evaluate and compare to test; 0: none",
    ] = 0
    keep_spacing: Annotated[
        Literal["even", "geometric"], "--keep at equal shares; or each share the same multiple of the last, from 1 %"
    ] = "even"
    diagnose: Annotated[
        int, Ge(0), "diagnose gradients, curvature and net bias once in this many steps, outside the budget; 0: never"
    ] = 0
    tensorboard: Annotated[
        bool, "write curves and restored pictures for TensorBoard at each validation, outside the budget"
    ] = False

    @cached_property
    def limit(self) -> Budget:
        """The budget with its unit. Raises UserError if `budget` cannot be read as an amount."""
        return Budget.parse(self.budget)

    def resolved(self) -> Self:
        """Replace `auto` by the best device and by the precision that it has, and 0 by the number of threads.

        Raises:
            UserError: for a device that is absent, or a number of threads out of range.
        """
        config = super().resolved()
        if config.precision != "auto":
            return config
        return replace(config, precision="bf16" if native_bf16(config.device) else "fp32")

    def check(self) -> None:
        """Raise UserError, naming the field, for a value that does not fit."""
        check_values(self)
        if not self.data or not all(self.data):  # an empty name would be the current folder
            raise UserError("data: no folder given; leave it out for the embedded photographs")
        if self.engine == "graph" and not self.device.startswith(("cuda", "auto")):
            raise UserError(f"engine: a graph needs a CUDA GPU, and the device is {self.device}; take --engine eager")
        if self.batch % self.accumulate:
            raise UserError(
                f"accumulate: a batch of {self.batch} cannot be cut into {self.accumulate} equal pieces; "
                "give a number that divides --batch"
            )
        if self.optimiser == "adam" and self.weight_decay:
            raise UserError("weight_decay: adam would divide it by the scale of the gradients; take --optimiser adamw")
        if self.optimiser == "adamw" and not self.weight_decay:
            raise UserError("weight_decay: at 0 adamw is adam; give --weight-decay, such as 0.01, or --optimiser adam")
        if self.optimiser != "sgd" and self.momentum:
            raise UserError(f"momentum: {self.optimiser} has its own; leave it out, or take --optimiser sgd")
        if self.keep_spacing != "even" and not self.keep:
            raise UserError("keep_spacing: there is nothing to space without --keep, such as --keep 20")
        if self.tensorboard and find_spec("tensorboard") is None:
            raise UserError(f"tensorboard: needs TensorBoard: {install_command('tensorboard')}")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainingOptions):
    """Options of the training of one network by one method."""

    method: Annotated[str, Names(), "training method, with settings: dil_sf:inner_lr=1e-4"] = "dil_sf"
    init: Annotated[
        str,
        "run or checkpoint whose weights the network starts from, those of --backbone; random ones if left out",
    ] = ""
    init_share: Annotated[
        float, Ge(0), Lt(1), "share of the weights of --init in those that are validated and kept: 0.5 is halfway"
    ] = 0.0
    seed: Annotated[int, Ge(0), "seed of everything random"] = 0
    sync: Annotated[
        Literal["exact", "meta"],
        "of several processes, exact: every gradient is of the whole batch, as in one process; "
        "meta: each takes the method's steps on its own share, gradients meet once a step",
    ] = "exact"
    out: Annotated[str, "folder of the run; runs/PROTOCOL-METHOD-SEED if left out"] = ""

    def check(self) -> None:
        """Raise UserError, naming the field, for a value that does not fit."""
        super().check()
        if self.init_share and not self.init:
            raise UserError("init_share: there are no weights to share without --init")

    @property
    def folder(self) -> Path:
        """The folder that the run is written to."""
        return Path(self.out or f"runs/{Path(self.protocol).stem}-{slug(self.method)}-{self.seed}")


CHOSEN_ON: dict[Select, Split] = {"seen": "seen", "held-out": "held-out", "oracle": "unseen"}
"""The levels on which the best weights are chosen; `last` chooses nothing and is not here."""
