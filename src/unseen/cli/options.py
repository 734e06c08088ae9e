"""Options of the command line and of YAML files, made from configurations, and one-line errors."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser

from ..core.config import Machine, load_config
from ..core.errors import UserError
from ..core.registry import did_you_mean, format_value
from ..core.units import Budget


class Parser(ArgumentParser):
    """jsonargparse with errors of one line that name the nearest known option, and without abbreviations.

    An abbreviated option would not be found among the explicit ones (see `parse`).
    """

    def __init__(self, commands: Iterable[str] = (), **settings: Any):
        self.commands = tuple(commands)
        super().__init__(allow_abbrev=False, formatter_class=argparse.HelpFormatter, **settings)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise UserError(one_line(message, [action.dest for action in self._actions], self.commands))


def one_line(message: str, known: Sequence[str], commands: Sequence[str]) -> str:
    """The one line, out of a parser's several, that says what was wrong."""
    message = " ".join(message.split())
    unknown = re.search(r"unrecognized arguments: (\S+)|[oO]ption '([\w.-]+)'", message)
    if unknown:
        word = (unknown[1] or unknown[2]).partition("=")[0]
        if unknown[1] and not word.startswith("-"):
            return f"{word!r} is one word too many"
        dashes = "--" if word.startswith("-") else ""  # as on the command line, or as in a file
        return f"unknown option {word!r}{did_you_mean(word, [dashes + name for name in known])}"
    choice = re.search(r"argument (\w+): invalid choice: '([^']*)' \(choose from (.*)\)", message)
    if choice:
        choices = [name.strip("'") for name in choice[3].split(", ")]
        return f"{choice[1]}: {choice[2]!r} is none of {', '.join(choices)}{did_you_mean(choice[2], choices)}"
    if "but it was not provided" in message:
        return f"give a command: {', '.join(commands)}; unseen --help says more"
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
        return f"{field}: {value!r} is none of {', '.join(choices)}{did_you_mean(value, choices)}"
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
    shown = " ".join(default) if isinstance(default, list) else format_value(default)
    return description.replace("%", "%%") + (f" (default: {shown})" if shown else "")


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
