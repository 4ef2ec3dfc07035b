"""A client's session: what it is lent, and what is done for it.

    greeting      it says who it is; nothing else can be asked
    open          it asks, in any order and as much at once as it may; it gives us callables, which we may call
    closed        all that it was lent and all that is done for it is gone

Its methods have the names that SPIRO's session had.
"""

import functools
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from totohio.base.errors import (
    ERROR_FORBIDDEN,
    ERROR_SERVER,
    ERROR_TOO_MANY_REQUESTS,
    TotoException,
)
from totohio.base.futures import Future
from totohio.core.invoking import DEFERRED
from totohio.core.lending import ForbiddenError, Lent
from totohio.core.limiting import Allowance
from totohio.remote.callbacks import Callback
from totohio.remote.conversing import YOURS, Conversation, DisconnectedError
from totohio.remote.describing import check_reachable
from totohio.remote.greeting import greet
from totohio.remote.iterating import Batch
from totohio.remote.operating import Operations, title
from totohio.remote.ports import Carrier, House
from totohio.remote.tracking import Calls
from totohio.wire.framing import Framer, FramingError
from totohio.wire.lending import LendingError

logger = logging.getLogger("totohio")

GREETING_SIZE = 4096  # bytes of a frame of somebody who has not said who it is
GREETINGS = 20  # requests of somebody like that, each of which may ask the store for something
SLICE = 64  # requests that are carried out in a cycle for one session
LONGEST_NAME = 100  # characters of what a callable of the client is called
LONGEST_CODE = 1 << 16  # characters of statements


