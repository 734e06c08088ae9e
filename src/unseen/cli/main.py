"""The command line. Exit codes: 0 done, 1 done in part, 2 refused, 130 interrupted, 141 output closed."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentError, Namespace
from collections.abc import Sequence
from typing import Any, NoReturn

from ..core.errors import UserError
from ..core.freed_memory import keep_freed_memory
from ..core.interruption import signals_as_interrupts
from ..core.terminal import OutputLost, only_python_writes, prepare_streams, tell
from ..core.trust import trusting
from ..core.version import __version__
from ..core.wording import did_you_mean
from .degrade import DEGRADE
from .evaluate import EVALUATE
from .exit_codes import ExitCode
from .listing import CHECK_DATA, DESCRIBE, LIST
from .options import Command, Parser, unknown_word
from .pack import PACK
from .restore import CARD, EXPORT, MODELS, RESTORE, STUDIO
from .study import COMPARE, DEMO, RANK
from .train import TRAIN

COMMANDS = {
    command.name: command
    for command in (
        DEMO,
        RESTORE,
        STUDIO,
        MODELS,
        CARD,
        EXPORT,
        TRAIN,
        EVALUATE,
        COMPARE,
        RANK,
        DESCRIBE,
        CHECK_DATA,
        PACK,
        DEGRADE,
        LIST,
    )
}


def parse(words: Sequence[str]) -> tuple[Command, Any, Namespace]:
    """Read the whole command line.

    Returns:
        The command, its configuration, and its arguments and switches (see `Command.parse`).

    Raises:
        UserError: for words that do not fit.
        SystemExit: after `--help` and `--version`.
    """
    words = [spelling(word) for word in words]
    if not words or words[0].startswith("-"):
        parser = _main_parser()
        try:
            _, rest = parser.parse_known_args(words)
        except ArgumentError as error:
            raise UserError(error.message) from error
        raise UserError(unknown_word(rest[0], parser) if rest else _no_command())
    name = words[0]
    if name not in COMMANDS:
        raise UserError(f"command: {name!r} is none of {', '.join(COMMANDS)}{did_you_mean(name, COMMANDS)}")
    command = COMMANDS[name]
    return command, *command.parse(words[1:])


def _main_parser() -> Parser:
    """The parser of the options before a command: `--help`, which lists the commands, and `--version`."""
    parser = Parser(
        prog="unseen", description="Train image-restoration networks to hold up on distortions they have never seen."
    )
    parser.add_argument("--version", action="version", version=f"unseen {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", description="`unseen COMMAND --help` says more of one."
    )
    for command in COMMANDS.values():
        commands.add_parser(command.name, help=command.help)
    return parser


def _no_command() -> str:
    return f"give a command: {', '.join(COMMANDS)}; unseen --help says more"


def spelling(word: str) -> str:
    """Spell `--inner-lr=x` as `--inner_lr=x`, and `-o` as `--out`: both are understood."""
    if word == "-o":
        return "--out"
    option, equals, value = word.partition("=")
    return "--" + option[2:].replace("-", "_") + equals + value if option.startswith("--") else word


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; a traceback means a fault of ours."""
    prepare_streams()
    with only_python_writes(), signals_as_interrupts():
        return _run(sys.argv[1:] if arguments is None else arguments)


def _run(words: Sequence[str]) -> int:
    try:
        command, config, flags = parse(words)
        if os.environ.get("WORLD_SIZE", "1") != "1" and not command.processes:
            if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
                tell(f"unseen: {command.name}: is for one process; torchrun shares the work of `unseen train` alone")
            return ExitCode.REFUSED
        if flags.trusted:  # a user's own code is found where the command is given, but no other module is
            sys.path.append("")
        with trusting(*flags.trusted):
            return command.run(config, flags)
    except UserError as error:
        tell(f"unseen: {error}")
        return ExitCode.REFUSED
    except KeyboardInterrupt:
        tell("unseen: interrupted")
        return ExitCode.INTERRUPTED
    except OutputLost as lost:  # results are printed after the work, which is done
        if not lost.reason:
            return ExitCode.OUTPUT_CLOSED
        tell(f"unseen: standard output cannot be written: {lost.reason}; only what was to be printed is lost")
        return ExitCode.PARTLY


def program() -> NoReturn:
    """Be the program `unseen`: run its command line, and exit with the code.

    The process keeps the memory that it frees. Once the command has ended, signals are ignored: one that arrives while
    Python ends would be a traceback after finished work.
    """
    keep_freed_memory()
    code = main()
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)
