"""The command line. Exit codes: 0 done, 1 done in part, 2 refused, 130 interrupted."""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from .. import __version__
from ..core.config import (
    CompareConfig,
    DegradeConfig,
    DemoConfig,
    EvaluateConfig,
    Machine,
    RestoreConfig,
    StudioConfig,
    TrainConfig,
    load_config,
)
from ..core.errors import UserError
from ..core.registry import as_given, nearest
from ..core.units import Budget
from . import restore as restore_commands
from . import train as commands
from .train import INTERRUPTED, REFUSED


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
        commands.demo,
        DemoConfig,
        "ERM, DIL and the ceiling on embedded photographs: a table and a page in minutes",
        flags=(OVERWRITE,),
    ),
    "restore": Command(
        restore_commands.restore,
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
        restore_commands.studio,
        StudioConfig,
        "a page on this machine: a photo under a distortion of any degree, and what every model makes of it",
        flags=(("no_browser", "do not open a browser"),),
    ),
    "models": Command(restore_commands.models, None, "the models that come with the package, and where each is safe"),
    "card": Command(
        restore_commands.card,
        None,
        "what a checkpoint says of itself: how it was trained, how good it is at which severity, where it is safe",
        words=(("checkpoint", {"help": "a run, its checkpoint, or a shipped model"}),),
    ),
    "export": Command(
        restore_commands.export,
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
        commands.train,
        TrainConfig,
        "train one network by one method under one protocol",
        flags=(RESUME, OVERWRITE),
    ),
    "evaluate": Command(
        commands.evaluate,
        EvaluateConfig,
        "test a checkpoint under every level of a protocol",
        flags=(OVERWRITE,),
        words=(("checkpoint", {"help": "the folder of a run, or a checkpoint.safetensors"}),),
    ),
    "compare": Command(
        commands.compare,
        CompareConfig,
        "several methods and seeds at an equal budget; given again, goes on",
        flags=(OVERWRITE,),
    ),
    "rank": Command(
        commands.rank,
        None,
        "several finished studies side by side: how every method ranks on what is unseen",
        words=(("studies", {"nargs": "+", "metavar": "STUDY", "help": "folders of studies, or their rows"}),),
    ),
    "describe": Command(
        commands.describe,
        None,
        "all of a protocol: its levels, its conventions, its tests, what was chosen and why, what was reported",
        words=(("protocol", {"help": "a protocol by name (see `unseen list protocols`) or a YAML file"}),),
    ),
    "check-data": Command(
        commands.check_data,
        None,
        "whether the folder of a known data set holds what it should: names, counts, sizes, pairs",
        words=(("sets", {"nargs": "+", "metavar": "NAME=DIR", "help": "NAME=DIR, or NAME=INPUT_DIR:TARGET_DIR"}),),
    ),
    "degrade": Command(
        commands.degrade,
        DegradeConfig,
        "degraded copies of photos, with a sidecar that replays them bit for bit; or every degree in one picture",
        flags=(("grid", "draw one picture of each photo: clean, and under every one of the distortions"), OVERWRITE),
        words=(("photo", {"nargs": "+", "metavar": "PHOTOS", "help": "folders of photos, or single ones"}),),
    ),
    "list": Command(
        commands.list_parts,
        None,
        "what can be named: methods, distortions, backbones, protocols",
        words=(("kind", {"choices": commands.KINDS, "help": "what to list"}),),
    ),
}


class Parser(ArgumentParser):
    """jsonargparse with errors of one line that name the nearest known option, and without abbreviations.

    An abbreviated option would not be found among the explicit ones (see `parse`).
    """

    def __init__(self, **settings: Any):
        super().__init__(allow_abbrev=False, formatter_class=argparse.HelpFormatter, **settings)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise UserError(one_line(message, [action.dest for action in self._actions]))