class RemoteSession(Conversation):
    """One client's session.

    Attributes:
        user_id: Who the client is; None as long as that is not known.
        roles: What the user is.
        namespace: What it finds by name: what everybody is lent, and what it has made itself.
        tyme: The tyme at which it was last heard of.
        address: Where the client is.
        nonce: What it has to sign to show who it is.
        state: What the gate remembers of it.
    """

    def __init__(self, house: House, carrier: Carrier, *, nonce: bytes, address: str = "", framed: bool = True) -> None:
        """Set it up.

        Args:
            house: Where it lives.
            carrier: Its connection.
            nonce: Random bytes.
            address: Where the client is.
            framed: Bytes come in pieces of any size, with a length before each message.
        """
        policy = house.policy
        super().__init__(send=carrier.send, limit=policy.max_references, structs=house.structs, errors=house.errors)
        self.user_id: str | None = None
        self.roles: frozenset[str] = frozenset()
        self.namespace: dict[str, Any] = dict(house.lent)
        self.nonce = nonce
        self.address = address
        self.state: Any = None
        self.tyme = house.lot.tyme
        self._house = house
        self._policy = policy
        self._carrier = carrier
        self._framer = Framer(GREETING_SIZE) if framed else None
        self._messages: deque[bytes] = deque()
        self._greetings = 0  # requests before it was known who asks
        self._calls = Calls(self, house)
        self._missing: dict[str, None] = {}  # roles that it has not, and that what the message refers to asks for
        self._allowance = Allowance(policy.rate, self.tyme)
        self._operations = Operations(
            exposures=house.exposures,
            namespace=self.namespace,
            find=self.table.find,
            run=self._run,
            now=house.monotonic,
        )

    def __repr__(self) -> str:
        return f"<RemoteSession of {self.user_id or 'somebody'} at {self.address or 'a path'}>"

    # ------------------------------------------------------------ what comes

    def feed(self, data: bytes) -> None:
        """Take bytes, or a whole message where they come as such."""
        self.tyme = self._house.lot.tyme
        if self._framer is None:
            self._messages.append(data)
        else:
            self._framer.feed(data)

    def readbytes(self, count: int) -> bytes | None:
        """Take out so many bytes of what has come; None when there are not as many yet."""
        return None if self._framer is None else self._framer.take(count)

    def getRequest(self) -> dict[str, Any] | None:
        """Take out the next message that has come, decoded; None when there is none.

        Raises:
            LendingError, FramingError: It is none, or too large.
        """
        if self._framer is not None:
            data = self._framer.next()
        elif self._messages:
            data = self._messages.popleft()
            if len(data) > (GREETING_SIZE if self.user_id is None else self._policy.max_frame):
                raise FramingError(f"a message of {len(data)} bytes")
        else:
            return None
        return None if data is None else self._unpack(data, strictly=self.user_id is None)

    def handle(self) -> bool:
        """Carry out a slice of what has come; tell whether there may be more. What is no message ends the session."""
        try:
            for _ in range(SLICE):
                if self.closed is not None:
                    return False
                message = self.getRequest()
                if message is None:
                    self.tidy()
                    return False
                self.handed(message)
        except (LendingError, FramingError, ReferenceError) as error:
            logger.info("remote: %r was ended: %s", self, error)
            if self.user_id is not None:  # a stranger is told nothing
                self.notify("end", str(error))
            self.end(error)
            return False
        return True

    def noticed(self, message: dict[str, Any]) -> None:
        """The client tells something."""
        self._missing.clear()
        match message:
            case {"o": "cancel", "a": [int(number)]}:
                self._calls.cancel(number)
            case _:
                super().noticed(message)

    # ------------------------------------------------------------ requests

    def executeRequest(self, message: dict[str, Any]) -> None:
        """Carry out a request and reply, now or when it is done.

        Raises:
            LendingError: It has no number of its own, or is one too many of somebody who is not known.
        """
        number = message.get("i")
        if type(number) is not int or number < 0 or number in self._calls.runs:
            raise LendingError("a request has a number of its own")
        if self.user_id is None:
            self._greetings += 1
            if self._greetings > GREETINGS:
                raise LendingError("it does not say who it is")
        if self._house.timed:
            self._calls.note(number, title(message, self.table.find))
        missing, self._missing = self._missing, {}
        try:
            args, kw = message.get("a") or [], message.get("k") or {}
            if isinstance(args, LendingError):
                raise args
            if type(args) is not list or type(kw) is not dict:
                raise LendingError("arguments are a list, and a map by name")
            if self.user_id is None:
                result = greet(self, self._house, message.get("o"), args)
            else:
                self._admit()
                if missing:
                    raise _forbidden(missing)
                result = self._operate(message.get("o"), message.get("t"), args, kw)
            if type(result) in DEFERRED:
                self._calls.park(number, result)
            else:
                self.sendReply(number, result)
        except BaseException as error:  # a lent function may raise SystemExit: that is its own end, not the server's
            self.sendException(number, error)

    requested = executeRequest  # what a Conversation calls it

    def sendReply(self, number: int, value: Any) -> None:
        """Send what a request has brought."""
        if type(value) is not Batch:
            self.answer(number, value)
        elif self.closed is None:
            try:
                value.deliver(lambda items: self._send(self._pack({"r": number, "v": items})))
            except Exception as error:
                self.refuse(number, error)
            self._operations.delivered(value)
        self._calls.noted(number, 0)

    def sendException(self, number: int, error: BaseException) -> None:
        """Send what a request has raised: its class, message, and traceback as text."""
        error = self._house.told(self, error)
        self.refuse(number, error)
        self._calls.noted(number, error.code if isinstance(error, TotoException) else ERROR_SERVER)

    def allocId(self) -> int:
        """Give a number that nothing in this session has had."""
        return self.table.allot()

    def dir(self) -> list[str]:
        """Give the names in the session's namespace."""
        return self._operations.dir(None, [], {})

    def do(self, statements: str) -> Future[Any]:
        """Carry out statements in the session's namespace, in a worker thread.

        Raises:
            ForbiddenError: This session may not.
        """
        policy = self._policy
        if not policy.exec or policy.exec_role not in self.roles:
            raise ForbiddenError("statements of yours are not carried out here")
        if type(statements) is not str or len(statements) > LONGEST_CODE:
            raise ValueError(f"statements are a text of at most {LONGEST_CODE} characters")
        return self._house.statements(self, self._execute, compile(statements, f"<remote {self.user_id}>", "exec"))

    def doimport(self, modname: str, attr: str = "") -> Any:
        """Give a name of a module that is lent, or the module.

        Raises:
            ForbiddenError: The module is not lent, or has no such name.
        """
        module = self._house.exposures.modules.get(modname) if type(modname) is str else None
        if module is None:
            raise ForbiddenError(f"no module {modname!r:.100} is lent")
        return self._house.exposures.get(module, attr) if attr else module

    def sendCallback(self, callbackId: int, args: Any = (), kw: Any = None) -> Future[Any]:
        """Call a callable of the client; give a Future of what it returns."""
        return self.ask("call", callbackId, args, kw)

    def wait(self, number: int, args: Any, kw: Any) -> Any:
        """Call a callable of the client and wait for what it returns, in a fiber or a worker thread."""
        future: Future[Any] = Future()

        def ask() -> None:
            if future.done():
                return  # whoever would have waited was told not to
            try:
                asked = self.sendCallback(number, args, kw)
            except Exception as error:
                future.set_exception(error)
            else:
                count = self._count
                asked.add_done_callback(done)
                future.add_done_callback(lambda _: self._asked.pop(count, None))

        def done(answered: Future[Any]) -> None:
            value, error = answered.outcome()
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        return self._house.wait(future, ask)

    # ------------------------------------------------------------ the rest

    def enter(self, result: Any) -> Any:
        """Let the user in whom the gate knows now; give what it is welcomed with."""
        self.user_id = result[0]
        if self._framer is not None:
            self._framer.limit = self._policy.max_frame
        self._house.entered(self)
        return [*result, self.dir(), self._policy.lease]

    def _admit(self) -> None:
        """Count a request.

        Raises:
            TotoException: 1013, there are too many.
        """
        policy = self._policy
        if self._house.retiring:
            raise DisconnectedError("the server goes down")
        if self._calls.count() >= policy.max_calls:
            raise TotoException(ERROR_TOO_MANY_REQUESTS, f"{policy.max_calls} calls are under way already.")
        if policy.rate and not self._allowance.take(self._house.lot.tyme):
            raise TotoException(ERROR_TOO_MANY_REQUESTS, f"More than {policy.rate:g} requests a second.")

    def _operate(self, operation: Any, target: Any, args: list[Any], kw: dict[str, Any]) -> Any:
        operate = self._operations.by_name.get(operation) if type(operation) is str else None
        if operate is not None:
            return operate(target, args, kw)
        match operation, args:
            case "do", [statements]:
                return self.do(statements)
            case "import", [modname, attr]:
                return self.doimport(modname, attr)
            case "alloc", []:
                return self.allocId()
            case "ping", []:
                return None
            case _:
                raise LendingError(f"there is no operation {operation!r:.40} with such arguments")

    def _run(self, mark: Lent, function: Callable[..., Any], args: list[Any], kw: dict[str, Any]) -> Any:
        """Call a function, as it is marked: in the cycle, where it may pause, or in a worker thread.

        Raises:
            TotoException: 1016, the user has not the role for it.
        """
        house = self._house
        if mark.roles:
            missing = [role for role in mark.roles if role not in self.roles]
            if missing:
                raise _forbidden(missing)
        if mark.thread:
            return house.offload(self, function, *args, **kw)
        if kw:
            return house.fibers.call(functools.partial(function, *args, **kw))
        return house.fibers.call(function, *args)

    def _execute(self, code: Any) -> None:
        before = set(self.namespace)
        try:
            exec(code, self.namespace)
        finally:
            self._operations.free |= {name for name in set(self.namespace) - before if not name.startswith("_")}

    def expire(self, number: int) -> None:
        """A call takes too long."""
        self._calls.expire(number)

    def busy(self) -> bool:
        """Tell whether calls are under way."""
        return bool(self._calls.runs)

    # ------------------------------------------------------------ references

    def _borrow(self, payload: Any) -> Any:
        """Give what a reference means. What the user has no role for, the user does not hand over either."""
        found = super()._borrow(payload)
        if payload[0] == YOURS:
            self._missing |= {role: None for role in self._operations.roles(found) if role not in self.roles}
        return found

    def _take_reply(self, number: Any, message: dict[str, Any]) -> None:
        missing, self._missing = self._missing, {}
        super()._take_reply(number, {"e": _forbidden(missing)} if missing else message)

    def borrowed(self, value: Any) -> int | None:
        """Give the number of a callable of the client."""
        return value.number if type(value) is Callback and value.session is self else None

    def describe(self, value: Any) -> tuple[Any, Callable[[], Any]]:
        """Say what an object is that is lent."""
        check_reachable(self._house.exposures, value)
        key, words = self._house.describe(value)
        return (None, lambda: words() | {"call": True}) if self._operations.own(value) else (key, words)

    def described(self, description: Any) -> Any:
        """Give what of a description is kept: a name, not the message that it came in."""
        name = description.get("name") if type(description) is dict else None
        return name[:LONGEST_NAME] if type(name) is str else "?"

    def stand_in(self, number: int, description: Any) -> Callback:
        """Make what stands for a callable of the client."""
        return Callback(self, number, description)

    # ------------------------------------------------------------ the end

    def end(self, error: BaseException) -> None:
        """End it: everything made for it is gone, callbacks fail, and calls are ended where they stand."""
        if self.closed is not None:
            return
        self.close(error)
        self.namespace.clear()
        self._messages.clear()
        self._calls.close()
        self._carrier.close()
        self._house.ended(self)


def _forbidden(missing: Iterable[str]) -> TotoException:
    return TotoException(ERROR_FORBIDDEN, f"Missing role: {', '.join(missing)}")
