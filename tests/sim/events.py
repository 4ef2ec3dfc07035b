"""Clusters whose servers share events, clients that subscribe, and what they must have been told."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from totohio import EventManager, TotoException
from totohio.bus.shared import SharedBus
from totohio.core.ports import VERSION
from totohio.core.recovering import read_position
from totohio.sim import Client, SimRedis, World
from totohio.sim.hosting import Host
from totohio.sim.stores.events import LOG
from totohio.sim.worlding import Script

TROUBLE = (OSError, TotoException)
PORT = 9000
BUSES = ("memory", "peers", "redis")
NAMES = ("red", "green", "blue")

Sent = dict[tuple[str, int], tuple[str, str]]
"""What was sent: the name and the payload, by origin and offset."""


class Cluster:
    """Servers that share events.

    Attributes:
        hosts: They.
        sent: All that any of them has sent.
    """

    def __init__(self, world: World, bus: str, *, replica: bool = False, **options: Any) -> None:
        self.sent: Sent = {}
        self._seen: bytes | None = None
        self.world = world
        count = 1 if bus == "memory" else 3
        names = [f"server-{number + 1}:{PORT}" for number in range(count)]
        more: dict[str, Any] = {"event_bus": bus}
        self.redis: SimRedis | None = None
        if bus == "redis":
            self.redis = world.redis(replica=replica)
            more |= {"database_url": self.redis.url, "database_timeout": 1.0}
            world.always("what is in the log is noted", self._note)
        if bus == "peers":
            more |= {"event_mode": "on", "event_port": PORT, "event_key": "open sesame"}
            more |= {"remote_event_receivers": ",".join(names), "event_host": "0.0.0.0"}
        methods = {"poll": poll, "send": self._method(), "wait": wait}
        self.hosts = world.server(count=count, methods=methods, **{**more, **options})

    def _method(self) -> Callable[[Any, Any], Any]:
        """What sends, and notes what it has sent as soon as the bus has it."""

        def send(handler: Any, parameters: dict[str, Any]) -> Script:
            manager: EventManager = handler.event_manager
            name, payload = parameters["name"], parameters["payload"]
            origin, offset = sender(manager)
            future = manager.send(name, payload)
            if self.redis is not None:
                yield future
            elif sender(manager) == (origin, offset + 1):
                self.sent[origin, offset + 1] = (name, payload)
            return True

        return send

    def position(self, host: Host) -> dict[str, int]:
        """Give how far all logs have come at a host."""
        assert host.server is not None
        return host.server.built.dispatcher.events.teller.history.held()

    def _log(self) -> tuple[str, list[Any]] | None:
        """Give the log that the simulated Redis has now, and its entries."""
        assert self.redis is not None
        value = self.redis.rows.get(LOG)
        if value is None:
            return None
        state = msgspec.msgpack.decode(value[VERSION:])
        return (state["epoch"], state["items"]) if state["items"] else None

    def _note(self) -> bool:
        """Note what is in the log; asked after every step, it looks only when that has changed."""
        assert self.redis is not None
        value = self.redis.rows.get(LOG)
        if value is self._seen:
            return True
        self._seen = value
        found = self._log()
        if found is not None:
            epoch, items = found
            for offset, _, name, data in items:
                self.sent.setdefault((epoch, offset), (name, msgspec.msgpack.decode(data)))
        return True

    def level(self) -> bool:
        """Tell whether all hosts have come equally far in the logs of those that run."""
        if not all(host.running for host in self.hosts):
            return False
        if self.redis is not None:
            found = self._log()
            return found is None or all(self.position(host).get(found[0]) == found[1][-1][0] for host in self.hosts)
        origins = [sender(host.server.built.dispatcher.events)[0] for host in self.hosts if host.server is not None]
        positions = [self.position(host) for host in self.hosts]
        return all(position.get(origin) == positions[0].get(origin) for position in positions for origin in origins)


def sender(manager: EventManager) -> tuple[str, int]:
    """Give the origin and the last offset of a server's own log."""
    bus: Any = manager.teller.bus
    if isinstance(bus, SharedBus):
        return bus.origin, 0
    return bus.origin, bus.outbox.last if hasattr(bus, "outbox") else bus._offset


def poll(handler: Any, parameters: dict[str, Any]) -> Any:
    """Ask for events since an id."""
    return handler.events_since(parameters["names"], parameters.get("last_id"), parameters.get("timeout", 5.0))


def wait(handler: Any, parameters: dict[str, Any]) -> Script:
    """Wait for one event."""
    return (yield handler.event(parameters["name"], timeout=parameters.get("timeout")))


class Subscriber:
    """A client that polls, at one host after the other, and keeps all it was told.

    Attributes:
        answers: Each with the id that was named, None at first, and the reply.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.answers: list[tuple[str | None, dict[str, Any]]] = []
        self.last_id: str | None = None

    def ask(self, client: Client, timeout: float = 1.0) -> Script:
        """Ask once; give the answer, None when none came."""
        try:
            answer = yield client.call(
                "poll", {"names": self.names, "last_id": self.last_id, "timeout": timeout}, timeout=timeout + 5.0
            )
        except TROUBLE:
            return None
        self.answers.append((self.last_id, answer))
        self.last_id = answer["last_id"]
        return answer

    def check(self, sent: Sent) -> None:
        """See that everything came once and in order, or that it was said that it had not."""
        had: set[tuple[str, int]] = set()
        for before, answer in self.answers:
            start = read_position(before) if before is not None else None
            end = read_position(answer["last_id"])
            assert end is not None
            told = []
            for event in answer["events"]:
                [key] = [key for key, value in sent.items() if value == (event["name"], event["args"])]
                told.append(key)
            assert len(set(told)) == len(told), "told twice in one answer"
            if not answer["recovered"]:
                had.clear()  # whoever is told so begins anew, and may be told what it has had
            assert not had & set(told), "told again"
            had |= set(told)
            for origin in {origin for origin, _ in told}:
                offsets = [offset for each, offset in told if each == origin]
                assert offsets == sorted(offsets), "out of order"
            if start is None or not answer["recovered"]:
                continue
            wanted = {
                (origin, offset)
                for (origin, offset), (name, _) in sent.items()
                if name in self.names and start.get(origin, 0) < offset <= end.get(origin, 0)
            }
            assert wanted <= set(told), f"silently missed {sorted(wanted - set(told))}"
