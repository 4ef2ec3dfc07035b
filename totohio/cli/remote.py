"""``totohio remote``: a prompt at which what a server lends is used as if it were here."""

import argparse
import builtins
import code
import getpass
import linecache
import os
import rlcompleter
import ssl
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

from totohio.base.errors import TotoException, TotohioError
from totohio.base.writing import printable
from totohio.cli.parsing import Command, Order, UsageError
from totohio.remote import DisconnectedError, Proxy, Remote, connect
from totohio.remote.proxies import Method

TIMEOUT = 60.0  # seconds
PASSWORD = "TOTOHIO_PASSWORD"  # variables of the environment; an option could be seen by everybody on the machine
SESSION_KEY = "TOTOHIO_SESSION_KEY"
SCRIPT = "<stdin>"  # what tracebacks call the statements of standard input


class _Names(dict[str, Any]):
    """What names mean that nobody has assigned: what is lent, asked for when it is first used, and Python's own.

    It takes the place of the builtins, since Python looks there last, in functions and classes as well.

    Attributes:
        lent: The names of what is known to be lent.
    """

    def __init__(self, remote: Remote) -> None:
        super().__init__(vars(builtins))
        self.lent = set(remote.dir())
        self._remote = remote
        for name in {*self.lent, "_"}:  # the last is what was shown last, and changes
            self.pop(name, None)

    def __missing__(self, name: str) -> Any:
        if name.startswith("_"):
            return vars(builtins)[name]
        try:
            found = self._remote.get(name)
        except AttributeError:
            raise KeyError(name) from None
        self.lent.add(name)  # remote.do() may have made it
        return found


class _Completer(rlcompleter.Completer):
    """Completes names that are lent, and those of what is borrowed, without asking the server for any value."""

    def __init__(self, namespace: dict[str, Any], names: _Names) -> None:
        super().__init__(namespace)
        self._own = namespace
        self._names = names

    def global_matches(self, text: str) -> list[str]:
        """Give the names that begin so."""
        lent = {name for name in self._names.lent if name.startswith(text)}
        return sorted(lent.union(super().global_matches(text)))

    def attr_matches(self, text: str) -> list[str]:
        """Give the names of what stands before the last point; nothing where that is an attribute of a proxy."""
        path, _, start = text.rpartition(".")
        try:
            found = self._reach(path)
        except Exception:  # whatever an attribute raises, there is nothing to complete
            return []
        if not isinstance(found, (Method, Proxy, Remote)):
            return super().attr_matches(text)
        return [f"{path}.{name}" for name in dir(found) if name.startswith(start) and not name.startswith("_")]

    def _reach(self, path: str) -> Any:
        first, *rest = path.split(".")
        if first not in self._own and first not in self._names and first not in self._names.lent:
            raise LookupError(first)
        found = self._own[first] if first in self._own else self._names[first]
        for name in rest:
            if isinstance(found, Proxy):
                raise LookupError(name)
            found = getattr(found, name)
        return found

    def _callable_postfix(self, value: Any, word: str) -> str:
        return word  # a proxy looks callable even if it is not, so none gets a parenthesis


class _Console(code.InteractiveConsole):
    """The prompt; it ends when the connection does."""

    def showtraceback(self) -> None:
        """Show what was raised, here and at the server."""
        error = sys.exception()
        if isinstance(error, DisconnectedError):
            raise error
        super().showtraceback()
        self.write("".join(_far(error)))

    def write(self, data: str) -> None:
        """Write to standard error, with what a server says unable to play with the terminal."""
        super().write("\n".join(map(printable, data.split("\n"))))


