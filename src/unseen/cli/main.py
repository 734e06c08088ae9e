"""The command line. Exit codes: 0 done, 1 done in part, 2 refused, 130 interrupted."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from ..core.config import Machine
from ..core.errors import UserError
from ..core.version import __version__
from ..evaluation.config import EvaluateConfig
from ..restoration.config import RestoreConfig
from ..study.config import CompareConfig, DemoConfig
from ..training.config import TrainConfig
from .degrade import DegradeConfig, degrade
from .evaluate import evaluate
from .exit_codes import INTERRUPTED, REFUSED
from .listing import LISTABLE, check_data, describe, list_parts
from .options import Parser, options, read_file
from .restore import StudioConfig, card, export, models, restore, studio
from .study import compare, demo, rank
from .train import train


@dataclass(frozen=True)
class Command:
    """One word of the command line: what runs it, what it can be told, and its line of help."""

    run: Callable[[Any, Namespace], int]
    config: type[Machine] | None
    help: str
    flags: tuple[tuple[str, str], ...] = ()
    words: tuple[tuple[str, dict[str, Any]], ...] = ()


OVERWRITE = ("overwrite", "replace what the output folder holds")

RESUME = ("resume", "go on where the run in the output folder stopped, bit for bit; options may be left out")

COMMANDS = {
    "demo": Command(
        demo,
        DemoConfig,
        "ERM, DIL and the ceiling on embedded photographs: a table and a page in minutes",
        flags=(OVERWRITE,),
    ),
    "restore": Command(
        restore,
        RestoreConfig,
        "restored copies of photos: files, folders, patterns; formats, depths and what the files say are kept",
        flags=(
            ("do_no_harm", "blend back towards the input where a self-check (Stein's) says that less is better"),
            ("keep_times", "give every output the file times of its input"),
            ("pages", "restore every page of a file of several, each into a file of its own"),
            ("overwrite", "replace outputs that are there already; otherwise they are left alone"),
        ),
        words=(
            ("photo", {"nargs": "+", "metavar": "PHOTOS", "help": "photos, folders of them, or patterns: '*.png'"}),
        ),
    ),
    "studio": Command(
        studio,
        StudioConfig,
        "a page on this machine: a photo under a distortion of any degree, and what every model makes of it",
        flags=(("no_browser", "do not open a browser"),),
    ),
    "models": Command(models, None, "the models that come with the package, and where each is safe"),
    "card": Command(
        card,
        None,
        "what a checkpoint says of itself: how it was trained, how good it is at which severity, where it is safe",
        words=(("checkpoint", {"help": "a run, its checkpoint, or a shipped model"}),),
    ),
    "export": Command(
        export,
        None,
        "a checkpoint as an ONNX file for any size, kept only if it computes the same",
        flags=(OVERWRITE,),
        words=(
            ("checkpoint", {"help": "a run, its checkpoint, or a shipped model"}),
            ("file", {"help": "the .onnx file to write"}),
            ("--backbone", {"default": "", "help": "the network, needed only for one of your own: my.module.Net"}),
        ),
    ),
    "train": Command(
        train,
        TrainConfig,
        "train one network by one method under one protocol",
        flags=(RESUME, OVERWRITE),
    ),
    "evaluate": Command(
        evaluate,
        EvaluateConfig,
        "test a checkpoint under every level of a protocol",
        flags=(OVERWRITE,),
        words=(("checkpoint", {"help": "the folder of a run, or a checkpoint.safetensors"}),),
    ),
    "compare": Command(
        compare,
        CompareConfig,
        "several methods and seeds at an equal budget; given again, goes on",
        flags=(OVERWRITE,),
    ),
    "rank": Command(
        rank,
        None,
        "several finished studies side by side: how every method ranks on what is unseen",
        words=(("studies", {"nargs": "+", "metavar": "STUDY", "help": "folders of studies, or their rows"}),),
    ),
    "describe": Command(
        describe,
        None,
        "all of a protocol: its levels, its conventions, its tests, what was chosen and why, what was reported",
        words=(("protocol", {"help": "a protocol by name (see `unseen list protocols`) or a YAML file"}),),
    ),
    "check-data": Command(
        check_data,
        None,
        "whether the folder of a known data set holds what it should: names, counts, sizes, pairs",
        words=(("sets", {"nargs": "+", "metavar": "NAME=DIR", "help": "NAME=DIR, or NAME=INPUT_DIR:TARGET_DIR"}),),
    ),
    "degrade": Command(
        degrade,
        DegradeConfig,
        "degraded copies of photos, with a sidecar that replays them bit for bit; or every degree in one picture",
        flags=(("grid", "draw one picture of each photo: clean, and under every one of the distortions"), OVERWRITE),
        words=(("photo", {"nargs": "+", "metavar": "PHOTOS", "help": "folders of photos, or single ones"}),),
    ),
    "list": Command(
        list_parts,
        None,
        "what can be named: methods, distortions, backbones, protocols",
        words=(("kind", {"choices": LISTABLE, "help": "what to list"}),),
    ),
}


def make_parser(values: Mapping[str, Any]) -> Parser:
    """The whole command line, with `values` of a file in place of the defaults."""
    parser = Parser(
        COMMANDS,
        prog="unseen",
        description="Train image-restoration networks to hold up on distortions they have never seen.",
    )
    parser.add_argument("--version", action="version", version=f"unseen {__version__}")
    subcommands = parser.add_subcommands(dest="command", required=True)
    for name, command in COMMANDS.items():
        sub = options(command.config, values) if command.config else Parser()
        if command.config:
            sub.add_argument("--config", help="YAML file of options, under the same names; what is given here wins")
        for word, settings in command.words:
            sub.add_argument(word, **settings)
        for flag, description in command.flags:
            spellings = dict.fromkeys((f"--{flag.replace('_', '-')}", f"--{flag}"))
            sub.add_argument(*spellings, action="store_true", help=description)
        sub.description = command.help
        subcommands.add_subcommand(name, sub, help=command.help)
    return parser


def parse(words: Sequence[str]) -> tuple[Command, Any, Namespace]:
    """The command, its configuration, and what else was given. Raises UserError for what does not fit.

    `explicit` among the latter names the fields that an option or a file gave, default or not.
    """
    words = [spelling(word) for word in words]
    values: dict[str, Any] = {}
    explicit = {word[2:].partition("=")[0] for word in words if word.startswith("--")}
    command = COMMANDS.get(words[0]) if words else None
    for i, word in enumerate(words):
        if command and command.config and re.match("--config(=|$)", word):
            _, equals, path = word.partition("=")
            for file in [path] if equals else words[i + 1 : i + 2]:
                values |= read_file(command.config, Path(file))
    explicit |= set(values)
    given = make_parser(values).parse_args(words)
    command, flags = COMMANDS[given.command], given[given.command]
    flags.explicit = explicit
    names = [field.name for field in fields(command.config)] if command.config else []
    config = command.config(**{name: flags[name] for name in names}) if command.config else None
    return command, config, flags


def spelling(word: str) -> str:
    """`--inner-lr=x` as `--inner_lr=x`, and `-o` as `--out`: both are understood."""
    if word == "-o":
        return "--out"
    option, equals, value = word.partition("=")
    return "--" + option[2:].replace("-", "_") + equals + value if option.startswith("--") else word


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; a traceback means a fault of ours."""
    for stream in (sys.stdout, sys.stderr):  # σ and strange file names are no reason to fail where they have no letter
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.path.append("")  # a user's own parts, by dotted path, are found where the command is given
    try:
        command, config, flags = parse(sys.argv[1:] if arguments is None else arguments)
        return command.run(config, flags)
    except UserError as error:
        print(f"unseen: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("unseen: interrupted", file=sys.stderr)
        return INTERRUPTED
