"""The command line of one command: options made from a configuration, arguments, switches, and a file of options.

argparse splits the words and prints the help; `core.conversion` converts every value by its annotation, the same for
options and for files.
"""

from __future__ import annotations

import argparse
import re
from argparse import SUPPRESS, ArgumentError, Namespace
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

from ..core.config import Machine, annotations_of, load_config
from ..core.conversion import convert
from ..core.errors import UserError
from ..core.terminal import show
from ..core.trust import Names, is_dotted, require_trusted, trusting
from ..core.wording import bare_type, did_you_mean, format_value
from .exit_codes import ExitCode

OVERWRITE = {"overwrite": "replace what the output folder holds"}
"""The switch of every command that refuses to replace files."""

TRUTHS = ("true", "false", "yes", "no", "on", "off")
"""Truth values as YAML writes them, in small letters."""

REQUIRED = object()
"""The default of an argument that must be given."""


@dataclass(frozen=True)
class Argument:
    """A word that a command takes beside the options of its configuration.

    Attributes:
        name: the name of the value; with two dashes in front, the argument is an option.
        help: the line in `--help`.
        annotation: the type that the word is converted to; a list takes several words.
        metavar: the name in `--help`, where another one says more.
        default: the value if the argument is left out.
    """

    name: str
    help: str
    annotation: Any = str
    metavar: str | None = None
    default: Any = REQUIRED

    @property
    def key(self) -> str:
        """The name without dashes."""
        return self.name.lstrip("-")


TRUST = Argument(
    "--trust",
    "module or class of your own, such as my_parts, that a file may name; give the option again for another",
    list[str],
    "NAME",
    default=[],
)
"""The option of every command that reads a file in which code may be named; no file of options can hold it."""


