"""Exceptions that cross a connection: as themselves where both ends know the class, else as a `RemoteError`."""

import builtins
import os
import traceback
from collections.abc import Mapping
from typing import Any

from totohio.base.errors import TotoException, TotohioError
from totohio.core.lending import ForbiddenError
from totohio.remote.table import NotLentError, TableFullError
from totohio.wire.lending import LendingError

LONGEST_TEXT = 4096  # characters of a message
LONGEST_TRACEBACK = 65536  # and of a traceback, of which the end is kept
PLAIN = frozenset((type(None), bool, int, float, str, bytes))  # types of arguments that go along


class DisconnectedError(TotohioError, ConnectionError):
    """The connection is over; what was borrowed over it is no more."""


class RemoteError(TotohioError):
    """An exception of a class that is not known here.

    Attributes:
        name: What its class is called at the other end.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}" if message else name)
        self.name = name


# An exception that says how the interpreter ends is not to end that of the other side.
BUILTIN: dict[str, type[BaseException]] = {
    name: kind for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)
}
SYSTEM = frozenset(kind for kind in BUILTIN.values() if issubclass(kind, OSError))
OURS: dict[str, type[BaseException]] = {
    kind.__name__: kind for kind in (ForbiddenError, NotLentError, TableFullError, LendingError, DisconnectedError)
}
WHERE = "builtins."  # before the names of those of Python's that share them with others


def describe_error(error: BaseException, known: Mapping[str, type[BaseException]]) -> list[Any]:
    """Give the payload of an exception, which has nothing in it but what can be sent.

    Args:
        error: The exception.
        known: The classes that are registered.
    """
    name = _name(type(error), known)
    try:
        text = _sendable(str(error)[:LONGEST_TEXT])
        lines = _sendable("".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:])
    except Exception:  # it cannot say what it is
        text, lines = "", ""
    if isinstance(error, TotoException):
        return ["TotoException", text, lines, [error.value if _plain(error.value) else text], _code(error)]
    args = _arguments(error)
    return [name, text, lines, args if all(map(_plain, args)) else None, None]


def _name(kind: type[BaseException], known: Mapping[str, type[BaseException]]) -> str:
    """Give what a class is called, by which nobody can take it for another."""
    name = kind.__name__
    meant = known.get(name) or OURS.get(name) or BUILTIN.get(name) or kind
    return name if meant is kind else f"{kind.__module__}.{kind.__qualname__}"


def _arguments(error: BaseException) -> list[Any]:
    """Give the arguments of which such an exception is made; an OSError keeps but the first two of its."""
    args = list(error.args)
    made = getattr(type(error).__init__, "__objclass__", None)  # what takes the arguments; a function has none
    if not isinstance(error, OSError) or made not in SYSTEM or len(args) != 2:
        return args
    if error.filename is not None:
        args.append(_path(error.filename))
        if error.filename2 is not None:
            args += [None, _path(error.filename2)]
    return args


def _path(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _code(error: TotoException) -> int | str:
    return error.code if type(error.code) in (int, str) else str(error.code)


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> bool:
    """Tell whether an argument goes along: a small scalar."""
    if type(value) is str:
        return len(value) <= LONGEST_TEXT and _sendable(value) == value
    return (
        type(value) in PLAIN
        and (type(value) is not int or value.bit_length() < 64)
        and (type(value) is not bytes or len(value) <= LONGEST_TEXT)
    )


def made_error(payload: Any, known: Mapping[str, type[BaseException]]) -> BaseException:
    """Make an exception of a payload; its ``remote_traceback`` is the text of where it was raised.

    Its arguments are as plain as `describe_error` sends them. Others it does not get: that is what an exception says
    about itself with, and some of Python's own can be made to say gigabytes.

    Raises:
        LendingError: It is none.
    """
    match payload:
        case [str(name), str(message), str(lines), args, (None | int() | str()) as code] if (
            args is None or type(args) is list
        ):
            error = _made(name, message, args, code, known)
        case _:
            raise LendingError("an exception that is none")
    error.remote_traceback = lines  # type: ignore[attr-defined]
    return error


def _made(
    name: str, message: str, args: list[Any] | None, code: Any, known: Mapping[str, type[BaseException]]
) -> BaseException:
    if args is None or not all(map(_plain, args)):
        args = [message]
    if code is not None:
        return TotoException(code, args[0] if args else message)
    kind = known.get(name) or OURS.get(name) or BUILTIN.get(name.removeprefix(WHERE))
    if kind is not None and not (issubclass(kind, UnicodeError) and any(map(_negative, args))):
        try:
            error = kind(*args)
        except Exception:  # it takes other arguments than it keeps
            return RemoteError(name, message)
        if isinstance(error, BaseException):
            return error
    return RemoteError(name, message)


def _negative(value: Any) -> bool:
    """Tell whether a UnicodeError is about what stands before its text or bytes.

    CPython reads that, wherever in memory it is, when such an error says what it is (mended in 3.12.8 and 3.13.1).
    """
    return type(value) is int and value < 0
