"""The commands `unseen list`, `unseen describe` and `unseen check-data`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .exit_codes import DONE, PARTLY

if TYPE_CHECKING:
    from jsonargparse import Namespace

LISTABLE = ("methods", "distortions", "backbones", "protocols")


def list_parts(config: None, flags: Namespace) -> int:
    """Each part of a kind: its settings, what it is, and where it comes from."""
    from textwrap import fill

    from rich.console import Console
    from rich.text import Text

    from ..core.registry import signature, summary_line
    from ..distortions import DISTORTIONS
    from ..methods import METHODS
    from ..models.backbones import BACKBONES
    from ..protocols.loading import load_protocol, protocol_names

    parts: dict[str, Mapping[str, Callable[..., Any]]] = {
        "methods": METHODS,
        "distortions": DISTORTIONS,
        "backbones": BACKBONES,
    }
    lines: list[tuple[str, str, str]] = []
    for name, part in parts.get(flags.kind, {}).items():
        lines.append((name, signature(part), summary_line(part)))
    for name in protocol_names() if flags.kind == "protocols" else ():
        lines.append((name, "", load_protocol(name).about))
    console = Console(highlight=False, markup=False)
    for name, settings, line in lines:
        console.print(Text.assemble((name, "bold"), ":" if settings else "", settings), soft_wrap=True)
        console.print(fill(line, console.width, initial_indent="    ", subsequent_indent="    "), soft_wrap=True)
    return DONE


def describe(config: None, flags: Namespace) -> int:
    """Everything a protocol says, for people."""
    from rich.console import Console

    from ..protocols.loading import load_protocol
    from .protocol_text import print_protocol

    print_protocol(load_protocol(flags.protocol), Console(highlight=False, markup=False))
    return DONE


def check_data(config: None, flags: Namespace) -> int:
    """What is missing from the folders of known data sets."""
    from ..data.set_check import check_data_source

    wrong = 0
    for source in flags.sets:
        check = check_data_source(source)
        print(check.summary)
        for problem in check.problems:
            print(f"  {problem}")
        wrong += bool(check.problems)
    return PARTLY if wrong else DONE
