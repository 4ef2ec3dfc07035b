"""Servers that lend, for tests: one in a thread for clients that wait, and the same in a simulated world."""

import contextlib
import http.client
import importlib
import itertools
import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.processes import LONG, until
from totohio import PollingDoist, TotoServer
from totohio import remote as remoting
from totohio.base.clocking import Clock
from totohio.net.kernel import kernel_environment
from totohio.remote import Remote, RemoteDoer
from totohio.sim import World
from totohio.sim.clients.calling import CallerDoer
from totohio.sim.hosting import Host
from totohio.sim.worlding import Script

PASSWORD = "correct horse"
QUICK = {"password_memory": 64, "password_time": 1, "password_rules": "never", "login_throttle": False}
PORT = 8890  # in a simulated world
_numbers = itertools.count()

ACCOUNTS = "from totohio.app.methods import account\n"
GRANT = """
def invoke(handler, parameters):
    handler.db_connection.set_roles(parameters["user_id"], parameters["roles"])
"""
METHODS = {"__init__": ACCOUNTS, "grant": GRANT}

LENT = Path(__file__).with_name("lent.py").read_text("utf-8")  # a server has a copy of its own
OPTIONS: dict[str, Any] = {
    **QUICK,
    "remote_enabled": True,
    "remote_modules": "math",
    "log_level": "error",
    "database": "memory",
}


class Shifted(Clock):
    """A clock that a test sets forward."""

    offset = 0.0

    def monotonic(self) -> float:
        """Give the machine's seconds, and those that the test has let pass."""
        return super().monotonic() + self.offset


class Site:
    """A server that lends, run by a thread; it is real but for its tyme, of which the test can let more pass.

    Attributes:
        server: The server.
        module: What it lends; None where the test says what.
        users: Who have accounts, all with `PASSWORD`.
    """

    def __init__(self, folder: Path, lent: str | None = LENT, *, users: tuple[str, ...] = ("ada",), **options: Any):
        """Start it, and wait until it listens.

        Args:
            folder: An empty folder for modules.
            lent: The text of the module that it lends; None for none.
            users: Who have accounts.
            options: Of the server.
        """
        number = next(_numbers)
        self._names = [f"remote_methods_{number}", f"remote_lent_{number}"]
        package = folder / self._names[0]
        package.mkdir()
        for name, text in METHODS.items():
            (package / f"{name}.py").write_text(text)
        if lent is not None:
            (folder / f"{self._names[1]}.py").write_text(lent)
            options["remote_module"] = self._names[1]
        self.clock = Shifted()
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        try:
            self.server = TotoServer(
                environment=kernel_environment(),
                method_module=self._names[0],
                **{**OPTIONS, "port": 0, "remote_port": 0, **options},
            )
            doist = PollingDoist(doers=self.server.doers, clock=self.clock)
        finally:
            sys.path.remove(str(folder))
        self.module: Any = sys.modules.get(self._names[1])
        listens = threading.Event()
        self.server.built.doer.entered = listens.set
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(doist,), name="site", daemon=True)
        self._thread.start()
        assert listens.wait(LONG), self._error
        for user in users:
            self.call("account.create", {"user_id": user, "password": PASSWORD})

    def _run(self, doist: Any) -> None:
        try:
            doist.do()
        except BaseException as error:
            self._error = error

    @property
    def url(self) -> str:
        """Where it lends."""
        url = self.server.remote_url
        assert url is not None
        return url

    @property
    def house(self) -> Any:
        """Its sessions; for `within`."""
        lending = self.server.built.lending
        assert lending is not None
        return lending.house

    def connect(self, user_id: str = "ada", *, url: str | None = None, **more: Any) -> Remote:
        """Open a session, with the classes that are lent known."""
        if self.module is not None:
            more = {"structs": [self.module.Point], "errors": [self.module.OddError], **more}
        if "session_id" not in more:
            more = {"user_id": user_id, "password": PASSWORD, **more}
        return remoting.connect(url or self.url, **{"timeout": LONG, **more})

    def post(self, name: str, parameters: dict[str, Any]) -> Any:
        """Call a method over HTTP, and give the whole reply."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=LONG)
        if self.server.built.server.secured:
            context = ssl._create_unverified_context()  # it is not HTTP that is tested here
            connection = http.client.HTTPSConnection(*self.server.address, timeout=LONG, context=context)
        try:
            path = "/" + name.replace(".", "/")
            connection.request("POST", path, json.dumps(parameters), {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read() or b"{}")
        finally:
            connection.close()

    def call(self, name: str, parameters: dict[str, Any]) -> Any:
        """Call a method over HTTP, and give its result."""
        reply = self.post(name, parameters)
        assert "error" not in reply, reply
        return reply.get("result")

    def within(self, function: Callable[[], Any]) -> Any:
        """Call something in the server's cycle, and give what it returns."""
        done, found = threading.Event(), []

        def run() -> None:
            try:
                found.append(function())
            finally:
                done.set()

        self.server.built.inbox.post(run)
        assert done.wait(LONG), "the cycle does not come"
        return found[0]

    def advance(self, seconds: float) -> None:
        """Let tyme pass at the server."""
        self.clock.offset += seconds
        for _ in range(3):
            self.within(lambda: None)

    def sessions(self) -> list[Any]:
        """Give its sessions."""
        return list(self.within(lambda: list(self.house.sessions)))

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until a condition holds, which is asked in the server's cycle."""
        return until(lambda: self.within(condition), what)

    def close(self) -> None:
        """End it; every object that was lent must be gone then."""
        if self._thread.is_alive():
            self.server.stop()
        self._thread.join(LONG)
        assert not self._thread.is_alive(), "the server does not end"
        for name in [name for name in sys.modules if name.split(".")[0] in self._names]:
            del sys.modules[name]
        if self._error is not None:
            raise self._error


