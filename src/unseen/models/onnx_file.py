"""ONNX files as networks, run by ONNX Runtime: ours, which tell what they need, and those of others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import UserError
from .backbones.padded import Padded
from .card import Card, read_card_json
from .receptive_field import ReceptiveField
from .spandrel_weights import Adapted

CARD, RECEPTIVE_FIELD, SMALLEST = "unseen", "unseen.reach", "unseen.smallest"
"""Keys of what our own files tell in their metadata, all as JSON; the card only where there was one."""

MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
"""Of which sizes may have to be multiples, or how small they may be: what is tried with files of others."""

MOST = 1024
"""Pixels that a stride or a smallest side can be: a file that told more could have any memory taken."""


@dataclass(frozen=True)
class Opened:
    """network: float32 (B, 3, H, W) in [0, 1] on the CPU, any size from 1×1. reach: None where it must be measured."""

    network: nn.Module
    reach: ReceptiveField | None = None
    card: Card | None = None


class Session(nn.Module):
    """An ONNX file as a module: (B, C, H, W) on the CPU to the same, by ONNX Runtime; from any thread."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session
        self.input = session.get_inputs()[0]
        self.dtype = np.float16 if self.input.type == "tensor(float16)" else np.float32

    def forward(self, x: Tensor) -> Tensor:
        given = np.ascontiguousarray(x.numpy(), dtype=self.dtype)
        return torch.from_numpy(self.session.run(None, {self.input.name: given})[0].astype(np.float32, copy=False))


def open_onnx(path: Path, device: str = "cpu") -> Opened:
    """An ONNX file that restores, ours or another's.

    It must have one input and one output, float32 or float16 (B, C, H, W) with C 1 or 3 and any height and width; B may
    be fixed at 1. Sizes that it cannot take are continued and cut (`Padded`); files of others show by trial which.

    Raises UserError where ONNX Runtime is not installed or has no such device, and for any other file.
    """
    session = _session(path, device)
    told = session.get_modelmeta().custom_metadata_map
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs; one image to one is needed")
    shape, kind = inputs[0].shape, inputs[0].type
    if kind not in ("tensor(float)", "tensor(float16)") or len(shape) != 4:
        raise UserError(f"{path}: takes {kind} of {len(shape)} dimensions; float images (B, C, H, W) are needed")
    batch, channels, height, width = shape
    if isinstance(height, int) or isinstance(width, int):
        raise UserError(f"{path}: takes images of {width}×{height} pixels alone; export it for any height and width")
    if isinstance(channels, int) and channels not in (1, 3):
        raise UserError(f"{path}: takes images of {channels} channels; RGB or gray is needed")
    if isinstance(batch, int) and batch != 1:
        raise UserError(f"{path}: takes {batch} images at a time alone; export it for any number")
    network = Adapted(Session(session), gray=channels == 1, singly=isinstance(batch, int)).eval()
    return _ours(path, network, told) if RECEPTIVE_FIELD in told else Opened(_padded(path, network))


def _session(path: Path, device: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path}: needs ONNX Runtime: pip install 'unseen[onnx]' ({error})") from error
    provider: Any = "CPUExecutionProvider"
    kind, _, number = device.partition(":")
    if kind != "cpu":
        provider = ("CUDAExecutionProvider", {"device_id": int(number or 0)})
        if kind != "cuda" or provider[0] not in onnxruntime.get_available_providers():
            raise UserError(f"{path}: ONNX Runtime has no {device} here; cpu works, cuda needs onnxruntime-gpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what goes wrong is raised; it would be printed as well
    try:
        return onnxruntime.InferenceSession(path, options, providers=[provider])
    except Exception as error:  # ONNX Runtime has an exception for each of its states, and no common one
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: no ONNX file that ONNX Runtime can open: {reason}") from error


def _ours(path: Path, network: nn.Module, told: dict[str, str]) -> Opened:
    try:
        reach = ReceptiveField(**json.loads(told[RECEPTIVE_FIELD]))
        smallest = json.loads(told[SMALLEST])
        if reach.radius is not None:
            _require_within("radius", reach.radius, 0, 2**16)
        for name, value in {"stride": reach.stride, "scale": reach.scale, SMALLEST: smallest}.items():
            _require_within(name, value, 1, MOST)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: what unseen wrote into it is damaged ({error}); export it again") from error
    try:
        found = _scale(network, 2 * smallest, 2 * smallest)
    except Exception as error:  # as above
        reason = " ".join(str(error).split())[-200:]
        raise UserError(f"{path}: cannot be run on {2 * smallest} pixels a side: {reason}") from error
    if found != reach.scale:
        raise UserError(f"{path}: tells a scale of {reach.scale}, and enlarges by {found}; export it again")
    card = read_card_json(told[CARD], path) if CARD in told else None
    return Opened(Padded(network, 1, reach.scale, smallest=smallest), reach, card)


def _require_within(name: str, value: object, least: int, most: int) -> None:
    """Raises ValueError for what is no integer, or beyond."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name}: {value!r:.40} is no integer from {least} to {most}")


def _padded(path: Path, network: nn.Module) -> Padded:
    """With the multiple, the scale and the smallest size that trials show."""
    reason = ""
    for multiple in MULTIPLES:
        try:
            scale = _scale(network, 64 + multiple, 64 + 3 * multiple)
        except Exception as error:  # as above
            reason = " ".join(str(error).split())[-200:]
            continue
        return Padded(network, multiple, scale, smallest=_smallest(network, multiple, scale))
    raise UserError(f"{path}: restores no image whose sides are multiples of 64 or less: {reason}")


def _smallest(network: nn.Module, multiple: int, scale: int) -> int:
    for side in MULTIPLES[MULTIPLES.index(multiple) : -1]:
        try:
            if _scale(network, side, side) == scale:
                return side
        except Exception:  # as above
            continue
    return MULTIPLES[-1]


def _scale(network: nn.Module, height: int, width: int) -> int:
    """By how much an image is enlarged. Raises ValueError where the result is no image, or of another form."""
    found: tuple[int, ...] = tuple(network(torch.full((1, 3, height, width), 0.5)).shape)
    scale = found[-1] // width
    if not scale or found != (1, 3, scale * height, scale * width):
        raise ValueError(f"it makes {' × '.join(map(str, found))} of 1 × 3 × {height} × {width}")
    return scale
