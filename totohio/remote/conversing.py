"""One end of a connection over which objects are lent: what both ends have in common.

    request   {"i": number, "o": operation, "t": target, "a": arguments, "k": named arguments}
    reply     {"r": number, "v": value}  or  {"r": number, "e": exception}
    notice    {"o": operation, "a": arguments}, which nobody answers

Requests have numbers of their own at each end, and are answered in any order. A reference is ``[0, number, key,
description]`` for what the sender lends, with a description where the receiver has none under that key yet, and
``[1, number]`` for what it has borrowed from the receiver. A key is the name of a class, or the object's own number.

What is lent in one direction is known in three places, and messages arrive in the order in which they were sent. For
each number, at any time:

    the lender's count   ==   references on their way  +  the borrower's count  +  what releases on their way give back

The lender's count is in its `Table`, the borrower's is ``_received``. So when the lender's count falls to 0 nobody has
the number, and nothing that is on its way means it: the object is let go of, and the number is never used again. While
a stand-in lives the borrower's count is above 0; when it has died, its number is in ``_released`` until the other end
is told so, with all of the count at once. If the number has come again meanwhile, it has a stand-in again, and stays.

A description of a class goes with the first reference to one of its objects, so that it always comes before the others,
and is kept at both ends (``_described``, ``_descriptions``) to the end; a lender describes no more than
MOST_DESCRIPTIONS classes, and whatever comes after these as if it were of no class. The description of an object of its
own goes with each reference to it and is kept nowhere but in the stand-in: a reference may be on its way while the
borrower gives the number back, and then has to say again what it means.

A message counts as a whole or not at all: what cannot be packed, or would be too large for the other end, has lent
nothing, and has described nothing (``_lending`` is what there is to undo). What cannot be read ends the conversation,
but a message that is spoilt by a value was read, so that its references count, and is refused alone.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from totohio.base.futures import Future
from totohio.remote.places import MAX_FRAME
from totohio.remote.raising import DisconnectedError as DisconnectedError
from totohio.remote.raising import describe_error, made_error
from totohio.remote.table import Table
from totohio.wire.lending import Codec, LendingError

logger = logging.getLogger("totohio")

MINE, YOURS = 0, 1
MOST_DESCRIPTIONS = 10_000  # of classes that one end remembers of the other
RELEASES = 256  # numbers that are given back in one notice


class Conversation:
    """Sends and takes the messages of one end.

    Attributes:
        table: What this end lends.
        closed: Why the conversation is over; None as long as it is not.
        max_frame: Bytes of a message that the other end takes.
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
        self.max_frame = MAX_FRAME
        self._send = send
        self._limit = limit
        self._errors = {error.__name__: error for error in errors}
        self._codec = Codec(
            lend=self._lend,
            borrow=self._borrow,
            raised=self._raised,
            caught=self._caught,
            structs=structs,
            again=self._unborrow,
        )
        self._asked: dict[int, Future[Any]] = {}
        self._count = 0
        self._described: set[Any] = set()
        self._lending: list[tuple[int, Any]] = []  # with the message that is just packed: numbers, and keys described
        self._descriptions: dict[Any, Any] = {}
        self._received: dict[int, int] = {}  # how often each number of the other end has come, and is not given back
        self._borrowing: list[int] = []  # with the message that is just read: numbers
        self._stand_ins: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._released: deque[int] = deque()  # numbers that have lost their stand-in; other threads add to it

    # ------------------------------------------------------------ asking

    def ask(self, operation: str, target: Any = None, args: Any = (), kw: Any = None) -> Future[Any]:
        """Send a request; give the Future of what is answered.

        Raises:
            LendingError: An argument cannot be sent, or all of them make a message that is too large for the other end.
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
        released, counts = self._released, []
        while released:
            number = released.popleft()
            if number not in self._stand_ins and number in self._received:  # it may have come again meanwhile
                counts.append([number, self._received.pop(number)])
        for start in range(0, len(counts), RELEASES):
            self.notify("release", *counts[start : start + RELEASES])

    def tidy(self) -> None:
        """Give back when there is much, or when the other end may soon be unable to lend more."""
        if self._released and (len(self._released) >= RELEASES or 2 * len(self._received) >= self._limit):
            self.give_back()

    def dropped(self, number: int) -> None:
        """Nobody here uses an object of the other end any more; for any thread, also while memory is collected."""
        self._released.append(number)

    # ------------------------------------------------------------ answering

    def answer(self, number: Any, value: Any) -> None:
        """Send the reply to a request; one that cannot be sent becomes the error that says so."""
        if self.closed is not None:
            return
        self.tidy()
        try:
            data = self._pack({"r": number, "v": value})
        except Exception as error:
            self.refuse(number, error)
            return
        self._send(data)

    def refuse(self, number: Any, error: BaseException) -> None:
        """Send an exception as the reply."""
        if self.closed is not None:
            return
        self.tidy()
        try:
            data = self._pack({"r": number, "e": error})
        except LendingError as larger:
            data = self._codec.pack({"r": number, "e": LendingError(str(larger))})
        self._send(data)

    # ------------------------------------------------------------ taking

    def take(self, data: bytes) -> None:
        """Take a message.

        Raises:
            LendingError: It is none; the connection is to be closed.
        """
        self.handed(self._unpack(data))

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
                            self.table.release(number, count)
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
            if len(data) > self.max_frame:
                raise LendingError(
                    f"a value cannot be sent: its message has {len(data)} bytes, where {self.max_frame} are allowed"
                )
        except BaseException:
            for number, key in reversed(lending):
                self.table.release(number, 1)
                self._described.discard(key)
            lending.clear()
            raise
        if lending:
            lending.clear()
        return data

    def _unpack(self, data: bytes, *, strictly: bool = False) -> dict[str, Any]:
        """Read a message. One that is spoilt becomes the error in its place: as its arguments, or as the reply.

        Args:
            data: Its bytes.
            strictly: A message that is spoilt is none.

        Raises:
            LendingError: It is none; or it is spoilt, and nobody waits for a reply.
        """
        if self._borrowing:
            self._borrowing.clear()
        message = self._codec.unpack(data)
        wrong = self._codec.wrong
        if wrong is None:
            return message
        if strictly:
            raise wrong
        if message.get("r") is not None:
            return {"r": message["r"], "e": wrong}
        if "i" in message:
            return {"i": message["i"], "o": message.get("o"), "t": message.get("t"), "a": wrong}
        raise wrong

    def _lend(self, value: Any) -> Any:
        number = self.borrowed(value)
        if number is not None:
            return [YOURS, number]
        key, description = self.describe(value)
        number = self.table.lend(value)
        self._lending.append((number, None))
        if key in self._described:
            return [MINE, number, key, None]
        if key is None or len(self._described) >= MOST_DESCRIPTIONS:
            return [MINE, number, number, description()]
        self._lending[-1] = (number, key)
        self._described.add(key)
        return [MINE, number, key, description()]

    def _borrow(self, payload: Any) -> Any:
        match payload:
            case [0, int(number), key, description] if type(key) in (int, str):
                if description is not None:
                    description = self.described(description)
                    if type(key) is str:
                        if key not in self._descriptions and len(self._descriptions) >= MOST_DESCRIPTIONS:
                            raise LendingError("too many descriptions")
                        self._descriptions[key] = description
                elif key in self._descriptions:
                    description = self._descriptions[key]
                else:
                    raise LendingError("a reference without a description")
                if number not in self._received and len(self._received) >= self._limit:
                    raise LendingError(f"more than {self._limit} objects are lent to us")
                self._received[number] = self._received.get(number, 0) + 1
                self._borrowing.append(number)
                stand_in = self._stand_ins.get(number)
                if stand_in is None:
                    stand_in = self._stand_ins[number] = self.stand_in(number, description)
                return stand_in
            case [1, int(number)]:
                return self.table.find(number)
            case _:
                raise LendingError("a reference that is none")

    def _unborrow(self) -> None:
        """The message that is just read is read once more: its references do not count twice."""
        for number in self._borrowing:
            count = self._received[number] - 1
            if count:
                self._received[number] = count
            else:
                del self._received[number]
        self._borrowing.clear()

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
