"""The client for programs that wait: ``with totohio.remote.connect(url, user_id=..., password=...) as remote:``.

What is borrowed is used as if it were here; each use waits for its answer. Several threads may use one connection: one
of those that wait receives, and wakes the others when something has come. The lock is held while a message is made or
read, and by nobody who waits, nor while a callable of ours is called.
"""

import collections
import contextlib
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgpack
import msgspec

from totohio.base.clocking import Clock, Minter
from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.core.proving import answer, greeted, session_mac, transcript, welcomed
from totohio.remote.borrowing import Borrower
from totohio.remote.carrying import Carrier, open_carrier
from totohio.remote.conversing import DisconnectedError
from totohio.remote.proxies import Proxy, target_of

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


class _Borrower(Borrower):
    """Has callables called while other threads go on with the session."""

    _performer: "Remote"

    def called(self, callback: Callable[..., Any], args: Any, kw: dict[str, Any]) -> Any:
        """Call a callable of ours; somebody else may receive meanwhile, and it may use the session itself."""
        remote = self._performer
        remote._wake()
        remote._lock.release()
        try:
            return callback(*args, **kw)
        finally:
            remote._lock.acquire()


class Remote:
    """A session with a server.

    What is lent by name is an attribute: ``remote.math.sqrt(2)``. A name that is also one of its own methods is had
    with `get`.

    Attributes:
        url: Where the server is.
        user_id: Who we are there.
    """

    __slots__ = (
        "__weakref__",
        "_arrived",
        "_borrower",
        "_carrier",
        "_clock",
        "_found",
        "_lock",
        "_messages",
        "_names",
        "_over",
        "_process",
        "_receiving",
        "_said",
        "_timeout",
        "_waiting",
        "url",
        "user_id",
    )  # and so nothing that is lent can be hidden by setting it here

    waits = True

    def __init__(
        self, carrier: Carrier, url: str, *, timeout: float, structs: Iterable[Any], errors: Iterable[Any]
    ) -> None:
        self.url = url
        self.user_id: str | None = None
        self._timeout = timeout
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._arrived = threading.Condition(self._lock)
        self._waiting = 0  # threads that another one has to wake
        self._receiving = False  # some thread does
        self._clock = Clock()
        self._carrier = carrier
        self._borrower = _Borrower(self, send=carrier.send, structs=structs, errors=errors)
        self._names: list[str] = []
        self._found: dict[str, Proxy] = {}
        self._over = threading.Event()
        self._messages: collections.deque[bytes] = collections.deque()  # that have come and are to be taken
        self._said = True  # something, since the keeper of the lease has looked last

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
                return Later(self, self._ask("call", target_of(callable_), args, kw))  # which is not dropped before

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

    # ------------------------------------------------------------ for proxies

    def perform(self, operation: str, target: Any = None, args: Any = (), kw: Any = None) -> Any:
        """Have something done, and wait for what it brings.

        Raises:
            DisconnectedError: The connection is over.
            TimeoutError: It took too long, and was given up.
        """
        self._ours()
        with self._lock:
            future = self._ask(operation, target, args, kw)
            self._await(future, self._timeout)
        return future.result()

    def dropped(self, number: int) -> None:
        """Nobody uses an object any more; the server is told with what is sent next."""
        self._borrower.dropped(number)

    def check(self) -> None:
        """See that it is not over.

        Raises:
            DisconnectedError: It is.
        """
        if self._borrower.closed is not None:
            raise DisconnectedError(f"the session that it belongs to is over: {self._borrower.closed}")

    # ------------------------------------------------------------ the rest

    def _ours(self) -> None:
        """See that no other process has opened it, and with it whatever lock was held when this one was forked.

        Raises:
            DisconnectedError: One has.
        """
        if os.getpid() != self._process:
            raise DisconnectedError("another process has opened the session: one that is forked has to open its own")

    def _ask(self, operation: str, target: Any, args: Any, kw: Any) -> Future[Any]:
        self._said = True
        try:
            return self._borrower.ask(operation, target, args, kw)
        except DisconnectedError:
            raise
        except OSError as error:
            self._failed(error)
            raise DisconnectedError(f"the connection is over: {self._borrower.closed}") from error
        except BaseException:
            if self._carrier.cut:
                self._end(DisconnectedError("it was interrupted while it sent something"))
            raise

    def _failed(self, error: OSError) -> None:
        """Something could not be sent: end the session, with what the server may have said of why."""
        if self._borrower.closed is None and not self._receiving:
            self._receive(0.0)
        self._end(error)

    def _await(self, future: Future[Any], timeout: float | None, *, cancel: bool = True) -> None:
        """Take what comes until the answer is there; the lock is held once, and let go of in between."""
        left = timeout
        end = None if timeout is None else self._clock.monotonic() + timeout
        try:
            while not future.done():
                if self._borrower.closed is not None:
                    raise DisconnectedError(f"the connection is over: {self._borrower.closed}")
                if self._receiving:
                    self._waiting += 1
                    try:
                        self._arrived.wait(left)
                    finally:
                        self._waiting -= 1
                else:
                    self._receive(left)
                if end is not None and not future.done():
                    left = end - self._clock.monotonic()
                    if left <= 0.0:
                        raise TimeoutError(f"no answer within {timeout:g} seconds")
        except (KeyboardInterrupt, TimeoutError):
            if cancel:
                self._forget(future)
            raise
        finally:
            self._wake()  # somebody else has to receive now

    def _receive(self, seconds: float | None) -> None:
        """Receive, which nobody else does, and take what has come.

        A callback of ours that asks for something meanwhile, or another thread, goes on with the same messages.
        """
        messages = self._messages
        try:
            if not messages:
                try:
                    self._receiving = True
                    self._lock.release()
                    messages.extend(self._carrier.receive(seconds))
                finally:
                    self._receiving = False
                    self._lock.acquire()
            while messages:
                self._borrower.take(messages.popleft())
        except (OSError, TotohioError, ReferenceError) as error:
            self._end(DisconnectedError("it was closed") if self._over.is_set() else error)
        self._wake()

    def _wake(self) -> None:
        """Have the threads that wait look whether there is something for them to do."""
        if self._waiting:
            self._arrived.notify_all()

    def _look(self) -> None:
        self._ours()
        with self._lock:
            if self._borrower.closed is None and not self._receiving:
                self._receive(0.0)

    def _cancel(self, future: Future[Any]) -> None:
        self._ours()
        with self._lock:
            if not future.done():
                self._forget(future)
                if not future.done():
                    future.cancel()
                self._wake()

    def _forget(self, future: Future[Any]) -> None:
        """Give up an answer; where the server cannot be told that, the session is over."""
        try:
            self._borrower.forget(future)
        except OSError as error:
            self._failed(error)

    def _end(self, error: BaseException) -> None:
        self._borrower.close(error)
        self._found.clear()
        with contextlib.suppress(OSError):
            self._carrier.close()
        self._wake()

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
    if timeout <= 0.0:
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
