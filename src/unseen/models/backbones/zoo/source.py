"""How a network of spandrel is made."""

from __future__ import annotations

import importlib
import warnings
from typing import Any, Literal

from torch import nn

from ....core.errors import UserError

Scale = Literal[1, 2, 3, 4]


def spandrel(path: str, **settings: Any) -> nn.Module:
    """`spandrel.architectures.PATH`, made of `settings`, with random weights.

    spandrel is imported here and nowhere else: that takes seconds, and it is an extra.
    Raises UserError where it is not installed, and for settings that the class cannot be made of.
    """
    architecture, _, name = path.partition(".")
    try:
        module = importlib.import_module(f"spandrel.architectures.{architecture}")
    except ImportError as error:
        raise UserError(f"backbone: {name} is spandrel's: pip install '.[zoo]' in its repository ({error})") from error
    embed_dim, num_heads = settings.get("embed_dim", 0), settings.get("num_heads", ())
    uneven = [n for n in ([num_heads] if isinstance(num_heads, int) else num_heads) if n > 0 and embed_dim % n]
    if uneven and name != "Uformer":  # whose inner widths are multiples of embed_dim, and would fail later than here
        raise UserError(f"backbone: {name}: embed_dim {embed_dim} is no multiple of num_heads {uneven[0]}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch.meshgrid's, of how it will be called one day
            made: nn.Module = getattr(module, name)(**settings)
    except Exception as error:  # code of others: lists of unequal length, widths that do not divide, and so on
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"backbone: {name} cannot be made with these settings: {reason}") from error
    return made