def one_line(message: str, known: Sequence[str]) -> str:
    """The one line, out of a parser's several, that says what was wrong."""
    message = " ".join(message.split())
    unknown = re.search(r"unrecognized arguments: (\S+)|[oO]ption '([\w.-]+)'", message)
    if unknown:
        word = (unknown[1] or unknown[2]).partition("=")[0]
        if unknown[1] and not word.startswith("-"):
            return f"{word!r} is one word too many"
        dashes = "--" if word.startswith("-") else ""  # as on the command line, or as in a file
        return f"unknown option {word!r}{nearest(word, [dashes + name for name in known])}"
    choice = re.search(r"argument (\w+): invalid choice: '([^']*)' \(choose from (.*)\)", message)
    if choice:
        choices = [name.strip("'") for name in choice[3].split(", ")]
        return f"{choice[1]}: {choice[2]!r} is none of {', '.join(choices)}{nearest(choice[2], choices)}"
    if "but it was not provided" in message:
        return f"give a command: {', '.join(COMMANDS)}; unseen --help says more"
    missing = re.search(r"arguments are required: (\w+)\.(\w+)", message)
    if missing:
        article = "" if missing[2].endswith("s") else "a "
        return f"give {article}{missing[2]}; unseen {missing[1]} --help says more"
    if "NestedArg" in message:
        return "options have no dots in them; settings go into the value, as in --method dil_sf:inner_lr=1e-4"
    return wrong_value(message)


def wrong_value(message: str) -> str:
    """`budget: expected a whole number, got 'x'` for what the parser says of classes and type hints."""
    message = re.sub(r'Parser key "(?:\w+\.)?(\w+)"( element \d+)?:', r"\1\2:", message)
    wrong = re.fullmatch(r"(.*): Expected an? (.*)\. Got value: (.*)", message) or re.fullmatch(
        r"(.*): Does not validate .* Subtypes: \[(.*)\] Errors: .* Given value: (.*)", message
    )
    if not wrong:
        return message
    field, kind, value = wrong.groups()
    choices = re.findall(r"'(\w[\w-]*)'", kind) if "Literal" in kind else []
    if choices:
        return f"{field}: {value!r} is none of {', '.join(choices)}{nearest(value, choices)}"
    plain = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "list": "a list"}
    names = re.sub(r"<class '([\w.]+)'>", r"\1", kind).split(", ")
    return f"{field}: expected {' or '.join(plain.get(name, name) for name in names)}, got {value!r}"


def options(config: type[Machine], values: Mapping[str, Any]) -> Parser:
    """A parser with an option for each field of a configuration, its type and help from the annotation.

    `values` stand in for the defaults.
    """
    parser = Parser()
    hints = get_type_hints(config, include_extras=True)
    for field in fields(config):
        kind, description = get_args(hints[field.name])
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        default = values.get(field.name, default)
        shape = {"nargs": "+", "type": get_args(kind)[0]} if get_origin(kind) is list else {"type": kind}
        parser.add_argument(f"--{field.name}", default=default, help=with_default(description, default), **shape)
    return parser


def with_default(description: str, default: Any) -> str:
    """A line of help, and what counts where the option is left out, if that is anything."""
    shown = " ".join(default) if isinstance(default, list) else as_given(default)
    return description.replace("%", "%%") + (f" (default: {shown})" if shown else "")


def make_parser(values: Mapping[str, Any]) -> Parser:
    """The whole command line, with `values` of a file in place of the defaults."""
    parser = Parser(
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


def read_file(config: type[Machine], path: Path) -> dict[str, Any]:
    """The values in a YAML file. Raises UserError, naming file and field, unless every name and value fits."""
    values, hints = load_config(path), get_type_hints(config)
    for name, value in values.items():
        # jsonargparse lets the first pass and stumbles over the second.
        if value is None:
            raise UserError(f"{path}: {name}: has no value")
        if get_origin(hints.get(name)) is list and not isinstance(value, list):
            raise UserError(f"{path}: {name}: expected a list, such as [{value}]")
    try:
        parsed = options(config, {}).parse_object(values)
        if "budget" in parsed:
            Budget.parse(parsed["budget"])
        return {name: parsed[name] for name in values}
    except UserError as error:
        raise UserError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


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
    command, told = COMMANDS[given.command], given[given.command]
    told.explicit = explicit
    names = [field.name for field in fields(command.config)] if command.config else []
    config = command.config(**{name: told[name] for name in names}) if command.config else None
    return command, config, told


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
        command, config, told = parse(sys.argv[1:] if arguments is None else arguments)
        return command.run(config, told)
    except UserError as error:
        print(f"unseen: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("unseen: interrupted", file=sys.stderr)
        return INTERRUPTED
