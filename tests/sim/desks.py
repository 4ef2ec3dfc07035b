"""Where scripted clients are tested: over sockets of the test's, or beside a real server; tyme is the test's."""

import re
from typing import Any

from hio.base import doing

from tests.net.scripted import ScriptedNetwork, ScriptedSocket
from tests.support import STEPS, World
from tests.waiting import new_environment
from totohio.base.futures import Future
from totohio.net.kernel import kernel_environment
from totohio.sim.clients.calling import CallerDoer, Client

ADDRESS = ("10.0.0.1", 80)
TOCK = 0.03125
SETTLED = 6  # cycles after which nothing more happens by itself


def reply(body: bytes = b'{"result":1}', *lines: str, status: int = 200, kind: str = "application/json") -> bytes:
    """The bytes of a reply."""
    head = "".join(f"{line}\r\n" for line in [f"Content-Type: {kind}", f"Content-Length: {len(body)}", *lines])
    return f"HTTP/1.1 {status} Yes\r\n{head}\r\n".encode() + body


def result(number: int) -> bytes:
    """The bytes of a reply to a call that gives a number."""
    return reply(b'{"result":%d}' % number)


class Outcome:
    """What became of a script or a Future."""

    def __init__(self) -> None:
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None

    def __call__(self, result: Any, error: BaseException | None) -> None:
        assert not self.done
        self.done, self.result, self.error = True, result, error


class Desk:
    """A CallerDoer in a Doist that the test drives."""

    def __init__(self, environment: Any, doist: Any) -> None:
        self.doist = doist
        self.caller = CallerDoer(environment)
        self.doist.deeds.extend(doist.enter(doers=[self.caller]))

    def cycle(self, count: int = 1) -> None:
        for _ in range(count):
            self.doist.recur()

    def advance(self, seconds: float) -> None:
        """Let tyme pass and run a cycle, so that what becomes due in it happens."""
        self.doist.tyme += seconds - TOCK
        self.cycle(2)

    def spawn(self, script: Any) -> Outcome:
        outcome = Outcome()
        self.caller.spawn(script, outcome)
        return outcome

    def wait(self, *outcomes: Any) -> list[Any]:
        """Run until all are done; give their results, or raise the first error."""
        for _ in range(STEPS):
            if all(outcome.done if isinstance(outcome, Outcome) else outcome.done() for outcome in outcomes):
                break
            self.cycle()
        else:
            raise AssertionError("not done")
        return [self._result(outcome) for outcome in outcomes]

    def run(self, script: Any) -> Any:
        """Run one script to its end."""
        return self.wait(self.spawn(script))[0]

    @staticmethod
    def _result(outcome: Any) -> Any:
        if isinstance(outcome, Future):
            return outcome.result()
        if outcome.error is not None:
            raise outcome.error
        return outcome.result


class ScriptedDesk(Desk):
    """The server is the test, byte for byte."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.network = ScriptedNetwork(at_once=at_once)
        environment = new_environment()
        environment.network = self.network  # type: ignore[assignment]
        super().__init__(environment, doing.Doist(real=False, tock=TOCK))

    @property
    def sock(self) -> ScriptedSocket:
        """The newest connection."""
        return self.network.socks[-1]

    def client(self, **options: Any) -> Client:
        return self.caller.client(ADDRESS, **options)

    def answer(self, *pieces: Any) -> None:
        """Have this come on the newest connection, and be taken."""
        self.sock.incoming += pieces
        self.cycle(len(pieces) + 2)

    def heard(self) -> list[str]:
        """The request lines that came on all connections."""
        sent = b" ".join(bytes(sock.sent) for sock in self.network.socks).decode()
        return re.findall(r"[A-Z]+ \S+ HTTP/1\.1", sent)


class RealDesk(Desk):
    """The server is a real one, in the same Doist; its cycles are the test's, too."""

    def __init__(self, world: World) -> None:
        self.world = world
        super().__init__(kernel_environment(), world.doist)

    def cycle(self, count: int = 1) -> None:
        self.world.step(count)

    def client(self, **options: Any) -> Client:
        return self.caller.client(self.world.address, **options)
