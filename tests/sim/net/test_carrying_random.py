"""Whatever happens to hosts and to what is between them: bytes arrive in order, all of them or none after some point.

Each example is a list of steps: sends and receives of any size, time that passes, rules that begin and end; and in the
second test one step that breaks the connection.
"""

import contextlib
import socket
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benches import PATTERN
from tests.sim.benches import Hand, SimBench, calm
from totohio.sim.net.ruling import Rule, delay, drop, hold, one_way, partition

RULES: tuple[Callable[[], Rule], ...] = (
    lambda: partition("client", "server"),
    lambda: one_way("client", "server"),
    lambda: one_way("server", "client"),
    lambda: hold("server"),
    lambda: delay(0.3, "client"),
    lambda: drop("client", "server", probability=0.5),
)
LAST = 300.0  # seconds in which all arrives that can, once nothing hinders it: two of the longest times between tries


class Conversation:
    """Two ends that send a pattern each, and what has arrived of it.

    Attributes:
        sent: How many bytes each end has sent.
        received: What has arrived of them.
        broken: Something has ended the connection.
    """

    def __init__(self, profile: str, seed: int) -> None:
        self.bench = SimBench(calm(profile), seed)
        self.world = self.bench.world
        self.ends = self.bench.pair()
        self.processes = [self.bench.client, self.bench.server]
        self.sent = [0, 0]
        self.received = [b"", b""]
        self.broken = False
        self._ended = [False, False]
        self._rules: list[Rule] = []

    # ------------------------------------------------------------ steps

    def send(self, side: int, size: int) -> None:
        if not self._ended[side]:
            start = self.sent[side] % len(PATTERN)
            with self._tolerant():
                self.sent[side] += self.ends[side].send(PATTERN[start : start + size])

    def receive(self, side: int, size: int) -> bool:
        """Receive once; tell whether anything was there."""
        before = len(self.received[1 - side])
        with self._tolerant():
            self.received[1 - side] += self.ends[side].recv(size)
        return len(self.received[1 - side]) > before

    def shut(self, side: int) -> None:
        if not self._ended[side]:
            with self._tolerant():
                self._ended[side] = True
                self.ends[side].shutdown(socket.SHUT_WR)

    def wait(self, seconds: float) -> None:
        self.world.run(seconds)

    def begin(self, number: int) -> None:
        self._rules.append(RULES[number]())
        self.world.net.add(self._rules[-1])

    def heal(self, number: int) -> None:
        if self._rules:
            self.world.net.remove(self._rules.pop(number % len(self._rules)))

    def broke(self, how: str, side: int) -> None:
        self.broken = True
        host = self.processes[side].host
        if how == "abort":
            self.ends[side].abort()
        elif how == "close":
            self.ends[side].close()
        elif how == "break off":
            self.world.net.break_off(self.ends[0])
        elif how == "kill":
            host.kill()
        else:
            host.crash()

    # ------------------------------------------------------------ the end

    def finish(self) -> None:
        """Heal everything, and let arrive what can."""
        while self._rules:
            self.heal(0)
        for side, process in enumerate(self.processes):
            if process.dead:
                process.host.stack.up = True
                self.processes[side] = Hand(process.host, 1)
        for seconds in (0.0, *(LAST / 20,) * 20):
            self.world.run(seconds)
            while self.receive(0, 1 << 20) or self.receive(1, 1 << 20):
                self.world.run(0.1)

    def expected(self, side: int) -> bytes:
        return (PATTERN * (self.sent[side] // len(PATTERN) + 1))[: self.sent[side]]

    @contextlib.contextmanager
    def _tolerant(self) -> object:  # type: ignore[misc]
        try:
            yield
        except BlockingIOError:
            pass
        except OSError:
            if not self.broken:
                raise


sides = st.integers(0, 1)
steps = st.one_of(
    st.tuples(st.just("send"), sides, st.integers(1, 4000)),
    st.tuples(st.just("receive"), sides, st.integers(1, 6000)),
    st.tuples(st.just("wait"), st.sampled_from((0.0, 0.0001, 0.01, 0.3, 4.0, 20.0))),
    st.tuples(st.just("begin"), st.integers(0, len(RULES) - 1)),
    st.tuples(st.just("heal"), st.integers(0, 5)),
    st.tuples(st.just("shut"), sides),
)
breaks = st.tuples(st.just("broke"), st.sampled_from(("abort", "close", "break off", "kill", "crash")), sides)
profiles = st.sampled_from(("still", "sunny", "stormy", "radioactive"))
seeds = st.integers(0, 1 << 16)


@settings(max_examples=400)
@given(profiles, seeds, st.lists(steps, max_size=30))
def test_what_was_sent_is_received_in_order_and_nothing_is_missing(profile: str, seed: int, story: list[tuple]) -> None:
    talk = Conversation(profile, seed)
    for step, *details in story:
        getattr(talk, step)(*details)
    talk.finish()
    talk.bench.close()
    for side in (0, 1):
        assert talk.received[side] == talk.expected(side)


@settings(max_examples=400)
@given(profiles, seeds, st.lists(steps, max_size=20), breaks, st.lists(steps, max_size=10))
def test_what_is_received_of_a_connection_that_broke_is_the_beginning_of_what_was_sent(
    profile: str, seed: int, before: list[tuple], broke: tuple, after: list[tuple]
) -> None:
    talk = Conversation(profile, seed)
    for step, *details in (*before, broke, *after):
        getattr(talk, step)(*details)
    talk.finish()
    for side in (0, 1):
        assert talk.expected(side).startswith(talk.received[side])
    for end in talk.ends:  # and who goes on learns of it
        learnt = end.closed
        for _ in range(3):
            try:
                end.send(b"x")
                talk.world.run(LAST)
            except BlockingIOError:
                talk.world.run(LAST)
            except OSError:
                learnt = True
        assert learnt
    talk.bench.close()
