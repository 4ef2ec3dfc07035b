"""The client for programs that wait: ``with totohio.remote.connect(url, user_id=..., password=...) as remote:``.

What is borrowed is used as if it were here; each use waits for its answer. Several threads may use one connection: see
`sharing`.
"""

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgpack
import msgspec

from totohio.base.clocking import Minter
from totohio.base.futures import Future
from totohio.core.proving import answer, greeted, session_mac, transcript, welcomed
from totohio.remote.carrying import Carrier, open_carrier
from totohio.remote.conversing import DisconnectedError
from totohio.remote.proxies import Proxy, target_of
from totohio.remote.sharing import MOST_OUTS, Sharer

VERSION = 1
NONCE = 16  # bytes
TIMEOUT = 60.0  # seconds
KEEPALIVE = 60.0  # seconds at most after which a client that says nothing says that it is there
PING: bytes = msgpack.packb({"o": "ping"})


class Later:
    """A call that is under way.

    Attributes:
        future: Gets what it returns.
    """

    def __init__(self, remote: "Remote", future: Future[Any]) -> None:
        self._remote = remote
        self.future = future

    def __repr__(self) -> str:
        return f"<Later of {self._remote.url}: {'done' if self.future.done() else 'under way'}>"

    def done(self) -> bool:
        """Tell whether it is done, after a look at what has come."""
        self._remote._look()
        return self.future.done()

    def result(self, timeout: float | None = None) -> Any:
        """Give what it returns, and wait for that.

        Raises:
            TimeoutError: It takes longer than so many seconds; it goes on, and may be asked for again.
            BaseException: Whatever it raises.
        """
        future, remote = self.future, self._remote
        remote._ours()
        with remote._lock:
            remote._await(future, timeout, cancel=False)
        return future.result()

    def cancel(self) -> None:
        """Have the server end it where it stands; its result is a CancelledError."""
        self._remote._cancel(self.future)


class Remote(Sharer):
    """A session with a server.

    What is lent by name is an attribute: ``remote.math.sqrt(2)``. A name that is also one of its own methods is had
    with `get`.

    Attributes:
        url: Where the server is.
        user_id: Who we are there.
    """

    __slots__ = ("__weakref__", "_found", "_names", "user_id")  # so that nothing lent can be hidden by setting it here

    def __init__(
        self, carrier: Carrier, url: str, *, timeout: float, structs: Iterable[Any], errors: Iterable[Any]
    ) -> None:
        super().__init__(carrier, url, timeout=timeout, structs=structs, errors=errors)
        self.user_id: str | None = None
        self._names: list[str] = []
        self._found: dict[str, Proxy] = {}

    def __repr__(self) -> str:
        return f"<Remote of {self.user_id or 'nobody'} at {self.url}{' (closed)' if self._borrower.closed else ''}>"

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._names})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{self!r} has no {name!r}", name=name, obj=self)
        return self.get(name)

    # ------------------------------------------------------------ what a session can do

    def get(self, name: str) -> Any:
        """Give what is lent by a name.

        Raises:
            AttributeError: Nothing is.
        """
        found = self._found.get(name)
        if found is None:
            found = self.perform("get", [None, name])
            if type(found) is Proxy:
                self._found[name] = found
        return found

    def dir(self) -> list[str]:
        """Give the names of what is lent."""
        self._names = self.perform("dir")
        return list(self._names)

    def do(self, statements: str) -> None:
        """Have statements carried out in the session's namespace, where the server allows that."""
        self._found.clear()
        self.perform("do", None, [statements])

    def doimport(self, modname: str, attr: str = "") -> Any:
        """Give a name of a module that is lent, or the module."""
        return self.perform("import", None, [modname, attr])

    def ping(self) -> float:
        """Give the seconds that a word to the server and back takes."""
        start = self._clock.monotonic()
        self.perform("ping")
        return self._clock.monotonic() - start

    def later(self, callable_: Any) -> Callable[..., Later]:
        """Give what calls a proxy or a method without waiting: ``remote.later(remote.math.sqrt)(2).result()``."""
        target_of(callable_)

        def call(*args: Any, **kw: Any) -> Later:
            self._ours()
            with self._lock:
                later = Later(self, self._ask("call", target_of(callable_), args, kw))  # which is not dropped before
                if len(self._carrier.outs) > MOST_OUTS:
                    self._wait_for_room()
            return later

        return call

    def close(self) -> None:
        """End the session; what was borrowed is no more. Twice does no harm."""
        self._over.set()
        if os.getpid() != self._process:  # the session is our parent's, and so may be the lock
            self._carrier.abandon()
            self._borrower.close(DisconnectedError("it was closed"))
            return
        with self._lock:
            self._end(DisconnectedError("it was closed"))

    # ------------------------------------------------------------ the rest

    def _end(self, error: BaseException) -> None:
        super()._end(error)
        self._found.clear()

    def _keep_alive(self, seconds: float) -> None:
        """Say that we are there when nothing else was said, also while somebody waits for an answer."""
        while not self._over.wait(seconds):
            said, self._said = self._said, False
            if not said:
                try:
                    self._carrier.send(PING)
                except OSError:
                    return

    def _greet(self) -> Any:
        """Give the server's greeting.

        Raises:
            DisconnectedError: It has none.
        """
        try:
            greeting = self.perform("hello", None, [VERSION])
        except DisconnectedError as error:
            if isinstance(self._borrower.closed, DisconnectedError):  # it has said why
                raise
            raise DisconnectedError(f"{error} (does it lend objects, in TLS or without as the URL says?)") from error
        self._borrower.greeted(greeting)
        return greeting

    def _log_in(self, user_id: str, password: str) -> None:
        greeting = self._greet()
        nonce = Minter().draw(NONCE)
        challenge = self.perform("challenge", None, [user_id, nonce])
        ours, theirs = answer(challenge, password, transcript(user_id, greeted(greeting), nonce))
        self._enter(self.perform("prove", None, [ours]), theirs)

    def _present(self, session_id: str, key: str) -> None:
        greeting = self._greet()
        self._enter(self.perform("present", None, [session_id, session_mac(key, greeted(greeting))]), None)

    def _enter(self, welcome: Any, proof: bytes | None) -> None:
        self.user_id, self._names, lease = welcomed(welcome, proof)
        seconds = min(KEEPALIVE, lease / 3)
        threading.Thread(target=self._keep_alive, args=(seconds,), name="totohio-remote", daemon=True).start()


