"""The table of backbones in docs/backbones.md: what each is, and what was measured of it."""

from __future__ import annotations

import inspect
import typing
import warnings

import torch
from torch import nn

from support.docs_tables import markdown_table
from unseen.core.registry import build, summary_line
from unseen.methods.second_order import TINY, SecondOrderError, check_second_order
from unseen.models.backbones import BACKBONES, Padded, small_form

WRAPPERS = ("wne", "unit_noise", "capped_noise")
"""Backbones whose spec goes on with that of another."""

COLUMNS = {
    "name": ":---",
    "what it is": ":---",
    "scales": ":---",
    "sizes it is given": ":---",
    "parameters": "---:",
    "second derivatives": ":---",
    "spandrel opens it": ":---",
    "a small form": ":---",
    "its parameters": "---:",
}

MEASURED = slice(3, 7)
"""The cells that take the network at its defaults or a check of derivatives: minutes for all backbones."""


def backbones_table(documented: str, measure: bool) -> str:
    """The table as the code has it.

    Args:
        documented: the table as the document has it. Rows keep its measured cells where the others are still right.
        measure: whether to measure the rows that are new or changed; else their measured cells stay open.
    """
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in documented.splitlines()]
    known = {row[0]: row for row in rows}
    return markdown_table(COLUMNS, (_row(name, known.get(f"`{name}`", []), measure) for name in BACKBONES))


def _row(name: str, documented: list[str], measure: bool) -> list[str]:
    small = _network(name, small_form(name))
    settings = f"`{small_form(name)}`" if small_form(name) else "none"
    summary = summary_line(BACKBONES[name]).removesuffix(".")
    row = [f"`{name}`", summary, ", ".join(map(str, _scales(name, small))), *"????", settings, _count(small)]
    kept = documented[MEASURED]
    if row[:3] + kept + row[7:] == documented:
        return documented
    if measure:
        full = _network(name, "plain" if name in WRAPPERS else "")
        row[MEASURED] = [_sizes(full), _count(full), _second_order(small), "yes" if _opens(full) else "no"]
    return row


def _network(name: str, settings: str) -> nn.Module:
    torch.manual_seed(0)
    return build(f"{name}:{settings}", BACKBONES, "backbone", nn.Module).eval()


def _count(network: nn.Module) -> str:
    """The number of parameters, in groups of three digits."""
    return f"{sum(parameter.numel() for parameter in network.parameters()):,}".replace(",", " ")


def _scales(name: str, network: nn.Module) -> tuple[int, ...]:
    """The scales that a backbone can be built for; its own scale where it has no such setting."""
    builder = BACKBONES[name]
    hints = typing.get_type_hints(builder.__init__ if inspect.isclass(builder) else builder)
    return typing.get_args(hints["scale"]) if "scale" in hints else (getattr(network, "scale", 1),)


def _sizes(network: nn.Module) -> str:
    """The sizes that an image is continued to, in words."""
    multiple = getattr(network, "multiple", getattr(network, "stride", 1))
    words = [f"multiples of {multiple}"] if multiple > 1 else []
    words += [f"{network.smallest} or more"] if getattr(network, "smallest", 1) > multiple else []
    words += ["square"] if getattr(network, "square", False) else []
    return ", ".join(words) or "any"


def _second_order(network: nn.Module) -> str:
    """Whether second derivatives are right; if not, the class of the module at fault."""
    try:
        check_second_order(network, (1, 3, TINY, TINY))
    except SecondOrderError as error:
        return f"wrong: `{type(network.get_submodule(error.module)).__name__}`"
    return "right"


def _opens(network: nn.Module) -> bool:
    """Whether spandrel makes the same network of its state dict, as it comes."""
    import spandrel

    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = network(image)
        try:
            theirs = spandrel.ModelLoader().load_from_state_dict(dict(network.state_dict())).model.eval()
            if isinstance(network, Padded):  # so that it is given sizes it takes, and a copy
                network.module, theirs = theirs, network
            return torch.allclose(theirs(image), ours, atol=1e-4)
        except Exception:  # what it does not know, or takes for something else
            return False
