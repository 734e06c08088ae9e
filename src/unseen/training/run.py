"""A training run, built from its configuration."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core.errors import UserError, one_line
from ..core.randomness import derive
from ..core.registry import build, name_of
from ..core.shares import ALONE, Shares
from ..data.device_patches import DevicePatches
from ..data.patches import Patches
from ..methods import METHODS, Batch, Method, Objective, objective_for
from ..methods.averaging import WeightAverage, ema_share
from ..models.backbones import BACKBONES
from ..models.card import EarlierTraining
from ..models.channels import require_channels
from ..models.checkpoint import load_checkpoint, read_card
from ..models.inference import on_device
from ..protocols.confounder import Synthetic
from ..protocols.protocol import Protocol
from .config import Select, TrainConfig, TrainingOptions
from .distributed import ONE, Ranks
from .engine import Engine, engine_for
from .episode_source import EpisodeSource
from .optimiser import outer_optimiser
from .out_of_memory import memory_advice
from .training_data import TrainingData, protocol_of
from .validation import Validation


@dataclass(frozen=True)
class TrainingRun:
    """The objects of one training, built from its configuration and checked: the training loop works with them.

    Attributes:
        config: the configuration, `device`, `threads` and `precision` resolved.
        protocol: the protocol, enlarged beforehand if the configuration says so.
        method: the training method.
        network: the network, on its device.
        parameters: the parameters that are trained, by name.
        start: the values of `parameters` before the first step; empty if the run neither makes diagnoses nor keeps a
            share of them (`init_share`).
        objective: the loss of the network as a function of its parameters.
        outer: the outer optimiser.
        average: the average of the weights that is validated and kept, if the options ask for one.
        episodes: the source of the episodes: confounders, patches, how they are drawn.
        engine: the way in which a step's gradient is computed.
        validation: the validation photographs with their levels.
        ranks: this process among all that train the network.
        data: digest of the training photographs.
        photographs: the number of training photographs, without those of validation.
        skipped: files that could not be read, each with its reason.
        earlier: the training with whose weights this one begins; None where it begins with random ones.
    """

    config: TrainConfig
    protocol: Protocol
    method: Method
    network: nn.Module
    parameters: dict[str, nn.Parameter]
    start: dict[str, Tensor]
    objective: Objective
    outer: torch.optim.Optimizer
    average: WeightAverage | None
    episodes: EpisodeSource
    engine: Engine
    validation: Validation
    ranks: Ranks
    data: str
    photographs: int
    skipped: list[str]
    earlier: EarlierTraining | None = None

    @classmethod
    def of(cls, config: TrainConfig, ranks: Ranks = ONE, data: TrainingData | None = None) -> TrainingRun:
        """Build all that `config` names, for this process among all that train the network.

        Args:
            config: the configuration, `device`, `threads` and `precision` resolved.
            ranks: this process among all that train the network.
            data: the data that the configuration names, where it is loaded already.

        Raises:
            UserError: something that the configuration names cannot be used; the message names the field.
        """
        config.check()
        refuse_unequal_shares(config, ranks)
        torch.set_num_threads(config.threads)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False  # fp32 has its digits: a finite difference is made of the last ones
        protocol = protocol_of(config)
        method = build(config.method, METHODS, "method", Method)
        if method.trains_on == "all" and name_of(config.method).casefold() != "ceiling":
            raise UserError(f"method: {config.method!r} trains on unseen levels; only `ceiling` is labelled so")
        refuse_unsuited_options(config, config.method, method)
        network = on_device(initial_network(config), config.device)
        parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        if not parameters:
            raise UserError(f"backbone: {config.backbone!r} has no parameters to train")
        refuse_unsuited_protocol(config, protocol)
        require_channels(network, config.backbone, protocol)
        training_data = data or TrainingData.of(config, protocol, method)
        keeps_start = bool(config.diagnose or config.init_share)
        shares = ranks if config.sync == "exact" else ALONE
        objective = objective_for(network, config.loss, config.accumulate, config.precision == "bf16", shares)
        episodes = episode_source(config, training_data, config.batch * shares.world // ranks.world, shares)
        return cls(
            config=config,
            protocol=protocol,
            method=method,
            network=network,
            parameters=parameters,
            start={name: p.detach().clone() for name, p in parameters.items()} if keeps_start else {},
            objective=objective,
            outer=outer_optimiser(config, parameters.values()),
            average=WeightAverage(ema_share(config.ema)) if config.ema else None,
            episodes=episodes,
            engine=engine_for(config, method, objective, parameters, episodes),
            validation=Validation.of(
                training_data.split.validation,
                {name: p.validation for name, p in training_data.pairs.items()},
                protocol,
                oracle=config.select == "oracle",
            ),
            ranks=ranks,
            data=training_data.digest(),
            photographs=sum(len(split.train) for split in training_data.splits()),
            skipped=[
                f"{skipped.name}: {skipped.reason}" for split in training_data.splits() for skipped in split.skipped
            ],
            earlier=EarlierTraining.of(read_card(Path(config.init))) if config.init else None,
        )

    @property
    def exact(self) -> bool:
        """Whether every gradient is that of all processes together, so that they draw one episode and share a state."""
        return self.config.sync == "exact"

    @property
    def select(self) -> Select:
        """The rule by which weights are chosen: the method's own, or the one that the options name."""
        return self.method.select or self.config.select

    def state_holders(self) -> dict[str, Method | WeightAverage]:
        """What keeps a state from step to step beside network and optimiser, by its name in the saved state."""
        return {"method": self.method} | ({"average": self.average} if self.average else {})


