"""ONNX files as networks, run by ONNX Runtime: files of unseen, whose metadata hold sizes and scale, and others."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import UserError, one_line
from ..core.installation import install_command
from .backbones.padded import Padded
from .card import Card, read_card_json
from .receptive_field import ReceptiveField
from .spandrel_weights import Adapted

CARD, RECEPTIVE_FIELD, SMALLEST = "unseen", "unseen.reach", "unseen.smallest"
"""Keys in the metadata of files that unseen wrote; values are JSON. The card is missing if the model has none."""

STRENGTH = "strength"
"""Name of the second input of a file of unseen whose network reads the noise itself: float32 (1,), 1 if left out."""

MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
"""Numbers to try, for files of other programs, as the divisor of sides and as the smallest side, pixels."""

MOST = 1024
"""Upper limit in pixels of the stride and the smallest side that a file states: larger ones could fill the memory."""


@dataclass(frozen=True)
class OnnxModel:
    """An opened ONNX file.

    Attributes:
        network: module from float32 (B, 3, H, W) in [0, 1] on the CPU to the restored images, any size from 1×1.
        receptive_field: receptive field that the file states; None where it must be measured.
        card: card of the exported checkpoint, if the file holds one.
        takes_strength: whether the network takes a `strength`, of shape (1,).
    """

    network: Padded
    receptive_field: ReceptiveField | None = None
    card: Card | None = None
    takes_strength: bool = False


PATIENCE = 20.0
"""Seconds that a run may take, whatever its size; the first run is a trial on some thousand pixels."""

MARGIN = 1000.0
"""How many times longer a pixel may take than it did: work may grow faster than the number of pixels."""


class EndlessError(UserError):
    """Error for a run that was ended because it took too long."""


class Session(nn.Module):
    """An ONNX file as a module, run by ONNX Runtime: (B, C, H, W) in and out, on the CPU, from any thread.

    A run is ended after `PATIENCE`, and `MARGIN` times what the slowest run so far took for so many pixels: the file
    may have a loop without end.
    """

    def __init__(self, session: Any, path: Path) -> None:
        super().__init__()
        self.session, self.path = session, path
        self.pace = 0.0  # seconds a pixel
        self.input = session.get_inputs()[0]
        self.dtype = np.float16 if self.input.type == "tensor(float16)" else np.float32

    @property
    def takes_strength(self) -> bool:
        """Whether the file has an input `strength`, which may be left out."""
        return any(value.name == STRENGTH for value in self.session.get_overridable_initializers())

    def forward(self, x: Tensor, strength: Tensor | None = None) -> Tensor:
        """Run the file on (B, C, H, W). Raises EndlessError where the run is ended."""
        inputs = {self.input.name: np.ascontiguousarray(x.numpy(), dtype=self.dtype)}
        if strength is not None:
            inputs[STRENGTH] = strength.numpy()
        pixels = max(x.numel() // x.shape[1], 1)
        seconds = PATIENCE + MARGIN * self.pace * pixels
        options = onnx_runtime().RunOptions()
        timer = Timer(seconds, setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        began = time.monotonic()
        try:
            (restored,) = self.session.run(None, inputs, options)
        except Exception as error:  # ONNX Runtime has an exception for each of its states, and no common one
            if options.terminate:
                size = f"{x.shape[-1]}×{x.shape[-2]} pixels"
                raise EndlessError(f"{self.path}: does not end within {seconds:.0f} s on {size}") from error
            raise
        finally:
            timer.cancel()
        self.pace = max(self.pace, (time.monotonic() - began) / pixels)
        return torch.from_numpy(restored.astype(np.float32, copy=False))


def open_onnx(path: Path, device: str = "cpu") -> OnnxModel:
    """Open an ONNX file that restores, of unseen or of another program.

    The file must have one input and one output, float32 or float16 (B, C, H, W) with C 1 or 3 and any height and width;
    B may be fixed at 1. Images of sizes that the network cannot take are padded, and the output cut (`Padded`); for
    files of other programs, trials find these sizes.

    Args:
        path: the file.
        device: `cpu`, `cuda` or `cuda:1`.

    Raises:
        UserError: where ONNX Runtime is not installed or has no such device, and for any other file.
    """
    session = _session(path, device)
    metadata = session.get_modelmeta().custom_metadata_map
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
    file = Session(session, path)
    network = Adapted(file, gray=channels == 1, singly=isinstance(batch, int)).eval()
    if RECEPTIVE_FIELD not in metadata:
        return OnnxModel(_padded(path, network))
    return replace(_ours(path, network, metadata), takes_strength=file.takes_strength)


def onnx_runtime() -> Any:
    """Import ONNX Runtime without its reports: from 1.32 on it sends its use to its makers, and keeps a number for it.

    Raises:
        ImportError: where it is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported
    import onnxruntime

    return onnxruntime


