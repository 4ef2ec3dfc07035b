"""The log of events in a simulated Redis; the simulated side of `bus.redis`.

The log is one record, and so is what is for one process alone; both are changed by transactions that are tried again
when somebody else was faster.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from totohio.base.clocking import Minter
from totohio.bus.driving import Batch, Entry, Item, Place, Turn
from totohio.core.eventing import STAR, compile_pattern
from totohio.core.ports import VERSION, StoreError, Transaction, Write
from totohio.sim.stores.redis import SimDriver
from totohio.sim.working import current

T = TypeVar("T")

LOG, TURNS, HERE = b"events", b"turns", b"here"
TRIES = 20  # of a transaction
SENT = 200  # ids that are remembered, so that what is sent twice is taken once
TURN = 0.05  # seconds that whoever was given something leaves to others
CLAIM = 10.0  # seconds after which an event that was not acknowledged goes to another process


class SimLog:
    """Asks a simulated Redis for events; see `bus.driving.LogDriver`."""

    def __init__(self, driver: SimDriver, minter: Minter, *, keep: int) -> None:
        self._driver = driver
        self._minter = minter
        self._keep = keep
        self._served = False

    def append(self, items: Sequence[Item]) -> None:
        """Send events."""
        log = [item for item in items if item.broadcast]
        turns = [item for item in items if not item.broadcast]

        def add(state: dict[str, Any]) -> None:
            epoch = state.setdefault("epoch", self._minter.token()[:10])
            assert epoch
            for item in log:
                if item.id not in state["sent"]:
                    state["last"] += 1
                    state["items"].append([state["last"], item.id, item.name, item.data])
                    state["sent"] = [*state["sent"], item.id][-SENT:]
            state["items"] = state["items"][-self._keep :]

        def give(state: dict[str, Any]) -> None:
            for item in turns:
                if item.id not in state["sent"]:
                    state["items"].append([item.id, "", 0.0, item.name, item.data])
                    state["sent"] = [*state["sent"], item.id][-SENT:]

        if log:
            self._change(LOG, add)
        if turns:
            self._change(TURNS, give)

    def read(self, place: Place | None, limit: int, seconds: float) -> Batch:
        """Give what is behind a place."""
        [value] = self._driver.read([LOG])
        batch = _behind(value, place, limit)
        news = batch.entries or not batch.same or place is None or batch.epoch != place.epoch
        if news and (batch.epoch or place is not None):
            return batch
        return _behind(self._driver.await_(LOG, _version(value), seconds), place, limit)

    def reset(self, epoch: str) -> None:
        """Have the log begin anew."""

        def clear(state: dict[str, Any]) -> None:
            if state.get("epoch") == epoch:
                state.clear()
                state.update(_fresh())

        self._change(LOG, clear)

    def take(self, consumer: str, limit: int, seconds: float) -> list[Turn]:
        """Take events for one process."""
        taken: list[Turn] = []

        def claim(state: dict[str, Any]) -> None:
            taken.clear()
            for item in state["items"]:
                if len(taken) < limit and (not item[1] or current().now - item[2] > CLAIM):
                    item[1], item[2] = consumer, current().now
                    taken.append(Turn(item[0], item[3], item[4]))

        [value] = self._driver.read([TURNS])
        self._change(TURNS, claim, value)
        if not taken:
            [value] = self._driver.read([TURNS])
            value = self._driver.await_(TURNS, _version(value), seconds)
            if self._served:  # Redis gives to whoever waits longest, and not to whoever is nearest
                current().sleep(TURN)
                value = None
            self._change(TURNS, claim, value)
        self._served = bool(taken)
        return list(taken)

    def done(self, consumer: str, ids: Sequence[bytes]) -> None:
        """Acknowledge events."""

        def drop(state: dict[str, Any]) -> None:
            state["items"] = [item for item in state["items"] if item[0] not in ids]

        self._change(TURNS, drop)

    def enrol(self, consumer: str, roll: Mapping[str, bytes], gone: Collection[str], seconds: float) -> None:
        """Say who is subscribed to what in a process."""

        def note(state: dict[str, Any]) -> None:
            others = [item for item in state["items"] if item[0] != consumer and item[1] > current().now]
            state["items"] = [*others, [consumer, current().now + seconds, dict(roll)]]

        self._change(HERE, note)

    def present(self, consumer: str, name: str) -> list[bytes]:
        """Give what other processes have said of a name."""
        [value] = self._driver.read([HERE])
        items = [item for item in _state(value)["items"] if item[0] != consumer and item[1] > current().now]
        return [
            data
            for _, _, roll in items
            for each, data in roll.items()
            if each == name or (STAR in each and compile_pattern(each).fullmatch(name))
        ]

    def close(self) -> None:
        """Close all connections."""
        self._driver.close()

    def _change(self, key: bytes, change: Callable[[dict[str, Any]], None], value: bytes | None = None) -> None:
        for _ in range(TRIES):
            if value is None:
                [value] = self._driver.read([key])
            state = _state(value)
            before = msgspec.msgpack.encode(state)
            change(state)
            after = msgspec.msgpack.encode(state)
            if after == before:
                return
            write = Write(key, self._minter.draw(VERSION) + after)
            if self._driver.apply([Transaction(((key, _version(value)),), (write,))]) == [True]:
                return
            value = None
        raise StoreError("the record is changed by others all the time")


def _fresh() -> dict[str, Any]:
    return {"last": 0, "items": [], "sent": []}


def _state(value: bytes | None) -> dict[str, Any]:
    if value is None:
        return _fresh()
    state: dict[str, Any] = msgspec.msgpack.decode(value[VERSION:])
    return state


def _version(value: bytes | None) -> bytes | None:
    return None if value is None else value[:VERSION]


def _behind(value: bytes | None, place: Place | None, limit: int) -> Batch:
    state = _state(value)
    items: list[Any] = state["items"]
    if not items:
        return Batch("", 1, 0)
    epoch, first, last = state["epoch"], items[0][0], state["last"]
    if place is None or place.epoch != epoch:
        return Batch(epoch, first, last)
    there = [id for offset, id, _, _ in items if offset == place.offset]
    same = not place.id or (place.offset <= last and (not there or there == [place.id]))
    if not same:
        return Batch(epoch, first, last, (), False)
    entries = [Entry(*item) for item in items if item[0] > place.offset]
    return Batch(epoch, first, last, tuple(entries[:limit]))
