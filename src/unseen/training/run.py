"""A training run, built from its configuration."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from ..core.errors import UserError
from ..core.randomness import derive
from ..core.registry import build, name_of
from ..data.patches import Patches
from ..methods import METHODS, Batch, Method, Objective, objective_for
from ..models.backbones import BACKBONES
from ..models.inference import on_device
from ..protocols.confounder import Confounder, Synthetic
from ..protocols.protocol import Protocol
from .config import TrainConfig
from .training_data import TrainingData, protocol_of
from .validation import Validation


@dataclass(frozen=True)
class TrainingRun:
    """What a configuration describes, built: everything the loop works with."""

    config: TrainConfig
    protocol: Protocol
    confounders: tuple[Confounder, ...]
    method: Method
    network: nn.Module
    objective: Objective
    outer: torch.optim.Optimizer
    patches: Patches
    validation: Validation
    data: str
    photographs: int
    skipped: list[str]

    @classmethod
    def of(cls, config: TrainConfig) -> TrainingRun:
        """Raises UserError, naming the field, for whatever the configuration names that cannot be used."""
        config.check()
        torch.set_num_threads(config.threads)
        torch.backends.cudnn.deterministic = True
        protocol = protocol_of(config)
        method = build(config.method, METHODS, "method", Method)
        if method.sees_unseen and name_of(config.method).casefold() != "ceiling":
            raise UserError(f"method: {config.method!r} trains on unseen levels; only `ceiling` is labelled so")
        torch.manual_seed(derive(config.seed, "weights"))
        network = build(config.backbone, BACKBONES, "backbone", nn.Module)
        network = on_device(network, config.device)
        if not any(parameter.requires_grad for parameter in network.parameters()):
            raise UserError(f"backbone: {config.backbone!r} has no parameters to train")
        if config.patch % protocol.step:
            raise UserError(f"patch: {config.patch} is no multiple of {protocol.step}, the scale of {protocol.name}")
        if config.select == "oracle" and not any(isinstance(c, Synthetic) for c in protocol.unseen):
            raise UserError(f"select: oracle needs unseen levels that can be made, and {protocol.name} has none")
        material = TrainingData.of(config, protocol, method)
        return cls(
            config=config,
            protocol=protocol,
            confounders=material.confounders(config.patch),
            method=method,
            network=network,
            objective=objective_for(network, config.loss),
            outer=torch.optim.Adam(network.parameters(), lr=config.lr),
            patches=Patches(material.split.train, config.patch),
            validation=Validation.of(
                material.split.validation,
                {name: p.validation for name, p in material.pairs.items()},
                protocol,
                oracle=config.select == "oracle",
            ),
            data=material.digest(),
            photographs=sum(len(part.train) for part in material.splits()),
            skipped=[f"{skipped.name}: {skipped.reason}" for part in material.splits() for skipped in part.skipped],
        )


def parameters_of(run: TrainingRun) -> dict[str, nn.Parameter]:
    """What is trained, by name."""
    return {name: p for name, p in run.network.named_parameters() if p.requires_grad}


def refuse_unsuitable(run: TrainingRun, batch: Batch) -> None:
    """Before the first step: a network that is no function of its input cannot be trained by any method, and one
    that cannot be differentiated twice not by a method of second order."""
    config, parameters = run.config, parameters_of(run)
    try:
        run.objective.check({}, batch)
    except (ValueError, RuntimeError, TypeError) as error:
        raise UserError(f"backbone: {config.backbone!r}: {' '.join(str(error).split())}") from error
    try:
        run.method.check(run.objective, parameters, batch)
    except (ValueError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"method: {config.method!r} with backbone {config.backbone!r}: {reason}") from error


def tested_network(run: TrainingRun) -> nn.Module:
    """The network with the weights that stand for the training so far: its own, unless the method averages."""
    parameters = parameters_of(run)
    weights = run.method.weights(parameters)
    if weights is parameters:
        return run.network
    network = deepcopy(run.network)
    network.load_state_dict({name: value.detach() for name, value in weights.items()}, strict=False)
    return network
