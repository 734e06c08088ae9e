"""Building the networks of spandrel."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import Any, Literal

from torch import nn

from ....core.errors import UserError, one_line
from ....core.installation import install_command
from ..padded import Padded

Scale = Literal[1, 2, 3, 4]


def make(
    path: str,
    settings: Mapping[str, Any],
    multiple: int = 1,
    *,
    scale_name: str = "upscale",
    fixed_scale: int = 1,
    smallest: int = 1,
    square: bool = False,
    as_in_training: bool = False,
    **more: Any,
) -> Padded:
    """Build `spandrel.architectures.PATH` with random weights, for any image size.

    Args:
        path: module and class, such as `HAT.HAT`.
        settings: arguments of the class by name; `scale`, if present, is passed on as `scale_name`.
        multiple: divisor, in pixels, of the heights and widths that the network takes (`Padded`).
        scale_name: name of the scale among the arguments of the class.
        fixed_scale: scale of a network that has no setting for it.
        smallest: least height and width that the network takes, in pixels.
        square: whether the network takes squares only.
        as_in_training: whether the network has to stay in training mode (`Padded`).
        more: further arguments of the class.

    Raises:
        UserError: where spandrel is not installed, and for settings that the class cannot be made of.
    """
    named = {scale_name if name == "scale" else name: value for name, value in settings.items()}
    return Padded(
        spandrel(path, **named, **more),
        multiple,
        settings.get("scale", fixed_scale),
        smallest=smallest,
        square=square,
        as_in_training=as_in_training,
    )


def spandrel(path: str, **settings: Any) -> nn.Module:
    """Build `spandrel.architectures.PATH` with random weights.

    spandrel is imported here and nowhere else: importing takes seconds, and spandrel is an extra.

    Raises:
        UserError: where spandrel is not installed, and for settings that the class cannot be made of.
    """
    architecture, _, name = path.partition(".")
    try:
        module = importlib.import_module(f"spandrel.architectures.{architecture}")
    except ImportError as error:
        raise UserError(f"backbone: {name} is spandrel's: {install_command('zoo')} ({error})") from error
    embed_dim, num_heads = settings.get("embed_dim", 0), settings.get("num_heads", ())
    uneven = [n for n in ([num_heads] if isinstance(num_heads, int) else num_heads) if n > 0 and embed_dim % n]
    if uneven and name != "Uformer":  # whose inner widths are multiples of embed_dim, and would fail later than here
        raise UserError(f"backbone: {name}: embed_dim {embed_dim} is no multiple of num_heads {uneven[0]}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch.meshgrid's, of a coming default
            network: nn.Module = getattr(module, name)(**settings)
    except Exception as error:  # other people's code: lists of unequal length, widths that do not divide, and so on
        reason = one_line(error)
        raise UserError(f"backbone: {name} cannot be made with these settings: {reason}") from error
    return network
