"""The state of a training run, in memory and on disk."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor

from ..core.atomic import write_text
from ..core.config import CONFIG, load_config, save_config
from ..core.errors import UserError, one_line
from ..core.jsonl import Amount, Count, Finite, Measured, MeasuredByName, Natural, Score, from_json
from ..core.version import __version__
from ..methods.objective import Tally
from ..models.card import Card
from ..models.checkpoint import (
    CHECKPOINT,
    load_optimiser,
    load_state,
    optimiser_tensors,
    require_shapes,
    save_checkpoint,
    save_state,
)
from .config import TrainConfig
from .distributed import StepReport
from .provenance import save_provenance
from .run import TrainingRun, tested_network
from .validation import write_quality

LOG = "log.jsonl"
"""The learning curve of a training, one JSON object a validation."""

TRAIN_LOG = "train.log"
"""What a training said while it ran, for people."""

KEPT = "kept"
"""The folder, in a run's, of the weights that were kept on its way."""

EVENTS = "events.out.tfevents.*"
"""The files that TensorBoard reads, by a pattern of their names."""

DIAGNOSES = "diagnostics.jsonl"
"""The diagnoses of a training, one JSON object a diagnosis."""


SETTLED_EVERY = 20
"""Steps on a GPU between two looks at the losses: each look waits for all steps that the GPU has still to take."""


class Diverged(UserError):  # noqa: N818 (a state of affairs, as in `except Diverged`)
    """Error for a loss that became infinite or NaN."""


@dataclass(frozen=True)
class KeptPoint:
    """A point of a training at which its weights were kept.

    Attributes:
        step: number of outer steps until then.
        evaluations: number of gradient evaluations until then.
        seconds: time of these steps.
    """

    step: Natural
    evaluations: Amount
    seconds: Amount


@dataclass
class TrainingState:
    """The progress of a training, without its tensors; written to resume.safetensors under these names.

    Attributes:
        step: the number of outer steps taken.
        images: the number of images that went forward and backward: gradient evaluations times the batch size.
        seconds: the time spent in steps.
        waiting: the time within `seconds` that went into drawing and distorting images.
        loss: sum of the losses since the last validation.
        calls: number of the losses since the last validation.
        path: length of the way of the weights over all steps, if the options ask for diagnoses.
        clipped: number of steps since the last validation whose gradient was longer than `config.clip`.
        memory: the peak memory of the steps, MiB; 0 where the system does not measure it.
        best: the best PSNR so far of the split by which weights are chosen, dB.
        finished: whether the budget is spent.
        processes: the number of processes that train together.
        protocol: hash of the protocol.
        data: digest of the training photographs.
        log: the learning curve, one point a validation.
        diagnoses: the diagnoses so far, if the options ask for any.
        kept: the points at which weights were kept, if the options ask for any.
    """

    step: Natural = 0
    images: Natural = 0
    seconds: Amount = 0.0
    waiting: Amount = 0.0
    loss: Finite = 0.0
    calls: Natural = 0
    clipped: Natural = 0
    path: Amount = 0.0
    memory: Amount = 0.0
    best: Score = -math.inf
    finished: bool = False
    processes: Count = 1
    protocol: str = ""
    data: str = ""
    log: list[dict[str, Measured]] = field(default_factory=list)
    diagnoses: list[dict[str, MeasuredByName]] = field(default_factory=list)
    kept: list[KeptPoint] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Not saved: a state is settled before it is.
        self.unsettled: list[tuple[StepReport, int, Tensor | int]] = []
        self.stopping = False
        self.clock = Stopwatch()

    def evaluations_spent(self, config: TrainConfig) -> float:
        """Gradient evaluations so far; a batch of another size than `config.batch` counts in proportion."""
        return self.images / config.batch

    def budget_spent(self, config: TrainConfig) -> float:
        """The amount spent so far, in the budget's own unit: gradient evaluations or seconds."""
        return self.seconds if config.limit.unit == "seconds" else self.evaluations_spent(config)

    def affords_a_step(self, config: TrainConfig) -> bool:
        """Whether one more step, at the mean cost of the steps taken, stays within the budget."""
        steps, amount = max(self.step, 1), config.limit.amount
        if config.limit.unit == "seconds":
            return self.seconds * (steps + 1) <= amount * steps
        return self.images * (steps + 1) <= amount * config.batch * steps  # whole numbers, no rounding

    def validation_due(self, config: TrainConfig) -> bool:
        """Whether the next validation is due: validations come at equal shares of the budget, resumed or not."""
        return self.budget_spent(config) >= config.limit.amount * (len(self.log) + 1) / config.validations

    def share_clipped(self) -> float:
        """The share of the steps since the last validation whose gradient was clipped."""
        steps = self.step - (self.log[-1]["step"] or 0 if self.log else 0)
        return self.clipped / max(steps, 1)

    def account(
        self, config: TrainConfig, tally: Tally, report: StepReport, world: int = 1, clipped: Tensor | int = 0
    ) -> None:
        """Add one step to the counts.

        Args:
            config: the configuration of the training.
            tally: the work of the objective in this step, in this process.
            report: what all processes have to say of the step.
            world: the number of processes that took the step.
            clipped: whether the gradient was clipped, 0 or 1.

        Raises:
            Diverged: the losses that are looked at are infinite or NaN.
            UserError: one step costs more than the whole budget.
        """
        self.step += 1
        self.images += tally.images * world
        self.unsettled.append((report, tally.calls, clipped))
        if not isinstance(report.seconds, Tensor):
            self._take_time(report)
        if config.device == "cpu" or self.step % SETTLED_EVERY == 0:
            self.settle(config)
        cost = tally.images * world / config.batch
        if config.limit.unit == "evaluations" and cost > config.limit.amount:
            raise UserError(f"budget: {config.budget} is below one step of {config.method}, which takes {cost:g}")

    def settle(self, config: TrainConfig) -> None:
        """Add the losses and the clips of the last steps to the sums, for which a GPU is waited for.

        Raises:
            Diverged: the sum of the losses is infinite or NaN.
        """
        for report, calls, clipped in self.unsettled:  # step by step: sums do not hang on when a training stopped
            self.calls += calls
            self.loss += float(report.loss)
            self.clipped += int(clipped)
            if isinstance(report.seconds, Tensor):
                self._take_time(report)
        self.unsettled.clear()
        if not math.isfinite(self.loss):
            saved = "what was saved before is kept" if self.log else "nothing was saved yet"
            remedy = "lower lr or inner_lr, in a study with another --out"
            raise Diverged(f"lr: {config.method} diverged at step {self.step}, {saved}; {remedy}")

    def _take_time(self, report: StepReport) -> None:
        self.stopping = self.stopping or bool(report.stop > 0)
        self.seconds += float(report.seconds)
        self.waiting += float(report.waiting)


