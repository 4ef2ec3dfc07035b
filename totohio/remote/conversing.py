"""One end of a connection over which objects are lent: what both ends have in common.

    request   {"i": number, "o": operation, "t": target, "a": arguments, "k": named arguments}
    reply     {"r": number, "v": value}  or  {"r": number, "e": exception}
    notice    {"o": operation, "a": arguments}, which nobody answers

Requests have numbers of their own at each end, and are answered in any order. A reference is ``[0, number, key,
description]`` for what the sender lends, with a description where the receiver has none under that key yet, and
``[1, number]`` for what it has borrowed from the receiver. A key is the name of a class, or the object's own number.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from totohio.base.errors import TotohioError
from totohio.base.futures import Future
from totohio.remote.raising import describe_error, made_error
from totohio.remote.table import Table
from totohio.wire.lending import Codec, LendingError

logger = logging.getLogger("totohio")

MINE, YOURS = 0, 1
MOST_DESCRIPTIONS = 10_000  # that one end remembers of the other
RELEASES = 256  # numbers that are given back in one notice


class DisconnectedError(TotohioError, ConnectionError):
    """The connection is over; what was borrowed over it is no more."""


class Conversation:
    """Sends and takes the messages of one end.

    Attributes:
        table: What this end lends.
        closed: Why the conversation is over; None as long as it is not.
    """

    def __init__(
        self,
        *,
        send: Callable[[bytes], None],
        limit: int,
        structs: Iterable[type[msgspec.Struct]] = (),
        errors: Iterable[type[BaseException]] = (),
    ) -> None:
        """Set it up.

        Args:
            send: Sends the bytes of a message.
            limit: How many objects may be lent, and how many borrowed.
            structs: Classes of Structs that go by value.
            errors: Classes of exceptions that arrive as themselves, beside those that Python has.
        """
        self.table = Table(limit)
        self.closed: BaseException | None = None
        self._send = send
        self._limit = limit
        self._errors = {error.__name__: error for error in errors}
        self._codec = Codec(
            lend=self._lend, borrow=self._borrow, raised=self._raised, caught=self._caught, structs=structs
        )
        self._asked: dict[int, Future[Any]] = {}
        self._count = 0
        self._described: set[Any] = set()
        self._lending: list[tuple[int, Any]] = []  # with the message that is just packed: numbers, and keys described
        self._descriptions: dict[Any, Any] = {}
        self._received: dict[int, int] = {}  # how often each number of the other end has come
        self._stand_ins: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._released: list[int] = []

    # ------------------------------------------------------------ asking

    def ask(self, operation: str, target: Any = None, args: Any = (), kw: Any = None) -> Future[Any]:
        """Send a request; give the Future of what is answered.

        Raises:
            LendingError: An argument cannot be sent.
            TableFullError: Too many objects are lent.
            DisconnectedError: The conversation is over.
        """
        if self.closed is not None:
            raise DisconnectedError(f"the connection is over: {self.closed}")
        self._count = number = self._count + 1
        message = {"i": number, "o": operation, "t": target, "a": list(args)}
        if kw:
            message["k"] = kw
        data = self._pack(message)
        future: Future[Any] = Future()
        self._asked[number] = future
        if self._released:
            self.give_back()
        self._send(data)
        return future

    def waits(self) -> bool:
        """Tell whether answers are awaited."""
        return bool(self._asked)

    def notify(self, operation: str, *args: Any) -> None:
        """Send a notice; nothing when the conversation is over."""
        if self.closed is None:
            self._send(self._codec.pack({"o": operation, "a": list(args)}))

    def forget(self, future: Future[Any]) -> None:
        """Give up an answer, and have the other end give up the call."""
        for number, asked in self._asked.items():
            if asked is future:
                del self._asked[number]
                self.notify("cancel", number)
                return

    def give_back(self) -> None:
        """Tell the other end of what is not used here any more."""
        released, self._released = self._released, []
        counts = []
        for number in released:
            if number not in self._stand_ins and number in self._received:  # it may have come again meanwhile
                counts.append([number, self._received.pop(number)])
                self._descriptions.pop(number, None)
        for start in range(0, len(counts), RELEASES):
            self.notify("release", *counts[start : start + RELEASES])

    def dropped(self, number: int) -> None:
        """Nobody here uses an object of the other end any more; for any thread, also while memory is collected."""
        self._released.append(number)

    # ------------------------------------------------------------ answering

    def answer(self, number: Any, value: Any) -> None:
        """Send the reply to a request; one that cannot be sent becomes the error that says so."""
        if self.closed is not None:
            return
        if len(self._released) >= RELEASES:
            self.give_back()
        try:
            data = self._pack({"r": number, "v": value})
        except Exception as error:
            self.refuse(number, error)
            return
        self._send(data)

    def refuse(self, number: Any, error: BaseException) -> None:
        """Send an exception as the reply."""
        if self.closed is None:
            self._send(self._codec.pack({"r": number, "e": error}))

    # ------------------------------------------------------------ taking

    def take(self, data: bytes) -> None:
        """Take a message.

        Raises:
            LendingError: It is none; the connection is to be closed.
        """
        self.handed(self._codec.unpack(data))

    def handed(self, message: dict[str, Any]) -> None:
        """Take a message that is decoded.

        Raises:
            LendingError: It answers what nobody has asked; the connection is to be closed.
        """
        number = message.get("r")
        if number is not None:
            self._take_reply(number, message)
        elif "i" in message:
            self.requested(message)
        else:
            self.noticed(message)

    def requested(self, message: dict[str, Any]) -> None:
        """The other end asks for something."""
        raise NotImplementedError

    def noticed(self, message: dict[str, Any]) -> None:
        """The other end has sent a notice.

        Raises:
            LendingError: It is none that there is.
        """
        match message:
            case {"o": "release", "a": list(counts)}:
                for each in counts:
                    match each:
                        case [int(number), int(count)]:
                            if self.table.release(number, count):
                                self._described.discard(number)
                        case _:
                            raise LendingError("a release has numbers and counts")
            case {"o": "ping"}:
                pass
            case _:
                raise LendingError("a notice that there is not")

    def _take_reply(self, number: Any, message: dict[str, Any]) -> None:
        error = message.get("e")
        if error is not None and not isinstance(error, BaseException):
            raise LendingError("a reply with an error that is none")  # whoever waits is told by the end
        future = self._asked.pop(number, None) if type(number) is int else None
        if future is None:
            if type(number) is int and 0 < number <= self._count:
                return  # it was given up
            raise LendingError("a reply to what nobody has asked")
        if error is None:
            future.set_result(message.get("v"))
        else:
            future.set_exception(error)

    # ------------------------------------------------------------ references

    def _pack(self, message: dict[str, Any]) -> bytes:
        """Give the bytes of a message; when it cannot be sent, what it would have lent is not lent."""
        lending = self._lending
        try:
            data = self._codec.pack(message)
        except BaseException:
            for number, key in reversed(lending):
                self.table.release(number, 1)
                self._described.discard(key)
            lending.clear()
            raise
        if lending:
            lending.clear()
        return data

    def _lend(self, value: Any) -> Any:
        number = self.borrowed(value)
        if number is not None:
            return [YOURS, number]
        key, description = self.describe(value)
        number = self.table.lend(value)
        if key is None:
            key = number
        if key in self._described:
            self._lending.append((number, None))
            return [MINE, number, key, None]
        self._lending.append((number, key))
        self._described.add(key)
        return [MINE, number, key, description()]

    def _borrow(self, payload: Any) -> Any:
        match payload:
            case [0, int(number), key, description] if type(key) in (int, str):
                if description is not None:
                    if len(self._descriptions) >= MOST_DESCRIPTIONS:
                        raise LendingError("too many descriptions")
                    self._descriptions[key] = self.described(description)
                elif key not in self._descriptions:
                    raise LendingError("a reference without a description")
                if number not in self._received and len(self._received) >= self._limit:
                    raise LendingError(f"more than {self._limit} objects are lent to us")
                self._received[number] = self._received.get(number, 0) + 1
                stand_in = self._stand_ins.get(number)
                if stand_in is None:
                    stand_in = self._stand_ins[number] = self.stand_in(number, self._descriptions[key])
                return stand_in
            case [1, int(number)]:
                return self.table.find(number)
            case _:
                raise LendingError("a reference that is none")

    def borrowed(self, value: Any) -> int | None:
        """Give the number of what stands for an object of the other end; None for what is no such thing."""
        raise NotImplementedError

    def described(self, description: Any) -> Any:
        """Give what of a description is kept; it may be as large as a message."""
        return description

    def describe(self, value: Any) -> tuple[Any, Callable[[], Any]]:
        """Say what an object is: a key for those of its kind, None for one of its own, and what makes the words."""
        raise NotImplementedError

    def stand_in(self, number: int, description: Any) -> Any:
        """Make what stands for an object of the other end."""
        raise NotImplementedError

    def _raised(self, error: BaseException) -> Any:
        return describe_error(error, self._errors)

    def _caught(self, payload: Any) -> BaseException:
        return made_error(payload, self._errors)

    # ------------------------------------------------------------ the end

    def close(self, error: BaseException) -> None:
        """End it: who waits for an answer gets the error, and nothing is lent any more."""
        if self.closed is not None:
            return
        self.closed = error
        asked, self._asked = self._asked, {}
        for future in asked.values():
            if not future.done():
                future.set_exception(DisconnectedError(f"the connection has ended before the answer came: {error}"))
        self.table.clear()
        self._received.clear()
        self._released.clear()