@dataclass(frozen=True)
class Command:
    """One word of the command line, and all that may follow it.

    Attributes:
        name: the word.
        run: the body. Takes the configuration (None if there is none) and the arguments and switches by name.
        help: the line in `unseen --help`.
        config: the configuration whose fields are the options.
        arguments: words beside these options.
        switches: options without a value, each with its line in `--help`.
        processes: whether several processes that torchrun started share the work.
    """

    name: str
    run: Callable[[Any, Namespace], ExitCode]
    help: str
    config: type[Machine] | None = None
    arguments: Sequence[Argument] = ()
    switches: Mapping[str, str] = field(default_factory=dict)
    processes: bool = False

    def parse(self, words: Sequence[str]) -> tuple[Any, Namespace]:
        """Read the words after the command.

        Returns:
            The configuration, None if the command has none; and the arguments and switches. `explicit` among the
            latter is the set of the fields that an option or a file gave, be it the default; `files` are the files of
            options; `trusted` are the dotted paths that stand in these words themselves (`core.trust`), and not in a
            file.

        Raises:
            UserError: for words, files and values that do not fit.
            SystemExit: after `--help`.
        """
        parser, parsed = self._parser(), Namespace()
        words_follow = any(not argument.name.startswith("-") for argument in self.arguments)
        words = with_truth(words, self._truth_options(), words_follow)
        try:
            _, rest = parser.parse_known_args(words, parsed)
        except ArgumentError as error:
            raise UserError(self._refusal(error, parsed)) from error
        if rest:
            raise UserError(unknown_word(rest[0], parser))
        flags: dict[str, Any] = {name: name in parsed for name in self.switches}
        for argument in self.arguments:
            word = getattr(parsed, argument.key, argument.default)
            flags[argument.key] = _converted(word, argument.annotation, argument.key)
        odd = next((name for name in flags.get(TRUST.key, ()) if not is_dotted(f"{name}.Class")), None)
        if odd is not None:
            raise UserError(f"{TRUST.key}: {odd!r} is no module and no class, such as my_parts or my_parts.Hardest")
        options = annotations_of(self.config) if self.config else {}
        given = {name: _converted(getattr(parsed, name), options[name], name) for name in options if name in parsed}
        annotations = options | {argument.key: argument.annotation for argument in self.arguments}
        named = {name: value for name, value in (flags | given).items() if name in annotations}
        trusted = [*flags.get(TRUST.key, ()), *(path for _, path in dotted_paths(named, annotations))]
        values: dict[str, Any] = {}
        files = [Path(file) for file in getattr(parsed, "config", ())]
        if self.config:
            with trusting(*trusted):
                for file in files:
                    values |= read_file(self.config, file)
        values |= given
        return self.config and self.config(**values), Namespace(
            **flags, explicit=set(values), files=files, trusted=trusted
        )

    def _truth_options(self) -> set[str]:
        """The options of truth values, which may stand without one."""
        hints = annotations_of(self.config) if self.config else {}
        return {f"--{name}" for name, annotation in hints.items() if bare_type(annotation) is bool}

    def _parser(self) -> Parser:
        """What argparse must know; values stay text, and a value that is left out is not among the parsed ones."""
        parser = Parser(prog=f"unseen {self.name}", description=self.help, argument_default=SUPPRESS)
        if self.config:
            annotations = annotations_of(self.config)
            for option in fields(self.config):
                annotation = annotations[option.name]
                text = next(extra for extra in annotation.__metadata__ if isinstance(extra, str))
                help = with_default(text, default_of(option))
                parser.add_argument(f"--{option.name}", help=help, **_shape(annotation))
            text = "YAML file of options, under the same names; what is given here wins"
            parser.add_argument("--config", action="append", metavar="FILE", help=text)
        for argument in self.arguments:
            shape = _shape(argument.annotation)
            if argument.name.startswith("-") and "nargs" in shape:
                shape = {"action": "append"}
            if argument.metavar:
                shape["metavar"] = argument.metavar
            if argument.default is not REQUIRED and not argument.name.startswith("-"):
                shape["nargs"] = "?"
            parser.add_argument(argument.name, help=argument.help, **shape)
        for switch, text in self.switches.items():
            spellings = dict.fromkeys((f"--{switch.replace('_', '-')}", f"--{switch}"))
            parser.add_argument(*spellings, action="store_true", help=text)
        return parser

    def _refusal(self, error: ArgumentError, parsed: Namespace) -> str:
        """A message of one line about arguments that argparse could not assign."""
        if error.argument_name:
            return f"{error.argument_name}: {error.message}"
        missing = [a.key for a in self.arguments if a.default is REQUIRED and a.key not in parsed]
        if not missing:
            return error.message
        article = "" if missing[0].endswith("s") else "a "
        return f"give {article}{missing[0]}; unseen {self.name} --help says more"


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, which raises ArgumentError instead of printing and leaving."""

    def __init__(self, **settings: Any):
        super().__init__(allow_abbrev=False, exit_on_error=False, **settings)
        self._negative_number_matcher = re.compile(r"-\d")  # the range -1-1 is a value, as -1 is; no option is a digit

    def _print_message(self, message: str, file: object = None) -> None:
        """Show `--help` and `--version`."""
        for line in message.splitlines():
            show(line)

    def error(self, message: str) -> NoReturn:
        """Raise ArgumentError for a fault that belongs to no single argument."""
        raise ArgumentError(None, message)


def with_truth(words: Sequence[str], options: Collection[str], words_follow: bool) -> list[str]:
    """Put `true` behind each truth value that stands alone, so that `--gap` is `--gap true`.

    Args:
        words: the words of the command line.
        options: the options that are truth values.
        words_follow: whether the command takes words that are no options: then only a truth value belongs to the
            option before it, else every word does, and is refused by its name.
    """
    complete = []
    for i, word in enumerate(words):
        after = words[i + 1] if i + 1 < len(words) else "--"
        alone = after.startswith("--") or (words_follow and after.lower() not in TRUTHS)
        complete.append(f"{word}=true" if word in options and alone else word)
    return complete


def unknown_word(word: str, parser: argparse.ArgumentParser) -> str:
    """Return a message of one line about a word that fits no option and no argument."""
    name = word.partition("=")[0]
    if not name.startswith("-"):
        return f"{name!r} is one word too many"
    if "." in name:
        return "options have no dots in them; settings go into the value, as in --method dil_sf:inner_lr=1e-4"
    options = [option.replace("_", "-") for option in parser._option_string_actions]
    return f"unknown option {name!r}{did_you_mean(name.replace('_', '-'), options)}"


def default_of(option: Field[Any]) -> Any:
    """Return the default value of a field."""
    return option.default if option.default_factory is MISSING else option.default_factory()


def dotted_paths(values: Mapping[str, Any], annotations: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the dotted paths that options name, each after its option.

    Args:
        values: values of options by name.
        annotations: annotations of these options, and perhaps of others.
    """
    for name, value in values.items():
        if any(isinstance(extra, Names) for extra in getattr(annotations[name], "__metadata__", ())):
            for item in value if isinstance(value, list) else [value]:
                for path in Names.dotted(item):
                    yield name, path


def with_default(description: str, default: Any) -> str:
    """Append the default value of an option to its line of help, if there is one."""
    shown = " ".join(default) if isinstance(default, list) else format_value(default)
    return description.replace("%", "%%") + (f" (default: {shown})" if shown else "")


def _shape(annotation: Any) -> dict[str, Any]:
    """The arguments for argparse that set the number of words of a value, and their name in `--help`."""
    kind = bare_type(annotation)
    if get_origin(kind) is list:
        return {"nargs": "+"}
    choices = get_args(kind) if get_origin(kind) is Literal else ("true", "false") if kind is bool else ()
    return {"metavar": f"{{{','.join(choices)}}}"} if choices else {}


def read_file(config: type[Machine], path: Path) -> dict[str, Any]:
    """Read a YAML file of options.

    Raises:
        UserError: naming the file and the field, for a name that is no option, a value that does not fit, and a dotted
            path that is not trusted.
    """
    hints, values = annotations_of(config), load_config(path)
    for name, value in values.items():
        if name not in hints:
            raise UserError(f"{path}: unknown option {name!r}{did_you_mean(str(name), hints)}")
        if value is None:
            raise UserError(f"{path}: {name}: has no value")
        try:
            values[name] = _converted(value, hints[name], name)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    for name, dotted in dotted_paths(values, hints):
        require_trusted(dotted, f"{path}: {name}")
    return values


def _converted(value: object, annotation: Any, name: str) -> Any:
    try:
        return convert(value, annotation, name)
    except ValueError as error:
        raise UserError(str(error)) from error
