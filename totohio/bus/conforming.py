"""What every bus must do, as tests for pytest that anybody can run on theirs.

    from totohio.bus.conforming import BusSuite

    class TestMine(BusSuite):
        def make(self, count):
            return [MyBus(...) for _ in range(count)]

        def cycle(self):
            ...  # whatever lets them go on

Each test gets a few buses that know each other, as those of a few processes do. `cycle` runs until what a test waits
for has come, so it has to let a little time pass, in which each `Witness` has its bus serviced.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from totohio.base.futures import Future
from totohio.core.ports import Bus
from totohio.core.recovering import DUPLICATE, Event, History

CYCLES = 20_000  # after which a test gives up
QUIET = 200  # cycles in which nothing must happen
COUNT = 10_000  # events that a witness keeps


class Witness:
    """The receiver of one bus, which keeps all that it is brought.

    Attributes:
        bus: The bus.
        history: As a server has it.
        told: The data of events that were told, in order.
        turns: The data of events that this process alone was told of.
        gaps: How often something was missed.
        full: It takes nothing more for now.
        subscribed: Who is subscribed here, by name.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.history = History(count=COUNT, seconds=1e6, size=1 << 30)
        self.told: list[bytes] = []
        self.turns: list[bytes] = []
        self.gaps = 0
        self.full = False
        self.subscribed: dict[str, list[Any]] = {}
        self.tyme = 0.0

    def room(self) -> bool:
        """Tell whether it takes more."""
        return not self.full

    def receive(self, event: Event, *, old: bool = False) -> None:
        """Take an event."""
        if self.history.add(event, self.tyme) != DUPLICATE and not old:
            self.told.append(event.data)

    def missed(self, origin: str, last: int) -> None:
        """Know that events are lost."""
        self.gaps += self.history.miss(origin, last, self.tyme)

    def present(self, name: str) -> list[Any]:
        """Give who is subscribed to a name here."""
        return self.roll().get(name, [])

    def roll(self) -> dict[str, list[Any]]:
        """Give who is subscribed to what here."""
        return self.subscribed

    def turn(self, event: Event, done: Callable[[], object] | None = None) -> None:
        """Take an event for this process."""
        self.turns.append(event.data)
        if done is not None:
            done()

    def open(self, tyme: float) -> None:
        """Open the bus."""
        self.tyme = tyme
        self.bus.open(self, tyme)

    def service(self, tyme: float) -> None:
        """Have the bus go on."""
        self.tyme = tyme
        self.bus.service(tyme)


def _told(witnesses: list[Witness], count: int) -> bool:
    return sum(len(witness.turns) for witness in witnesses) >= count