class Stopwatch:
    """The time that its `with` bodies take, told in laps."""

    def __init__(self) -> None:
        self._before, self._since = 0.0, 0.0

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self._before += time.perf_counter() - self._since

    def lap(self) -> float:
        """The seconds in `with` bodies since the last lap, told within such a body."""
        now = time.perf_counter()
        seconds = self._before + now - self._since
        self._before, self._since = 0.0, now
        return seconds


def new_state(run: TrainingRun) -> TrainingState:
    """The state of a training before its first step."""
    return TrainingState(processes=run.ranks.world, protocol=run.protocol.hash(), data=run.data)


def load_run(run: TrainingRun) -> TrainingState:
    """Restore network, optimisers and method from the files of `save_run`, and return the state.

    Another number of processes may have saved them. Where every process had a state of the method of its own, the
    processes take those in turn.

    Raises:
        UserError: the folder holds no state, or one of another training, protocol or data.
    """
    path = state_file(run.config.folder)
    groups, state = _read_state(path)
    if (path.parent / "resume-1.safetensors").exists():
        raise UserError(f"{path.parent}: was begun by processes of an older version, with a state each; begin it anew")
    own = method_group(run.ranks.rank % state.processes)
    groups["method"] = groups.get(own, groups.get("method", {}))
    try:
        for name, value in groups.items():
            _require_finite(name, value)
        run.network.load_state_dict(groups["network"])
        load_optimiser(run.outer, groups.get("outer", {}))
        for name, holder in run.state_holders().items():
            tensors = groups.get(name, {})
            holder.load_state_dict({key: value.to(run.config.device) for key, value in tensors.items()})
            _require_fit(tensors, run.parameters)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: does not fit this run's configuration: {one_line(error):.200}") from error
    if state.data != run.data:
        raise UserError(f"{path}: was begun with other photographs in {', '.join(run.config.data)}")
    if state.protocol != run.protocol.hash():
        raise UserError(
            f"{path}: was begun before {run.config.protocol} changed, and cannot go on under another protocol"
        )
    state.processes = run.ranks.world
    return state


def method_group(rank: int) -> str:
    """The name of the group of tensors that holds the method's state of a process."""
    return "method" if rank == 0 else f"method-{rank}"


