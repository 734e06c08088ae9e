"""The commands `unseen list`, `unseen describe` and `unseen check-data`."""

from __future__ import annotations

import fnmatch
from argparse import Namespace
from typing import Literal, TypeAlias

from ..core.errors import UserError
from ..core.terminal import harmless, show
from ..core.wording import did_you_mean
from ..protocols.files import protocol_file
from .early_checks import described, signature_of
from .exit_codes import ExitCode
from .options import TRUST, Argument, Command

Kind: TypeAlias = Literal["methods", "distortions", "backbones", "protocols"]


def list_components(config: None, flags: Namespace) -> ExitCode:
    """Print every component of a kind: its settings, what it is, and where it comes from."""
    from textwrap import fill

    from ..core.console import Console, styled

    components = _components(flags.kind)
    names = list(components)
    matching = fnmatch.filter(names, flags.pattern) if flags.pattern else names
    if not matching:
        raise UserError(f"pattern: {flags.pattern!r} matches no name{did_you_mean(flags.pattern, names)}")
    console = Console()
    for name in matching:
        settings, about = components[name]
        heading = styled(name, "bold").append_text(styled(f":{settings}" if settings else ""))
        console.print(heading, soft_wrap=True)
        about = fill(harmless(about), console.width, initial_indent="    ", subsequent_indent="    ")
        console.print(about, soft_wrap=True)
    return ExitCode.DONE


def _components(kind: Kind) -> dict[str, tuple[str, str]]:
    """The settings of every component of a kind, as a spec gives them, and what it is; PyTorch is not imported."""
    if kind != "protocols":
        return {name: (signature_of(c["settings"]), c["about"]) for name, c in described(kind).items()}
    from ..core.text_file import read_text
    from ..core.yaml12 import load
    from ..protocols.files import protocol_names

    return {name: ("", load(read_text(protocol_file(name), "a protocol", name))["about"]) for name in protocol_names()}


def describe(config: None, flags: Namespace) -> ExitCode:
    """Print all that a protocol says, for people."""
    protocol_file(flags.protocol)
    from ..core.console import Console
    from ..protocols.loading import load_protocol
    from .protocol_text import print_protocol

    print_protocol(load_protocol(flags.protocol), Console())
    return ExitCode.DONE


def check_data(config: None, flags: Namespace) -> ExitCode:
    """Print what is missing from the folders of known data sets."""
    from ..data.set_check import check_data_source

    incomplete = 0
    for source in flags.sets:
        check = check_data_source(source)
        show(check.summary)
        for problem in check.problems:
            show(f"  {problem}")
        incomplete += bool(check.problems)
    return ExitCode.PARTLY if incomplete else ExitCode.DONE


LIST = Command(
    "list",
    list_components,
    "what can be named: methods, distortions, backbones, protocols",
    arguments=[
        Argument("kind", "what to list", Kind),
        Argument("pattern", "only names that match, such as 'dil_*'; * is any text, ? one letter", default=""),
    ],
)

DESCRIBE = Command(
    "describe",
    describe,
    "all of a protocol: its levels, its conventions, its tests, what was chosen and why, what was reported",
    arguments=[Argument("protocol", "a protocol by name (see `unseen list protocols`) or a YAML file"), TRUST],
)

CHECK_DATA = Command(
    "check-data",
    check_data,
    "whether a pack is whole, or the folder of a known data set holds what it should: names, counts, sizes, pairs",
    arguments=[Argument("sets", "NAME=DIR, NAME=INPUT_DIR:TARGET_DIR, or a pack", list[str], "NAME=DIR")],
)