WEIGHTLESS = "kept_brightness="
"""Beginning of the setting that a network may gain or lose from one training to the next."""


def initial_network(config: TrainConfig) -> nn.Module:
    """The network that a training begins with: of random weights, or of those that `init` names.

    Raises:
        UserError: `init` names no checkpoint, or one whose weights are not those that `backbone` has.
    """
    torch.manual_seed(derive(config.seed, "weights"))
    if not config.init:
        return build(config.backbone, BACKBONES, "backbone", nn.Module)
    earlier, card = load_checkpoint(Path(config.init), config.backbone)
    before = card.config["backbone"]
    if before == config.backbone:
        return earlier
    if _with_weights(before) != _with_weights(config.backbone):
        raise UserError(f"init: {config.init} is of {before!r:.100}, and --backbone is {config.backbone!r}")
    network = build(config.backbone, BACKBONES, "backbone", nn.Module)
    network.load_state_dict(earlier.state_dict())
    return network


def _with_weights(spec: str) -> tuple[str, list[str]]:
    """Name and settings of a backbone, without those on which no weight depends."""
    name, _, settings = spec.partition(":")
    return name, [setting for setting in settings.split(",") if setting and not setting.startswith(WEIGHTLESS)]


def episode_source(config: TrainConfig, data: TrainingData, batch: int, shares: Shares) -> EpisodeSource:
    """The source of a training's episodes.

    Args:
        config: the configuration of the training.
        data: the data that the configuration names.
        batch: the images in a batch of which `shares` names the part that is made here.
        shares: the share of each batch that is made here.
    """
    photos = [copy for photo in data.split.train for copy in photo.copies]
    patches, device = Patches(photos, config.patch), torch.device(config.device)
    photographs = DevicePatches(patches, device) if config.draws == "device" else None
    return EpisodeSource(data.confounders(config.patch), patches, photographs, batch, config.content, device, shares)


def refuse_unsuited_protocol(config: TrainConfig, protocol: Protocol) -> None:
    """Refuse options that a protocol has no use for.

    Raises:
        UserError: naming the option.
    """
    if config.patch % protocol.step:
        raise UserError(f"patch: {config.patch} is no multiple of {protocol.step}, the scale of {protocol.name}")
    if config.select == "oracle" and not any(isinstance(c, Synthetic) for c in protocol.unseen):
        raise UserError(f"select: oracle needs unseen levels that can be made, and {protocol.name} has none")


def refuse_unequal_shares(config: TrainConfig, ranks: Ranks) -> None:
    """Refuse a batch of which the processes cannot all have as many images, in as many pieces.

    Raises:
        UserError: naming the option.
    """
    pieces = ranks.world * config.accumulate
    if config.batch % pieces:
        of_each = f", in {config.accumulate} pieces each" if config.accumulate > 1 else ""
        raise UserError(
            f"batch: {ranks.world} processes cannot share {config.batch} images equally{of_each}; "
            f"give a multiple of {pieces}"
        )
    if config.engine == "graph" and config.sync == "exact" and ranks.world > 1:
        raise UserError("engine: a graph holds no exchange between processes; take --engine auto, or --sync meta")


def refuse_unsuited_options(config: TrainingOptions, spec: str, method: Method) -> None:
    """Refuse options that a method cannot be trained with.

    Args:
        config: the options.
        spec: the method as the user gave it.
        method: the method.

    Raises:
        UserError: naming the option.
    """
    if config.ema and type(method).weights is not Method.weights:
        raise UserError(f"ema: {spec!r} averages its weights by itself; leave --ema out")
    if config.select != "last" and method.select:
        raise UserError(f"select: {spec!r} chooses its weights by itself, on {method.select} levels; leave it out")
    if config.accumulate > 1 and method.takes_whole_batches:
        raise UserError(f"accumulate: {spec!r} needs all images of a batch at once; leave it out, or lower --batch")
    if config.engine == "graph" and not method.capturable:
        raise UserError(f"engine: a graph cannot hold {spec!r}, whose steps are not all alike; take --engine auto")


def refuse_unsuitable(run: TrainingRun, batch: Batch) -> None:
    """Refuse a network that is not a function of its input, or that does not suit the method.

    Args:
        run: the training that is about to begin.
        batch: a batch to try the network on.

    Raises:
        UserError: no method could train the network, or not this method.
    """
    config = run.config
    try:
        with memory_advice(config, run.method):
            run.objective.check({}, batch)
    except (ValueError, RuntimeError, TypeError) as error:
        raise UserError(f"backbone: {config.backbone!r}: {one_line(error)}") from error
    try:
        with memory_advice(config, run.method):
            run.method.check(run.objective, run.parameters, batch)
    except (ValueError, RuntimeError, TypeError) as error:
        named = f"method: {config.method!r} with backbone {config.backbone!r}"
        raise UserError(f"{named}: {one_line(error)}") from error


def tested_network(run: TrainingRun) -> nn.Module:
    """The network to validate and save: with its own weights, or with their average if run or method keeps one.

    With `init_share`, between these and the initial weights (Wortsman et al. 2022, *Robust fine-tuning of zero-shot
    models*, equation 1): a share of what a training on other data took away comes back.
    """
    weights = (run.average or run.method).weights(run.parameters)
    if share := run.config.init_share:
        weights = {name: torch.lerp(value.detach(), run.start[name], share) for name, value in weights.items()}
    if weights is run.parameters:
        return run.network
    network = deepcopy(run.network)
    network.load_state_dict({name: value.detach() for name, value in weights.items()}, strict=False)
    return network