def _session(path: Path, device: str) -> Any:
    try:
        onnxruntime = onnx_runtime()
    except ImportError as error:
        raise UserError(f"{path}: needs ONNX Runtime: {install_command('onnx')} ({error})") from error
    provider: Any = "CPUExecutionProvider"
    kind, _, number = device.partition(":")
    if kind != "cpu":
        provider = ("CUDAExecutionProvider", {"device_id": int(number or 0)})
        if kind != "cuda" or provider[0] not in onnxruntime.get_available_providers():
            raise UserError(f"{path}: ONNX Runtime has no {device} here; cpu works, cuda needs onnxruntime-gpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # errors are raised; ONNX Runtime would print them, too
    try:
        return onnxruntime.InferenceSession(path, options, providers=[provider])
    except Exception as error:  # ONNX Runtime has an exception for each of its states, and no common one
        reason = one_line(error)[:200]
        raise UserError(f"{path}: no ONNX file that ONNX Runtime can open: {reason}") from error


def _ours(path: Path, network: nn.Module, metadata: dict[str, str]) -> OnnxModel:
    try:
        field = ReceptiveField(**json.loads(metadata[RECEPTIVE_FIELD]))
        smallest = json.loads(metadata[SMALLEST])
        if field.radius is not None:
            _require_within("radius", field.radius, 0, 2**16)
        for name, value in {"stride": field.stride, "scale": field.scale, SMALLEST: smallest}.items():
            _require_within(name, value, 1, MOST)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: its metadata of unseen are damaged ({error}); export it again") from error
    try:
        scale = _scale(network, 2 * smallest, 2 * smallest)
    except EndlessError:
        raise
    except Exception as error:  # as above
        reason = one_line(error)[-200:]
        raise UserError(f"{path}: cannot be run on {2 * smallest} pixels a side: {reason}") from error
    if scale != field.scale:
        raise UserError(f"{path}: states a scale of {field.scale}, but enlarges by {scale}; export it again")
    card = read_card_json(metadata[CARD], path) if CARD in metadata else None
    return OnnxModel(Padded(network, 1, field.scale, smallest=smallest), field, card)


def _require_within(name: str, value: object, least: int, most: int) -> None:
    """Raise ValueError for a value that is not an integer from `least` to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name}: {value!r:.40} is no integer from {least} to {most}")


def _padded(path: Path, network: nn.Module) -> Padded:
    """Wrap a network so that images are padded to the multiple and the smallest size that trials find."""
    reason = ""
    for multiple in MULTIPLES:
        try:
            scale = _scale(network, 64 + multiple, 64 + 3 * multiple)
        except EndlessError:
            raise
        except Exception as error:  # as above
            reason = one_line(error)[-200:]
            continue
        return Padded(network, multiple, scale, smallest=_smallest(network, multiple, scale))
    raise UserError(f"{path}: restores no image whose sides are multiples of 64 or less: {reason}")


def _smallest(network: nn.Module, multiple: int, scale: int) -> int:
    for side in MULTIPLES[MULTIPLES.index(multiple) : -1]:
        try:
            if _scale(network, side, side) == scale:
                return side
        except EndlessError:
            raise
        except Exception:  # as above
            continue
    return MULTIPLES[-1]


def _scale(network: nn.Module, height: int, width: int) -> int:
    """The factor by which an image is enlarged. Raises ValueError where the output is no image of such a size."""
    shape: tuple[int, ...] = tuple(network(torch.full((1, 3, height, width), 0.5)).shape)
    scale = shape[-1] // width
    if not scale or shape != (1, 3, scale * height, scale * width):
        raise ValueError(f"it makes {' × '.join(map(str, shape))} of 1 × 3 × {height} × {width}")
    return scale
