"""``totohio call``: call a method of a running server and print what it gives."""

import argparse
import http.client
import json
import socket
import ssl
import sys
import urllib.parse
from typing import Any

from totohio.base.errors import TotohioError
from totohio.base.writing import printable
from totohio.cli.parsing import Command, Order, UsageError

URL = "http://127.0.0.1:8888"
TIMEOUT = 60.0  # seconds
JSON = "application/json"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", default=URL, help=f"where the server is: http://, https:// or unix:/path; with its root [{URL}]"
    )
    parser.add_argument(
        "--json", metavar="JSON", help="the parameters as one JSON value; - reads it from standard input"
    )
    parser.add_argument(
        "--method-style",
        choices=("url", "body"),
        default="url",
        help="where the method's name goes: into the path (url), or into the body [url]",
    )
    parser.add_argument("--session", metavar="ID", help="a session id, sent as x-toto-session-id")
    parser.add_argument("--cafile", metavar="FILE", help="a PEM file with the authority that signed an https server")
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"how long to wait for the reply [{TIMEOUT:.0f}]",
    )


def _run(order: Order) -> int:
    own = order.own
    method, *pairs = order.words
    parameters = parameters_of(pairs, own.json)
    connection, root = _connect(own.url, own.cafile, own.timeout)
    if own.method_style == "url":
        path = root + "/" + urllib.parse.quote(method.replace(".", "/"))
        body = {"parameters": parameters} if parameters else {}
    else:
        path = root + "/"
        body = {"method": method, "parameters": parameters}
    headers = {"Content-Type": JSON, "Accept": JSON}
    if own.session is not None:
        headers["x-toto-session-id"] = own.session
    try:
        connection.request("POST", path, json.dumps(body).encode(), headers)
        reply = connection.getresponse()
        return _show(reply, reply.read())
    except OSError as error:  # a certificate that fails is a ValueError too, so this comes first
        raise TotohioError(f"{own.url}: {error.strerror or error or 'timed out'}") from None
    except http.client.HTTPException as error:
        raise TotohioError(f"{own.url}: no reply in HTTP ({printable(str(error)) or type(error).__name__})") from None
    except ValueError as error:  # a header that cannot be one
        raise UsageError(str(error)) from None
    finally:
        connection.close()


def parameters_of(pairs: list[str], text: str | None) -> Any:
    """Put together the parameters of a call, or the arguments of an event.

    Args:
        pairs: Texts of the form ``key=value``.
        text: All of them as JSON, or ``-`` to read that from standard input; None without.

    Raises:
        UsageError: A pair is none, or that is no JSON.
    """
    parameters: Any = {}
    if text is not None:
        try:
            parameters = json.loads(sys.stdin.read() if text == "-" else text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"--json: {error}") from None
        if pairs and not isinstance(parameters, dict):
            raise UsageError("--json: only an object takes further key=value parameters")
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f'expected key=value, got "{pair}"')
        parameters[key] = _value(value)
    return parameters


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _connect(url: str, cafile: str | None, timeout: float) -> tuple[http.client.HTTPConnection, str]:
    """Prepare a connection and find the path at which the server's methods begin."""
    if url.startswith("unix:"):
        return _UnixConnection(url.removeprefix("unix:").removeprefix("//"), timeout), ""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"--url: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f'--url: expected http://HOST:PORT, https://HOST:PORT or unix:/path, got "{url}"')
    root = parts.path.rstrip("/")
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout), root
    try:
        context = ssl.create_default_context(cafile=cafile)
    except OSError as error:
        raise UsageError(f"--cafile: {error.strerror or error}") from None
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=context), root


def _show(reply: http.client.HTTPResponse, body: bytes) -> int:
    """Print the reply and give the exit status."""
    if not (reply.getheader("Content-Type") or "").startswith(JSON) and reply.status == http.client.OK:
        sys.stdout.flush()
        sys.stdout.buffer.write(body)
        return 0
    try:
        found = json.loads(body) if body else {}
    except ValueError:
        found = None
    if isinstance(found, dict) and "error" in found:
        print(f"totohio: error {_error(found['error'])}", file=sys.stderr)
        return 1
    if reply.status != http.client.OK or found is None:
        target = reply.getheader("Location")
        print(f"totohio: HTTP {reply.status} {reply.reason}{f': {target}' if target else ''}", file=sys.stderr)
        return 1
    result = found.get("result") if isinstance(found, dict) else found
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 0


def _error(error: Any) -> str:
    if not isinstance(error, dict):
        return printable(json.dumps(error, ensure_ascii=False))
    value = error.get("value")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(f"{error.get('code')}: {text}")


COMMAND = Command(
    name="call",
    words="METHOD [KEY=VALUE ...]",
    least=1,
    most=None,
    doc="Call a method of a running server.\n\n"
    "A VALUE that is JSON is sent as such (3, true, [1,2]), anything else as a text. The result is printed as\n"
    "JSON. An error goes to standard error, and the exit status is then 1.\n\n  totohio call add a=1 b=2\n"
    '  totohio call user.rename --json \'{"name": "Ada"}\'',
    run=_run,
    declare=_declare,
)
