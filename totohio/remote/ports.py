"""What a session needs of the server in which it lives."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from totohio.base.expiring import Deadlines
from totohio.base.futures import Future
from totohio.core.invoking import Lot
from totohio.core.lending import Exposures
from totohio.core.pausing import Fibers

if TYPE_CHECKING:
    from totohio.remote.sessions import RemoteSession


@dataclass(frozen=True)
class Policy:
    """What one session may have; each is a security limit.

    Attributes:
        max_frame: Bytes of a message.
        max_references: Objects that are lent, and as many that are borrowed.
        max_calls: Calls that are under way.
        rate: Requests a second; 0.0 for any number.
        timeout: Seconds of tyme that a call may take; 0.0 for any time.
        lease: Seconds of tyme for which objects stay lent to a client that says nothing.
        exec: Statements of users with ``exec_role`` are carried out.
        exec_role: The role for that.
    """

    max_frame: int = 1 << 20
    max_references: int = 10_000
    max_calls: int = 1000
    rate: float = 0.0
    timeout: float = 60.0
    lease: float = 180.0
    exec: bool = False
    exec_role: str = "admin"


class Gate(Protocol):
    """Knows who may have a session. Its methods run where they can be paused."""

    def challenge(self, session: "RemoteSession", user_id: Any, nonce: Any) -> Any:
        """Give what the user has to answer, a dict; a user who does not exist is challenged, too."""

    def prove(self, session: "RemoteSession", proof: Any) -> Any:
        """Give ``[user id, our own proof]`` when the answer is right; else a TotoException."""

    def present(self, session: "RemoteSession", session_id: Any, mac: Any) -> Any:
        """Give ``[user id, None]`` when an HTTP session's key has signed our nonce; else a TotoException."""

    def review(self, session: "RemoteSession") -> str:
        """Give a session the roles that its user has now; or tell why it is over, "" when it is not."""


class House(Protocol):
    """Where the sessions of a server live."""

    lot: Lot
    fibers: Fibers
    exposures: Exposures
    gate: Gate
    policy: Policy
    lent: dict[str, Any]
    structs: Iterable[type[msgspec.Struct]]
    errors: Iterable[type[BaseException]]
    retiring: bool
    timed: bool
    waits: "Deadlines[tuple[RemoteSession, int]]"

    def offload(self, session: "RemoteSession", function: Callable[..., Any], /, *args: Any, **kw: Any) -> Future[Any]:
        """Call a function in a worker thread of a session's share."""

    def give_up(self, future: Any) -> None:
        """Do without what a thread would have brought; nothing happens when it is no thread's."""

    def held(self, session: "RemoteSession") -> int:
        """Tell how many threads still do what a session has given up."""

    def statements(self, session: "RemoteSession", function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Call a function in a worker thread of those that are for statements alone; end a session that takes long."""

    def wait(self, future: Future[Any], ask: Callable[[], None]) -> Any:
        """Have ``ask`` called in the cycle, and wait for a Future where the caller stands; cancel it if that ends."""

    def describe(self, value: Any) -> tuple[Any, Callable[[], Any]]:
        """Say what an object is: a key for those of its kind, None for one of its own, and what makes the words."""

    def told(self, session: "RemoteSession", error: BaseException) -> BaseException:
        """Give an error as the client is told it; one that is not known learns nothing of the server by it."""

    def monotonic(self) -> float:
        """Give the seconds of a clock that never steps."""

    def log(self, name: str, code: Any, seconds: float) -> None:
        """Note a call."""

    def heard(self, session: "RemoteSession") -> None:
        """A session has said something."""

    def entered(self, session: "RemoteSession") -> None:
        """A session has said who it is."""

    def done(self, session: "RemoteSession") -> None:
        """A call of a session is done."""

    def ended(self, session: "RemoteSession") -> None:
        """A session has ended."""


class Carrier(Protocol):
    """Carries the messages of a session."""

    def send(self, data: bytes) -> None:
        """Send a message."""

    def close(self) -> None:
        """Close the connection when what was sent has gone."""
