"""From what was typed to a command with its words and options.

argparse reads the options. Words that are no options (a file, a method) are taken from what it leaves
over: declared as optional positionals, they are missed when they stand behind an option.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from totohio import __version__
from totohio.app.configuring import FALSE, TRUE, nearest
from totohio.app.options import Option
from totohio.app.settings import OPTIONS, groups
from totohio.base.errors import TotohioError


class UsageError(TotohioError):
    """What was typed is no command."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command.

    Attributes:
        name: Its word.
        words: How its other words are written in its usage.
        least: How many words it needs.
        most: How many words it takes; None for any number.
        doc: What it does, for its help; the first line is for the list of commands.
        run: Carries it out and gives the exit status.
        declare: Declares options of its own.
        configurable: It takes the options of the settings table.
    """

    name: str
    words: str
    least: int
    most: int | None
    doc: str
    run: "Callable[[Order], int]"
    declare: Callable[[argparse.ArgumentParser], None] | None = None
    configurable: bool = False


@dataclass(frozen=True, kw_only=True)
class Order:
    """A command as it was typed.

    Attributes:
        command: The command.
        words: Its words.
        own: Its own options.
        settings: The options of the settings table that were given, by name; texts, or booleans.
    """

    command: Command
    words: list[str]
    own: argparse.Namespace
    settings: dict[str, Any]


class Parser(argparse.ArgumentParser):
    """An argparse parser that leaves it to others to report what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def parse(argv: Sequence[str], commands: Sequence[Command]) -> Order:
    """Find out what is to be done.

    Raises:
        UsageError: The words or options are wrong.
        SystemExit: They ask for help or the version, which has been printed.
    """
    parser = Parser(prog="totohio", description="An RPC server with batteries, built on hio.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"totohio {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    flags = {command.name: _add(subparsers, command) for command in commands}
    words = _joined(argv, flags[argv[0]]) if argv and argv[0] in flags else argv
    options, rest = parser.parse_known_args([_plain(argument) for argument in words])
    command = options.command
    words = [argument for argument in rest if argument != "--"]
    for argument in words:
        if argument.startswith("--"):
            raise _unknown(argument.partition("=")[0], command, options.known)
        if argument.startswith("-") and argument != "-":
            raise UsageError(f"{argument}: no such option (see totohio {command.name} --help)")
    if len(words) < command.least or (command.most is not None and len(words) > command.most):
        raise UsageError(f"usage: totohio {command.name} {command.words} (see totohio {command.name} --help)")
    given = {name: value for name, value in vars(options).items() if name in OPTIONS and value is not None}
    return Order(command=command, words=words, own=options, settings=given if command.configurable else {})


def _add(subparsers: Any, command: Command) -> dict[str, bool]:
    """Declare a command; tell of each of its flags whether a value comes after it."""
    parser = subparsers.add_parser(
        command.name,
        usage=f"totohio {command.name} {command.words} [options]",
        help=command.doc.splitlines()[0],
        description=command.doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if command.declare is not None:
        command.declare(parser)
    if command.configurable:
        for group, rows in groups().items():
            section = parser.add_argument_group(group)
            for row in rows:
                _add_option(section, row)
    flags = {flag: action.nargs is None for action in parser._actions for flag in action.option_strings}
    parser.set_defaults(command=command, known=list(flags))
    return flags


def _joined(argv: Sequence[str], flags: dict[str, bool]) -> list[str]:
    """Write options that need a value as --flag=value where argparse would take that for an option.

    One in 64 session ids begins with a hyphen, as any text in URL-safe base64.
    """
    found: list[str] = []
    for argument in argv:
        value = argument.startswith("-") and argument not in ("-", "--") and _flag(argument) not in flags
        if value and "--" not in found and found and flags.get(_flag(found[-1])) and "=" not in found[-1]:
            found[-1] += f"={argument}"
        else:
            found.append(argument)
    return found


def _flag(argument: str) -> str:
    return argument.partition("=")[0].replace("_", "-")


def _add_option(section: Any, row: Option) -> None:
    default = "" if row.default is None else f"; default {row.default if row.kind is str else row.shown(row.default)}"
    text = f"{row.doc} [{row.unit or row.kind.__name__}{default}]".replace("%", "%%")
    if row.kind is bool:
        section.add_argument(row.flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        return
    metavar = "{" + ",".join(row.choices) + "}" if row.choices else row.kind.__name__.upper()
    section.add_argument(row.flag, default=None, metavar=metavar, help=text)


def _plain(argument: str) -> str:
    """Give an option the way argparse knows it: --max_headers as --max-headers, --debug=no as --no-debug."""
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument.partition("=")
    flag = flag.replace("_", "-")
    row = OPTIONS.get(flag.removeprefix("--").replace("-", "_"))
    if row is not None and row.kind is bool and equals:
        if value.lower() not in TRUE | FALSE:
            raise UsageError(f'{row.name}: expected true or false, got "{value}" (from {flag})')
        return flag if value.lower() in TRUE else "--no-" + flag.removeprefix("--")
    return flag + equals + value


def _unknown(flag: str, command: Command, known: Sequence[str]) -> UsageError:
    near = nearest(flag, known)
    return UsageError(f"{flag}: no such option" + (f"; did you mean {near}?" if near else f" of {command.name}"))
