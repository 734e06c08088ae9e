"""Models ready to restore, loaded by name or by path, whichever program wrote them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from ..core.errors import UserError, one_line
from ..core.precision import Precision, native_bf16
from ..core.units import ValueRange
from .backbones.shared import ReadsNoise
from .backbones.wne import WNE, image_statistics
from .card import MOST_LOST, Card
from .channels import in_colour, restores_by_channel
from .checkpoint import load_checkpoint
from .files import located
from .inference import noise_map_of, on_device, require_bf16, restore_batch
from .onnx_file import open_onnx
from .receptive_field import ReceptiveField, receptive_field_of
from .spandrel_weights import WEIGHTS, is_ours, load_weights
from .value_range import in_unit_range

MOST_STRENGTH = 2.0
"""Largest factor of the noise that a network reads."""


def _unchanged(images: Tensor) -> Tensor:
    """The images themselves."""
    return images


@dataclass(frozen=True)
class Model:
    """A network that restores, with its name and receptive field; its own or another program's file.

    Attributes:
        name: name of the model, for messages.
        run: function from float32 (B, 3, H, W) in [0, 1] on the CPU to float32 (B, 3, scale·H, scale·W) on the CPU, not
            clipped; any size from 1×1, from any thread.
        receptive_field: radius, stride and scale of the network.
        card: card of a checkpoint of unseen; None for other models.
        exact: the function in float32, where `run` multiplies in bfloat16 (`restore_batch`); None where `run` does not.
        takes_statistics: whether `run` takes the `image_statistics` of the images that its input is tiles of, as
            `statistics`: else it takes its input for whole images.
        takes_strength: whether `run` takes a `strength`, of shape (1,): a factor of what the network read of the noise.
        strength: the factor that `run` is bound to.
        noise_map: function from images as of `run` to the noise that the network reads in them, whatever the strength:
            its deviation in units of the range, (B, channels, h, w); None where there is no such map.
        bytes_per_pixel: memory that `run` takes for each pixel, as the network states it; 0 if it has to be measured.
        takes_rows: whether `run` takes an image in bands, with the `CarriedRows` between them as `rows`.
        by_channel: whether the network is one for gray images, which restores each colour channel by itself.
    """

    name: str
    run: Callable[..., Tensor]
    receptive_field: ReceptiveField
    card: Card | None = None
    exact: Callable[[Tensor], Tensor] | None = None
    takes_statistics: bool = False
    takes_strength: bool = False
    strength: float = 1.0
    noise_map: Callable[..., Tensor] | None = None
    bytes_per_pixel: float = 0.0
    takes_rows: bool = False
    by_channel: bool = False

    def with_strength(self, strength: float) -> Self:
        """The same model, which takes the noise for `strength` times as strong as the network reads it.

        Args:
            strength: from 0 to `MOST_STRENGTH`; 1 for what the network reads. At 0 a model that keeps sizes returns
                the images themselves, and its network is not run.

        Raises:
            UserError: another strength than 1 where the network takes none, and one out of range.
        """
        if strength == self.strength:
            return self
        if not self.takes_strength:
            raise UserError(f"strength: {self.name} takes none, as it does not read the noise itself; leave it at 1")
        if not 0 <= strength <= MOST_STRENGTH:
            raise UserError(f"strength: {strength:g} is not from 0 to {MOST_STRENGTH:g}")
        if strength == 0 and self.receptive_field.scale == 1:
            unchanged = replace(self, run=_unchanged, exact=None, strength=0.0, takes_strength=False)
            return replace(unchanged, takes_statistics=False, takes_rows=False)
        return replace(self._with(strength=torch.tensor([strength])), strength=strength)

    def with_statistics(self, statistics: Tensor) -> Self:
        """The same model for tiles of images with these statistics, (B, 2) or (1, 2); itself if it takes none."""
        if not self.takes_statistics:
            return self
        noise_map = self.noise_map and partial(self.noise_map, statistics=statistics)
        return replace(self._with(statistics=statistics), noise_map=noise_map, takes_statistics=False)

    def for_tiles_of(self, images: Tensor) -> Self:
        """The same model for tiles of images (B, 3, H, W); itself if tiles are all that it needs."""
        return self.with_statistics(image_statistics(images)) if self.takes_statistics else self

    def _with(self, **settings: Tensor) -> Self:
        """The same model whose `run` and `exact` get `settings` besides the images."""
        exact = self.exact and partial(self.exact, **settings)
        return replace(self, run=partial(self.run, **settings), exact=exact)


def load_model(
    spec: str,
    device: str = "cpu",
    backbone: str = "",
    value_range: ValueRange = "auto",
    precision: Precision = "fp32",
) -> Model:
    """Load a model by the name of a shipped one or by a path. No pickle is executed, whatever the file holds.

    Args:
        spec: a name (`shipped`); a run's folder or its checkpoint; an ONNX file (extra `onnx`); or weights that
            spandrel recognises, .pth, .pt, .ckpt or .safetensors (extra `zoo`). A name goes before a file of that name.
        device: the device by its name in PyTorch; ONNX files run on `cpu` and on `cuda`.
        backbone: as for `load_checkpoint`.
        value_range: range of values of another program's network; `auto` to find it (`in_unit_range`).
        precision: number format of weights and activations; `auto` for bf16 where `prefers_bf16`. ONNX files keep
            theirs.

    Raises:
        UserError: for any other file, for a model that does not restore colour images, for a range of values that is
            not found or not the model's, for bf16 that the model does not take, and for an extra that is not installed.
    """
    path = located(spec)
    if path.suffix.lower() == ".onnx":
        if precision == "bf16":
            raise UserError(f"precision: {spec} is an ONNX file, whose numbers stay as they are; give fp32 or auto")
        opened = open_onnx(path, device)
        if opened.receptive_field is None:
            return model_of(in_unit_range(opened.network, spec, value_range), spec)
        _require_unit_range(spec, value_range)
        model = model_of(opened.network, spec, opened.card, receptive_field=opened.receptive_field)
        return replace(model, takes_strength=opened.takes_strength)
    network, card = load_network(spec, backbone, value_range)
    bf16 = prefers_bf16(card, device) if precision == "auto" else precision == "bf16"
    return model_of(network, spec, card, device, bf16=bf16)


def prefers_bf16(card: Card | None, device: str) -> bool:
    """Whether a device multiplies bfloat16 by itself, and the card says that this loses next to nothing."""
    measured = card.bf16 if card else None
    return measured is not None and measured.loss <= MOST_LOST and native_bf16(device)


def model_of(
    network: nn.Module,
    name: str,
    card: Card | None = None,
    device: str = "cpu",
    receptive_field: ReceptiveField | None = None,
    bf16: bool = False,
) -> Model:
    """Make a model of a network.

    The network itself, no copy, is moved to the device and put into evaluation mode. Several threads may restore with
    it at once if its `forward` changes no state, as those of `BACKBONES` do.

    Args:
        network: maps float32 (B, 3, H, W) in [0, 1] to (B, 3, scale·H, scale·W), at any size.
        name: name of the model, for messages.
        card: card of the checkpoint, if there is one.
        device: the device by its name in PyTorch.
        receptive_field: the receptive field; None to measure it (`receptive_field_of`).
        bf16: whether weights and activations are bfloat16 (`restore_batch`).

    Raises:
        UserError: naming the model, where the receptive field cannot be measured, and where it fails in bfloat16.
    """
    network.eval()
    try:
        receptive_field = receptive_field or receptive_field_of(network)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    except Exception as error:  # other people's networks may raise anything
        reason = one_line(error)
        raise UserError(f"{name}: its network fails on an image: {reason}") from error
    exact = partial(restore_batch, on_device(network, device), device=device)
    model = Model(
        name,
        exact,
        receptive_field,
        card,
        takes_statistics=isinstance(network, WNE),
        bytes_per_pixel=getattr(network, "bytes_per_pixel", 0.0),
        takes_rows=device == "cpu" and getattr(network, "takes_rows", False),
        by_channel=restores_by_channel(network),
    )
    if isinstance(network, ReadsNoise):
        noise_map = partial(noise_map_of, network.noise_map, device=device)
        model = replace(model, takes_strength=True, noise_map=noise_map)
    if not bf16:
        return model
    require_bf16(network, name, device)
    return replace(model, run=partial(exact, bf16=True), exact=exact)


def load_network(spec: str, backbone: str = "", value_range: ValueRange = "auto") -> tuple[nn.Module, Card | None]:
    """Load the network that a spec of `load_model` names, on the CPU in evaluation mode, and its card if it has one.

    A network for gray images restores each colour channel separately (`in_colour`).

    Raises:
        UserError: as `load_model` does, and for an ONNX file, which holds no network of PyTorch.
    """
    path = located(spec)
    if path.suffix.lower() == ".onnx":
        raise UserError(f"{path}: is ONNX already; give the model that it was exported from")
    if path.suffix.lower() in WEIGHTS and path.is_file() and not is_ours(path):
        return in_unit_range(load_weights(path), spec, value_range), None
    _require_unit_range(spec, value_range)
    network, card = load_checkpoint(path, backbone)
    return in_colour(network), card


def _require_unit_range(spec: str, value_range: ValueRange) -> None:
    """Raise UserError where a model of this package is said to work in another range."""
    if value_range not in ("auto", "0-1"):
        raise UserError(f"range: {spec} is a model of unseen, which works in 0-1, not in {value_range}")