class BusSuite:
    """The tests of a bus."""

    processes = 3  # that know each other; 1 for a bus that stays in its process
    largest = 1 << 20  # bytes that an event may have

    def make(self, count: int) -> list[Witness]:
        """Make witnesses of so many buses that know each other, opened and in touch."""
        raise NotImplementedError

    def cycle(self) -> None:
        """Let a little time pass, and have each witness serviced."""
        raise NotImplementedError

    def leave(self, witness: Witness) -> None:
        """End a process."""
        witness.bus.close()

    def within(self, witness: Witness, function: Callable[[], object]) -> None:
        """Do something in the process of a witness."""
        function()

    def until(self, condition: Callable[[], Any]) -> None:
        """Let time pass until something holds."""
        for _ in range(CYCLES):
            if condition():
                return
            self.cycle()
        raise AssertionError("it does not come")

    def quiet(self) -> None:
        """Let time pass in which nothing should happen."""
        for _ in range(QUIET):
            self.cycle()

    def sent(self, future: Future[None]) -> None:
        """Wait until the bus has an event."""
        self.until(future.done)
        future.result()

    # ------------------------------------------------------------ for all

    def test_every_process_is_told_the_sender_too_and_once(self) -> None:
        """A broadcast event."""
        witnesses = self.make(self.processes)
        self.sent(witnesses[0].bus.send("x", b"1", broadcast=True))
        self.until(lambda: all(witness.told for witness in witnesses))
        self.quiet()
        assert [witness.told for witness in witnesses] == [[b"1"]] * self.processes
        assert not any(witness.gaps for witness in witnesses)

    def test_arguments_arrive_byte_by_byte(self) -> None:
        """Whatever is in them, up to their largest size."""
        witnesses = self.make(self.processes)
        sent = [b"", bytes(range(256)), b"\r\n\0", b"x" * self.largest]
        for data in sent:
            self.sent(witnesses[0].bus.send("x", data, broadcast=True))
        self.until(lambda: all(len(witness.told) == len(sent) for witness in witnesses))
        assert all(witness.told == sent for witness in witnesses)

    def test_names_arrive_as_they_are(self) -> None:
        """Names are texts of any printable characters."""
        witnesses = self.make(self.processes)
        names = ["chat.red", "ä ö", "x" * 200, "日本", "{a}:b"]
        for name in names:
            self.sent(witnesses[-1].bus.send(name, b"", broadcast=True))
        self.until(lambda: all(len(witness.told) == len(names) for witness in witnesses))
        for witness in witnesses:
            assert [event.name for event in witness.history._kept] == names

    def test_a_thousand_events_of_each_process_keep_their_order_and_their_arguments(self) -> None:
        """What one process sends comes in that order, whatever others send."""
        witnesses = self.make(self.processes)
        for number in range(1000):
            for place, witness in enumerate(witnesses):
                witness.bus.send("x", b"%d.%d" % (place, number), broadcast=True)
            if number % 50 == 0:
                self.cycle()
        total = 1000 * self.processes
        self.until(lambda: all(len(witness.told) >= total for witness in witnesses))
        for witness in witnesses:
            assert len(witness.told) == total
            for place in range(self.processes):
                prefix = b"%d." % place
                mine = [int(data[len(prefix) :]) for data in witness.told if data.startswith(prefix)]
                assert mine == list(range(1000))

    def test_all_processes_come_to_the_same_position(self) -> None:
        """So that a client can go from one to the other."""
        witnesses = self.make(self.processes)
        for number in range(20):
            self.sent(witnesses[number % self.processes].bus.send("x", b"%d" % number, broadcast=True))
        self.until(lambda: all(len(witness.told) == 20 for witness in witnesses))
        held = witnesses[0].history.held()
        assert sum(held.values()) == 20
        assert all(witness.history.held() == held for witness in witnesses)
        assert all(witness.bus.alive(origin) for witness in witnesses for origin in held)
        self.until(lambda: all(witness.bus.rest() for witness in witnesses))

    # ------------------------------------------------------------ for one

    def test_one_process_is_told_and_no_other(self) -> None:
        """An event that is not broadcast."""
        witnesses = self.make(self.processes)
        self.sent(witnesses[0].bus.send("x", b"1", broadcast=False))
        self.until(lambda: any(witness.turns for witness in witnesses))
        self.quiet()
        assert sum(len(witness.turns) for witness in witnesses) == 1
        assert not any(witness.told for witness in witnesses)

    def test_each_has_its_turn_and_none_is_told_twice(self) -> None:
        """Many events that are not broadcast."""
        witnesses = self.make(self.processes)
        for number in range(30):
            self.sent(witnesses[number % self.processes].bus.send("x", b"%d" % number, broadcast=False))
            self.until(partial(_told, witnesses, number + 1))
        self.quiet()
        told = sorted(int(data) for witness in witnesses for data in witness.turns)
        assert told == list(range(30))
        assert all(witness.turns for witness in witnesses)

    def test_what_one_process_has_not_room_for_waits_and_holds_nobody_up(self) -> None:
        """A slow process."""
        witnesses = self.make(self.processes)
        slow = witnesses[-1]
        if self.processes == 1:
            return  # what it sends itself is its own to bound
        slow.full = True
        for number in range(500):
            self.sent(witnesses[0].bus.send("x", b"%d" % number, broadcast=True))
        self.until(lambda: all(len(witness.told) == 500 for witness in witnesses[:-1]))
        slow.full = False
        self.until(lambda: len(slow.told) == 500)
        assert slow.told == [b"%d" % number for number in range(500)]
        assert not slow.gaps

    # ------------------------------------------------------------ who is there

    def test_who_is_subscribed_in_other_processes_can_be_asked(self) -> None:
        """Each process tells of its own."""
        witnesses = self.make(self.processes)
        for number, witness in enumerate(witnesses):
            witness.subscribed = {"x": [f"user {number}"], "y": [number]}

        def asked() -> bool:
            found: list[Any] = []
            self.within(witnesses[0], lambda: found.append(witnesses[0].bus.present("x")))
            self.until(found[0].done)
            present, complete = found[0].result()
            return bool(complete and sorted(present) == [f"user {number}" for number in range(1, self.processes)])

        self.until(asked)

    # ------------------------------------------------------------ bounds, and the end

    def test_an_event_that_is_too_large_is_refused(self) -> None:
        """The sender is told."""
        [witness, *_] = self.make(self.processes)
        if self.processes == 1:
            return  # it goes nowhere
        try:
            witness.bus.send("x", bytes(self.largest + 1), broadcast=True)
        except ValueError:
            return
        raise AssertionError("it was taken")

    def test_who_has_left_is_missed_by_nobody(self) -> None:
        """The others go on."""
        witnesses = self.make(self.processes)
        if self.processes == 1:
            return  # nobody is left
        self.sent(witnesses[-1].bus.send("x", b"1", broadcast=True))
        self.until(lambda: all(witness.told for witness in witnesses))
        self.leave(witnesses[-1])
        rest = witnesses[:-1]
        for number in range(4):
            self.sent(rest[0].bus.send("x", b"2", broadcast=True))
            self.sent(rest[0].bus.send("x", b"%d" % number, broadcast=False))
        self.until(lambda: all(len(witness.told) == 5 for witness in rest))
        self.until(lambda: sum(len(witness.turns) for witness in rest) >= 4)
        assert {data for witness in rest for data in witness.turns} == {b"0", b"1", b"2", b"3"}

    def test_to_close_twice_does_no_harm_and_to_open_again_begins_anew(self) -> None:
        """As a Doer may do."""
        [witness, *_] = self.make(self.processes)

        def again() -> None:
            witness.bus.close()
            witness.bus.close()
            witness.history = History(count=COUNT, seconds=1e6, size=1 << 30)
            witness.told.clear()
            witness.open(witness.tyme)

        self.within(witness, again)
        self.sent(witness.bus.send("x", b"again", broadcast=True))
        self.until(lambda: b"again" in witness.told)