def _require_finite(group: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError for a tensor that holds nan or infinity, which no saved training does."""
    odd = next((name for name, value in tensors.items() if not value.isfinite().all()), None)
    if odd is not None:
        raise ValueError(f"{group}/{odd:.100} holds values that are not finite")


def _require_fit(state: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> None:
    """Raise ValueError for tensors, one a parameter, of a method's state that miss one or are of other shapes."""
    for prefix in {name.partition(".")[0] for name in state if name.partition(".")[2] in parameters}:
        of_prefix = {name: value for name, value in state.items() if name.startswith(f"{prefix}.")}
        require_shapes(of_prefix, {f"{prefix}.{name}": value.shape for name, value in parameters.items()})


def save_run(run: TrainingRun, state: TrainingState, to_checkpoint: bool) -> None:
    """Save all files from which the training can go on; of several processes, the first one does it for all.

    The weights that a finished training keeps are measured first, and the quality goes into their card.

    Args:
        run: the training.
        state: the state of the training.
        to_checkpoint: whether to write the current weights into the checkpoint.
    """
    folder = run.config.folder
    of_method = [run.method.state_dict()] if run.exact else run.ranks.states(run.method.state_dict())
    if run.ranks.rank != 0:
        return
    groups = {
        "network": run.network.state_dict(),
        "outer": optimiser_tensors(run.outer),
        **{name: holder.state_dict() for name, holder in run.state_holders().items()},
        **{method_group(rank): tensors for rank, tensors in enumerate(of_method)},
    }
    write_text(folder / LOG, "".join(json.dumps(point) + "\n" for point in state.log))
    if state.diagnoses:
        write_text(folder / DIAGNOSES, "".join(json.dumps(diagnosis) + "\n" for diagnosis in state.diagnoses))
    if to_checkpoint or not (folder / CHECKPOINT).exists():
        save_checkpoint(folder / CHECKPOINT, tested_network(run).state_dict(), card_of(run, state))
    if state.finished:
        write_quality(folder, run.validation, run.config.backbone, run.config.device)
    save_state(state_file(folder), groups, asdict(state))  # last: its presence means that the rest is saved


def card_of(run: TrainingRun, state: TrainingState) -> Card:
    """The card of a training run. `quality` stays empty until the run has ended and is measured."""
    chosen_on = {"chosen_on": run.method.select} if run.method.select else {}
    return Card(
        version=__version__,
        config=asdict(run.config) | chosen_on,
        protocol_hash=run.protocol.hash(),
        evaluations=state.evaluations_spent(run.config),
        data=run.data,
        photographs=run.photographs,
        levels=tuple(level for level, _ in run.protocol.levels()),
        earlier=run.earlier,
    )


def start_folder(run: TrainingRun) -> None:
    """Remove the files of an earlier training from the folder, and write what is needed to repeat this one."""
    if run.ranks.rank != 0:
        return
    folder = run.config.folder
    state = state_file(folder)  # first: its presence means that the rest is there
    others = [folder / name for name in (CHECKPOINT, LOG, TRAIN_LOG, DIAGNOSES)]
    of_older_version = folder.glob("resume-*.safetensors")
    for path in [state, *of_older_version, *others, *folder.glob(EVENTS), *folder.glob(f"{KEPT}/*.safetensors")]:
        path.unlink(missing_ok=True)
    save_config(folder / CONFIG, run.config)
    save_provenance(run)


def state_file(folder: Path) -> Path:
    """The file in which a training keeps its state."""
    return folder / "resume.safetensors"


def holds_a_run(folder: Path) -> bool:
    """Whether the folder holds the state of a training, begun or finished, which could be lost."""
    return state_file(folder).exists()


def is_finished(folder: Path) -> bool:
    """Whether the training in a folder has spent its budget.

    Raises:
        UserError: the state is damaged.
    """
    return holds_a_run(folder) and state_of(folder).finished


def is_of(run: TrainConfig) -> bool:
    """Whether the folder that `run` names holds this very training, begun or finished.

    The folder may hold another training: a study that was overwritten leaves its folders.
    """
    path = run.folder / CONFIG
    if not (holds_a_run(run.folder) and path.exists()):
        return False
    # Options that an older version did not have count as their defaults; what is shown or credited changes no weights.
    saved = asdict(TrainConfig()) | load_config(path)
    return saved | {"out": run.out, "tensorboard": run.tensorboard, "credits": run.credits} == asdict(run)


def state_of(folder: Path) -> TrainingState:
    """The state of the training in a folder.

    Raises:
        UserError: the state is damaged, or of another version.
    """
    path = state_file(folder)
    return _read_state(path)[1]


def _read_state(path: Path) -> tuple[dict[str, dict[str, Tensor]], TrainingState]:
    """The groups of tensors and the facts in the file of a process. Raises UserError as `state_of` does."""
    groups, facts = load_state(path)
    needed = ("step", "seen_psnr", "held_out_psnr")
    try:
        state = from_json(facts, TrainingState)
        for i, point in enumerate(state.log):
            if odd := next((name for name in needed if point.get(name) is None), None):
                raise ValueError(f"field 'log.{i}': {odd!r} is missing")
    except ValueError as error:
        raise UserError(f"{path}: not the state of a run of unseen {__version__}: {error}") from error
    return groups, state
