"""A server in the test's own thread, and clients that talk to it over real sockets.

The test drives the cycles, and tyme is its to set: no test sleeps, and a timeout of an hour takes none.
"""

import contextlib
import itertools
import json
import select
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import httptools
from hio.base import doing

from totohio import TotoServer

STEPS = 3000  # cycles after which a test gives up waiting for a reply
_numbers = itertools.count()


class Reply:
    """One reply as a client sees it."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.pieces: list[bytes] = []
        self.done = False

    @property
    def body(self) -> bytes:
        """What there is of it."""
        if len(self.pieces) > 1:
            self.pieces = [b"".join(self.pieces)]
        return self.pieces[0] if self.pieces else b""

    def header(self, name: str) -> str | None:
        """The value of the one header of that name; None without it."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Client:
    """One connection. It parses what comes back with a parser that is not the server's own code."""

    def __init__(self, world: "World", sock: socket.socket) -> None:
        self.world = world
        self.sock = sock
        self.sock.setblocking(False)
        self.replies: list[Reply] = []
        self.raw = b""
        self.closed = False
        self.reset = False
        self._taken = 0
        self._parser = httptools.HttpResponseParser(self)
        self._bare: bytearray | None = None  # the reply to a HEAD, which no parser understands by itself

    # what the parser tells
    def on_message_begin(self) -> None:
        self.replies.append(Reply())

    def on_header(self, name: bytes, value: bytes) -> None:
        self.replies[-1].headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.replies[-1].status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.replies[-1].pieces.append(body)

    def on_message_complete(self) -> None:
        self.replies[-1].done = True

    def send(self, data: bytes) -> None:
        """Send all of it, letting the server run while it does not fit."""
        view = memoryview(data)
        for _ in range(STEPS):
            if not view:
                return
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                self.world.step()
            except OSError:
                self.reset = True
                return
        raise AssertionError("the server does not read")

    def receive(self) -> None:
        """Take what is there now."""
        while not self.closed:
            try:
                data = self.sock.recv(1 << 20)
            except BlockingIOError:
                return
            except OSError:
                self.reset = self.closed = True
                return
            if not data:
                self.closed = True
                return
            self.raw += data
            if self._bare is not None:
                self._bare += data
                continue
            with contextlib.suppress(httptools.HttpParserUpgrade):
                self._parser.feed_data(data)

    def reply(self) -> Reply:
        """The next reply, whole."""
        for _ in range(STEPS):
            self.receive()
            if self.closed and len(self.replies) > self._taken:
                self.replies[self._taken].done = True  # a reply may end with its connection
            while len(self.replies) > self._taken and self.replies[self._taken].done:
                found = self.replies[self._taken]
                self._taken += 1
                if found.status >= 200:
                    return found
            if self.closed:
                break
            self.world.step()
        raise AssertionError(f"no reply; closed={self.closed} raw={self.raw[:300]!r}")

    def wait_closed(self) -> None:
        """Run the server until it has closed this connection."""
        for _ in range(STEPS):
            self.receive()
            if self.closed:
                return
            self.world.step()
        raise AssertionError("the connection stays open")

    def post(self, path: str, body: Any, *, headers: dict[str, str] | None = None) -> Reply:
        """POST a JSON body, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, data, headers=headers)

    def call(self, name: str, parameters: Any = None, **more: Any) -> Any:
        """Call a method with parameters and give the decoded reply."""
        return self.post("/", {"method": name, "parameters": parameters or {}, **more}).json()

    def get(self, path: str, *, headers: dict[str, str] | None = None) -> Reply:
        """GET a path."""
        return self.request("GET", path, b"", headers=headers)

    def request(self, verb: str, path: str, body: bytes = b"", *, headers: dict[str, str] | None = None) -> Reply:
        """Send one request and give its reply."""
        self.send(request_bytes(verb, path, body, headers=headers))
        return self.bare_reply() if verb == "HEAD" else self.reply()

    def bare_reply(self) -> Reply:
        """The next reply, to a HEAD: it ends with its head, and any byte of a body fails the test."""
        self._bare = bytearray()
        for _ in range(STEPS):
            self.receive()
            if b"\r\n\r\n" in self._bare or self.closed:
                break
            self.world.step()
        self.world.step(2)
        self.receive()
        head, self._bare = bytes(self._bare), None
        assert head.endswith(b"\r\n\r\n"), f"a body came with the reply to a HEAD: {head!r}"
        assert head.count(b"\r\n\r\n") == 1, f"more came than the reply to a HEAD: {head!r}"
        reply = Reply()
        status, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        reply.status = int(status.split(" ")[1])
        reply.headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        reply.done = True
        return reply

    def shutdown(self) -> None:
        """Send no more, but go on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Leave with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Leave."""
        self.sock.close()


def request_bytes(verb: str, path: str, body: bytes = b"", *, headers: dict[str, str] | None = None) -> bytes:
    """The bytes of a request."""
    lines = {"Host": "test", **(headers or {})}
    if body or verb == "POST":
        lines.setdefault("Content-Length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{verb} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


class World:
    """A server that serves the given method modules, run by the test."""

    def __init__(self, folder: Path, methods: dict[str, str], *, doist: Any = None, **options: Any) -> None:
        """Set it up and let it listen.

        Args:
            folder: An empty folder for the method package.
            methods: Source texts by dotted module name.
            doist: What runs it; a stock Doist in artificial time when None.
            options: Of the server.
        """
        self.package = f"methods_{next(_numbers)}"
        for name, source in {"__init__": "", **methods}.items():
            path = folder / self.package / (name.replace(".", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            for parent in path.relative_to(folder).parents[:-1]:
                (folder / parent / "__init__.py").touch()
            path.write_text(source)
        sys.path.insert(0, str(folder))
        try:
            settings = {"port": 0, "log_level": "error", "database": "memory", **options}
            self.server = TotoServer(method_module=self.package, **settings)
            self.doer = self.server.doers[0]
        finally:
            sys.path.remove(str(folder))
        self.doist = doist or doing.Doist(real=False, tock=0.03125)
        self.doist.doers = [*self.doist.doers, *self.server.doers]
        self.doist.enter()
        self.clients: list[Client] = []

    @property
    def address(self) -> Any:
        """Where it listens."""
        return self.server.address

    def module(self, name: str) -> Any:
        """A method's module, to see what the method has noted there."""
        return sys.modules[f"{self.package}.{name}"]

    @property
    def stewards(self) -> list[Any]:
        """Its connections."""
        return list(self.server.built.server.stewards.values())

    def step(self, count: int = 1) -> None:
        """Run so many cycles; the kernel gets a moment to deliver."""
        for _ in range(count):
            select.select([], [], [], 0.0002)  # loopback delivers at once; other processes may need a moment
            self.doist.recur()

    def advance(self, seconds: float) -> None:
        """Let tyme pass and run a cycle."""
        self.doist.tyme += seconds
        self.step(2)

    def connect(self) -> Client:
        """Open a connection."""
        if isinstance(self.address, str):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(self.address)
        else:
            sock = socket.create_connection(self.address, 5)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each piece leaves when it is sent
        client = Client(self, sock)
        self.clients.append(client)
        return client

    def close(self) -> None:
        """End the server and its clients."""
        for client in self.clients:
            client.close()
        self.doist.exit()
        for name in [name for name in sys.modules if name.split(".")[0] == self.package]:
            del sys.modules[name]
