"""Clients that carry out the same scripts over a real socket and in a simulated world.

A script yields what it asks for, and is sent the answer; a `Pause` has tyme pass.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.remote.support import Dialer, Site, enrol, house_of, lending
from totohio.remote import Remote
from totohio.sim import World
from totohio.sim.worlding import Script

KINDS = ("real", 0, 1, 2)  # a real socket, or the seed of a world
EXEC = {"remote_exec": True, "remote_exec_timeout": 10.0}


class Borrower:
    """A client of either kind."""

    def __init__(self, client: Any, house: Any, within: Callable[[Callable[[], Any]], Any], module: Any) -> None:
        self.client = client
        self.house = house
        self.within = within
        self.module = module

    def perform(self, operation: str, target: Any = None, *args: Any, **kw: Any) -> Any:
        """Have something done; what it gives is to be yielded."""
        return self.client.perform(operation, target, args, kw)

    def get(self, name: str) -> Any:
        """Fetch something that is lent."""
        return self.perform("get", [None, name])

    def call(self, name: str, *args: Any, **kw: Any) -> Any:
        """Call something that is lent."""
        return self.perform("call", [None, *name.split(".")], *args, **kw)

    def begin(self, name: str, *args: Any) -> Any:
        """Call something without waiting for it."""
        if isinstance(self.client, Remote):
            return self.client.later(self.client.get(name))(*args)
        return self.call(name, *args)

    def cancel(self, begun: Any) -> None:
        """Have it ended."""
        if isinstance(self.client, Remote):
            begun.cancel()
        else:
            self.client.cancel(begun)

    def session(self) -> Any:
        """The session at the server, for `within`."""
        [session] = [each for each in self.house.sessions if each.user_id is not None]
        return session

    def lent(self) -> int:
        """How many objects the server has lent."""
        return self.within(lambda: len(self.session().table))  # type: ignore[no-any-return]


Run = Callable[..., Any]


def drive(site: Site, script: Script) -> Any:
    """Run a script of a client that waits: what it yields has come already, but for tyme and calls under way."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            value = script.send(value) if error is None else script.throw(error)
        except StopIteration as stop:
            return stop.value
        error = None
        if isinstance(value, Pause):
            site.advance(value.seconds)
        elif hasattr(value, "result"):
            try:
                value = value.result(30.0)
            except BaseException as failure:
                error = failure


class Pause:
    """Has tyme pass."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


def translated(script: Script) -> Script:
    """The same script for a simulated world."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            wanted = script.send(value) if error is None else script.throw(error)
        except StopIteration as stop:
            return stop.value
        error = None
        try:
            value = yield wanted.seconds if isinstance(wanted, Pause) else wanted
        except Exception as failure:
            error = failure


def running(kind: Any, tmp_path: Path) -> Iterator[Run]:
    """Runs a script of a client: over a real socket, or in a simulated world."""
    sites: list[Any] = []

    def real(scenario: Callable[[Borrower], Script], *, roles: tuple[str, ...] = (), **options: Any) -> Any:
        sites.append(site := Site(tmp_path, **options))
        site.call("grant", {"user_id": "ada", "roles": list(roles)})
        with site.connect() as remote:
            result = drive(site, scenario(Borrower(remote, site.house, site.within, site.module)))
        site.until(lambda: not site.house.sessions, "the session is gone")
        return result

    def simulated(scenario: Callable[[Borrower], Script], *, roles: tuple[str, ...] = (), **options: Any) -> Any:
        with World(kind, faults="sunny") as world:
            server = lending(world, **options)
            enrol(world, server)
            world.call(server, "grant", {"user_id": "ada", "roles": list(roles)})
            assert server.process is not None
            module = server.process.modules["server_methods.lent"]
            dialer = Dialer(world, server, structs=[module.Point], errors=[module.OddError])
            house = house_of(server)

            def script() -> Script:
                yield dialer.doer.ready
                return (yield from translated(scenario(Borrower(dialer.doer, house, lambda ask: ask(), module))))

            result = dialer.run(script())
            dialer.host.kill()
            world.run_until(lambda: not house.sessions, within=5.0)
            return result

    yield real if kind == "real" else simulated
    for site in sites:
        site.close()


def raised(error: type[BaseException], step: Callable[[], Any]) -> Script:
    """Take a step that must fail, and give the error."""
    try:
        yield step()
    except error as found:
        return found
    raise AssertionError(f"no {error.__name__}")