def _far(error: BaseException | None) -> Iterator[str]:
    """Give the tracebacks that the server has sent with an error and with those that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        text = getattr(error, "remote_traceback", None)
        if isinstance(text, str) and text:
            yield f"\nAt the server:\n{text.rstrip()}\n"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user-id", metavar="ID", help=f"who we are; the password is asked for, or taken from {PASSWORD}"
    )
    parser.add_argument(
        "--session-id", metavar="ID", help=f"a session of ours over HTTP in its place; its key is that of {SESSION_KEY}"
    )
    parser.add_argument("--cafile", metavar="FILE", help="a PEM file with the authority that signed a server with TLS")
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"how long an answer may take [{TIMEOUT:.0f}]",
    )


def _run(order: Order) -> int:
    [url] = order.words
    with _open(url, order.own) as remote:
        try:
            names = _Names(remote)
            namespace = {"__name__": "__main__", "__doc__": None, "__builtins__": names, "remote": remote}
            return _prompt(remote, namespace, names) if sys.stdin.isatty() else _script(namespace)
        except DisconnectedError as error:
            raise TotohioError(_line(url, error)) from None
        except SystemExit as error:
            if error.code is None or isinstance(error.code, int):
                raise
            print(error.code, file=sys.stderr)  # as Python does with a text
            return 1


def _open(url: str, own: argparse.Namespace) -> Remote:
    """Open the session, or say in one line why there is none."""
    if (own.user_id is None) == (own.session_id is None):
        raise UsageError("say who you are, with either --user-id or --session-id (see totohio remote --help)")
    if own.cafile is not None:
        try:
            ssl.create_default_context(cafile=own.cafile)
        except OSError as error:
            raise UsageError(f"--cafile: {error.strerror or error}") from None
    who = {"user_id": own.user_id, "session_id": own.session_id}
    if own.user_id is not None:
        who["password"] = _secret(PASSWORD, "Password: ")
    else:
        who["session_key"] = _secret(SESSION_KEY, "Key of the session: ")
    try:
        return connect(url, cafile=own.cafile, timeout=own.timeout, **who)
    except TotoException as error:
        raise TotohioError(_line(url, f"error {error.code}: {error.value}")) from None
    except (OSError, TotohioError) as error:  # a certificate that fails is a ValueError too, so this comes first
        raise TotohioError(_line(url, getattr(error, "strerror", None) or error or "timed out")) from None
    except ValueError as error:
        raise UsageError(_line(url, error)) from None


def _line(url: str, what: Any) -> str:
    """Say where something is wrong, once, in one line."""
    text, url = str(what), url.rpartition("@")[2]  # a user and a password are not shown
    return printable(text if url in text else f"{url}: {text}")


def _secret(variable: str, prompt: str) -> str:
    """Take a secret from the environment, or ask for it at the terminal, and never from standard input."""
    found = os.environ.get(variable)
    if found is not None:
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)  # there is no terminal that could hide it
        try:
            return getpass.getpass(prompt)
        except (getpass.GetPassWarning, EOFError):
            raise UsageError(f"{variable} is not set, and there is no terminal at which to ask for it") from None


def _prompt(remote: Remote, namespace: dict[str, Any], names: _Names) -> int:
    """Carry out what is typed until its end."""
    try:
        import readline
    except ImportError:  # a Python without it has a prompt without completion
        pass
    else:
        readline.set_completer(_Completer(namespace, names).complete)
        editline = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if editline else "tab: complete")
    count = len(names.lent)
    banner = (
        f"You are {remote.user_id} at {remote.url}, which lends {count} name{'' if count == 1 else 's'};"
        " remote.dir() lists them.\nCtrl-D or exit() leaves, and with you goes what was borrowed."
    )
    _Console(namespace).interact(banner, "")
    return 0


def _script(namespace: dict[str, Any]) -> int:
    """Carry out what standard input says, until its end or until something is raised."""
    data = sys.stdin.buffer.read()
    linecache.cache[SCRIPT] = (len(data), None, data.decode("utf-8", "replace").splitlines(keepends=True), SCRIPT)
    try:
        exec(compile(data, SCRIPT, "exec"), namespace)
    except DisconnectedError:
        raise
    except Exception as error:
        trace = error.__traceback__
        lines = traceback.format_exception(type(error), error, trace.tb_next if trace is not None else None)
        text = "".join([*lines, *_far(error)])
        print("\n".join(map(printable, text.splitlines())), file=sys.stderr)
        return 1
    return 0


COMMAND = Command(
    name="remote",
    words="URL",
    least=1,
    most=1,
    doc="Use what a running server lends, at a prompt.\n\n"
    "The URL is totohio://HOST:PORT, totohio+tls://HOST:PORT, ws://HOST:PORT/PATH or wss://HOST:PORT/PATH. What is\n"
    "lent has its name there, and remote is the session. Without a terminal the statements of standard input are\n"
    "carried out; the first exception ends them, and the exit status is then 1.\n\n"
    "  totohio remote totohio://localhost:8890 --user-id ada\n"
    "  echo 'print(math.sqrt(2))' | totohio remote totohio://localhost:8890 --user-id ada",
    run=_run,
    declare=_declare,
)