def connect(
    url: str,
    *,
    user_id: str | None = None,
    password: str | None = None,
    session_id: str | None = None,
    session_key: str | None = None,
    cafile: str | None = None,
    certfile: str | None = None,
    keyfile: str | None = None,
    timeout: float = TIMEOUT,
    structs: Iterable[type[msgspec.Struct]] = (),
    errors: Iterable[type[BaseException]] = (),
) -> Remote:
    """Open a session with a server that lends objects.

    Args:
        url: ``totohio://host:port``, ``totohio+tls://host:port``, or ``ws://host:port/path`` and ``wss://`` over
            WebSockets.
        user_id: Who we are; needs ``password``.
        password: It is not sent.
        session_id: The id of a session that we have over HTTP, in place of both; needs ``session_key``.
        session_key: The key of that session, which signs.
        cafile: A PEM file with the certificates that the server's is checked against; the machine's own by default.
        certfile: A PEM file with a certificate of our own, where the server asks for one.
        keyfile: A PEM file with its key, when that is another.
        timeout: Seconds that an answer may take.
        structs: Classes of msgspec Structs that go by value; the server has to know them under the same names.
        errors: Classes of exceptions that arrive as themselves.

    Raises:
        OSError: The server cannot be reached, or its certificate is wrong.
        TotoException: 1005, the user or the password is wrong; 1004, the session; 1016, the user has not the role.
        ValueError: The URL is none, or it is not said who we are; or the timeout is none.
    """
    if not 0.0 < timeout <= threading.TIMEOUT_MAX:
        raise ValueError(f"a timeout of {timeout:g} seconds is none")
    if (user_id is None or password is None) == (session_id is None or session_key is None):
        raise ValueError("say who it is: user_id and password, or session_id and session_key")
    carrier = open_carrier(url, timeout, cafile=cafile, certfile=certfile, keyfile=keyfile)
    remote = Remote(carrier, url, timeout=timeout, structs=structs, errors=errors)
    try:
        if user_id is not None and password is not None:
            remote._log_in(user_id, password)
        else:
            assert session_id is not None
            assert session_key is not None
            remote._present(session_id, session_key)
    except BaseException:
        remote.close()
        raise
    return remote
