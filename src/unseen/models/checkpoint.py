"""Checkpoints: weights with their card, and the state to resume a run from bit for bit; safetensors, no pickles."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..core.atomic import replacing
from ..core.errors import UserError
from ..core.registry import build, innermost, name_of
from ..methods.params import laid_out_as
from .backbones import BACKBONES
from .card import Bf16Loss, Card, Quality, read_card_json
from .files import no_such_file
from .limits import building_for, require_small_settings, require_weights

CHECKPOINT = "checkpoint.safetensors"


def save_checkpoint(path: Path, weights: Mapping[str, Tensor], card: Card) -> None:
    """Write a network's state dict with its card, atomically. Raise UserError where the file cannot be written."""
    _write(path, weights, "unseen", card.to_json())


def with_quality(path: Path, quality: Sequence[Quality], bf16: Bf16Loss | None = None) -> Card:
    """Replace the quality in a checkpoint's card.

    The weights stay as they are, bit for bit, and so does the time of the file, which is the age of the weights.

    Args:
        path: the checkpoint, or the folder of a run.
        quality: the measured quality by level.
        bf16: the measured loss by bfloat16; None to keep the card's own, since the weights are the same.

    Returns:
        The new card.

    Raises:
        UserError: where the file is no checkpoint, or cannot be written.
    """
    path = _file_of(path)
    tensors, text = _read(path, "unseen")
    card = read_card_json(text, path)
    card = replace(card, quality=tuple(quality), bf16=bf16 or card.bf16)
    _write(path, tensors, "unseen", card.to_json(), as_old_as=path.stat())
    return card


def load_checkpoint(path: Path, backbone: str = "") -> tuple[nn.Module, Card]:
    """Load the network of a checkpoint, in evaluation mode on the CPU, and its card.

    Args:
        path: the checkpoint, or the folder of a run.
        backbone: the network of the user's own code that the card must name, with its settings; empty for any. The
            code must be trusted (`core.trust`): it is never imported only because a file names it.

    Raises:
        UserError: for anything that is not an intact checkpoint of this package, and a network that is not trusted.
    """
    path = _file_of(path)
    tensors, text = _read(path, "unseen")
    card = read_card_json(text, path)
    spec = card.config["backbone"]
    try:
        built_in = name_of(innermost(spec, BACKBONES, "backbone")) in BACKBONES
        if not built_in and backbone not in ("", spec):
            raise UserError(f"backbone: {spec!r:.100} was trained, and not {backbone!r}")
        if built_in:
            require_small_settings(spec, "backbone")
        with building_for(tensors):
            network = build(spec, BACKBONES, "backbone", nn.Module)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = shorten(str(error).splitlines()[1], 200)
        raise UserError(f"{path}: the weights do not fit {spec!r:.100}: {reason}") from error
    return network.eval(), card


def read_card(path: Path) -> Card:
    """Read the card of a checkpoint, or of the folder of a run; nothing that the card names is built or imported.

    Raises:
        UserError: for anything that is not a checkpoint of this package.
    """
    path = _file_of(path)
    return read_card_json(_read(path, "unseen", weights=False)[1], path)


def _file_of(path: Path) -> Path:
    """The checkpoint of a run's folder, or `path` itself if it is a file. Raises UserError for a folder of runs."""
    runs = sorted(file.parent for file in path.glob(f"*/{CHECKPOINT}"))
    if runs and not (path / CHECKPOINT).exists():
        raise UserError(f"{path}: holds {len(runs)} runs; give one of them, such as {runs[0]}")
    return path / CHECKPOINT if path.is_dir() else path


def save_state(path: Path, tensors: Mapping[str, Mapping[str, Tensor]], facts: Mapping[str, Any]) -> None:
    """Write the state to resume a run from, atomically: groups of tensors by name, and facts that JSON can hold."""
    flat = {f"{group}/{name}": value for group, members in tensors.items() for name, value in members.items()}
    _write(path, flat, "unseen-resume", json.dumps(facts))


def load_state(path: Path) -> tuple[dict[str, dict[str, Tensor]], str]:
    """Read a file of `save_state`: groups of tensors, and the JSON of the facts. Raise UserError for any other file."""
    flat, text = _read(path, "unseen-resume")
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in flat.items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = value
    return groups, text


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimiser's state, keyed `INDEX.NAME`; its settings belong to the configuration."""
    state = optimiser.state_dict()["state"]
    return {f"{i}.{name}": value for i, entries in state.items() for name, value in entries.items()}


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore an optimiser's state from the tensors of `optimiser_tensors`.

    Raises:
        ValueError: for tensors that are not of this optimiser with these parameters, and numbers of steps below 0.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    shapes = {
        f"{i}.{name}": shape
        for i, parameter in enumerate(parameters)
        for name, shape in _state_shapes(optimiser, parameter.shape).items()
    }
    if tensors:
        require_shapes(tensors, shapes)
    if odd := next((name for name, value in tensors.items() if name.endswith(".step") and value < 0), None):
        raise ValueError(f"{odd}: a number of steps below 0")
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        i, _, name = key.partition(".")
        parameter = parameters[int(i)]
        state.setdefault(int(i), {})[name] = laid_out_as(parameter, value) if value.dim() else value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _state_shapes(optimiser: torch.optim.Optimizer, shape: torch.Size) -> dict[str, Sequence[int]]:
    """The shapes of what an optimiser, Adam, AdamW or SGD, keeps of a parameter of a shape, by name."""
    if isinstance(optimiser, torch.optim.SGD):
        return {"momentum_buffer": shape} if optimiser.defaults["momentum"] else {}
    return {"step": (), "exp_avg": shape, "exp_avg_sq": shape}


def require_shapes(tensors: Mapping[str, Tensor], shapes: Mapping[str, Sequence[int]]) -> None:
    """Check that tensors are those expected, by name and shape. Raises ValueError naming the first that is not."""
    for name in sorted(tensors.keys() | shapes.keys()):
        if name not in tensors or name not in shapes:
            raise ValueError(f"{name!r:.100} is {'missing' if name in shapes else 'unknown'}")
        if tuple(tensors[name].shape) != tuple(shapes[name]):
            raise ValueError(f"{name!r:.100}: shape {tuple(tensors[name].shape)}, expected {tuple(shapes[name])}")


def _write(
    path: Path, tensors: Mapping[str, Tensor], key: str, text: str, as_old_as: os.stat_result | None = None
) -> None:
    whole = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
    # Not by `save_file`: it goes through a temporary file of its own, and dies by SIGBUS where the disk is full.
    with replacing(path) as temporary:
        temporary.write_bytes(save(whole, {key: text}))
        if as_old_as is not None:
            os.utime(temporary, ns=(as_old_as.st_atime_ns, as_old_as.st_mtime_ns))


def _read(path: Path, key: str, weights: bool = True) -> tuple[dict[str, Tensor], str]:
    kind = {"unseen": "a checkpoint of unseen", "unseen-resume": "the saved state of an unseen run"}[key]
    if not path.is_file():
        raise UserError(no_such_file(path, kind))
    require_weights(path, safetensors=True)
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {})[key]
            return {name: file.get_tensor(name) for name in (file.keys() if weights else ())}, text
    except (SafetensorError, KeyError, OSError, ValueError, TypeError) as error:  # ValueError: metadata of no UTF-8
        raise UserError(f"{path}: not {kind}, or damaged") from error