@contextlib.contextmanager
def serving(folder: Path, lent: str | None = LENT, **options: Any) -> Iterator[Site]:
    """Have a server that lends, for a ``with`` block."""
    site = Site(folder, lent, **options)
    try:
        yield site
    finally:
        site.close()


def asked(remote: Remote) -> int:
    """How many requests it has sent."""
    return remote._borrower._count


# ---------------------------------------------------------------- in a simulated world


def lending(
    world: World, lent: str = LENT, *, name: str = "server", methods: dict[str, str] | None = None, **options: Any
) -> Host:
    """Start a server that lends on a host of its own, with more methods if wished; it has no accounts yet."""
    more = {"remote_module": f"{name}_methods.lent", "remote_port": PORT, "remote_host": "0.0.0.0"}
    served = {**METHODS, **(methods or {}), "lent": lent}
    return world.server(name=name, methods=served, **{**OPTIONS, **more, **options})


def house_of(host: Host) -> Any:
    """Give what keeps the sessions of a simulated server."""
    assert host.server is not None
    assert host.server.built.lending is not None
    return host.server.built.lending.house


def enrol(world: World, host: Host, *users: str) -> None:
    """Make accounts, all with `PASSWORD`."""
    for user in users or ("ada",):
        world.call(host, "account.create", {"user_id": user, "password": PASSWORD})


def empty(server: Host) -> bool:
    """Tell whether a server has no session, and nothing that is left of one."""
    house = house_of(server)
    waits = (house.waits, house.leases, house.greetings, house.executions, house.reviews.dues)
    return not house.sessions and not any(each.dues for each in waits) and not house.reviews and not house.lot.runs


def grant(world: World, server: Host, *roles: str) -> None:
    """Give a user roles."""
    world.call(server, "grant", {"user_id": "ada", "roles": list(roles)})


class Knowing:
    """A simulated network in which names have the addresses that a test says.

    Attributes:
        asked: The names that were looked up.
    """

    def __init__(self, network: Any, known: dict[str, list[tuple[str, int]]]) -> None:
        self._network = network
        self._known = known
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def lookup(self, host: str, port: int) -> Any:
        self.asked.append(host)
        return self._known.get(host) or self._network.lookup(host, port)


class Dialer:
    """A client on a simulated host of its own, which runs scripts beside its RemoteDoer.

    Attributes:
        host: The host.
        doer: The client.
    """

    doer: RemoteDoer
    _caller: CallerDoer

    def __init__(
        self,
        world: World,
        server: Host,
        *,
        name: str = "borrower",
        user_id: str = "ada",
        address: Any = None,
        known: dict[str, list[tuple[str, int]]] | None = None,
        **more: Any,
    ) -> None:
        """Start it; it connects when it may.

        Args:
            world: Where.
            server: Whom it asks.
            name: Of its host.
            user_id: Who it is.
            address: Where it connects to, when that is not the server's name and its usual port.
            known: Addresses of names that the simulated network does not have.
            more: For the RemoteDoer.
        """
        if "session_id" not in more:
            more = {"user_id": user_id, "password": PASSWORD, **more}
        self.world = world

        def boot(process: Any) -> list[Any]:
            self._caller = CallerDoer(process.environment)
            environment = process.environment
            if known is not None:
                environment = replace(environment, network=Knowing(environment.network, known))
            self.doer = RemoteDoer(
                address or (server.name, PORT), environment=environment, poller=self._caller.poller, **more
            )
            return [self._caller, self.doer]

        self.host = world.host(name, boot, fallible=False)

    def spawn(self, script: Script) -> list[Any]:
        """Begin a script there; what it returns, or what it raises, will stand in the list."""
        process, found = self.host.process, []
        assert process is not None
        process.do(self._caller.spawn, script, lambda result, error: found.append(result if error is None else error))
        return found

    def run(self, script: Script, within: float = 600.0) -> Any:
        """Run a script to its end, and give what it returns.

        Raises:
            BaseException: Whatever it raises.
        """
        found = self.spawn(script)
        self.world.run_until(lambda: found, within)
        if isinstance(found[0], BaseException):
            raise found[0]
        return found[0]
