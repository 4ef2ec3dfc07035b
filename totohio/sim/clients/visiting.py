"""Visits: the workload of a simulated world, run against a real server.

The same workload runs in all three::

    def workload(client, number):
        for _ in range(10):
            yield client.call("counter.add", {"by": number})

    visit("http://127.0.0.1:8888", workload, clients=3)     # a server that runs already
    visit(TotoServer("settings.yaml"), workload, clients=3) # one that runs as long as the visit
    world.visit(host, workload, clients=3)                  # one of a simulated World
"""

import inspect
from collections.abc import Callable, Generator, Iterable
from typing import Any
from urllib.parse import urlsplit

from totohio.app.serving import TotoServer
from totohio.base.doing import DoDoer
from totohio.base.environing import Environment
from totohio.core.invoking import DEFERRED
from totohio.net.kernel import kernel_environment
from totohio.net.linking import Address
from totohio.net.polling import PollingDoist
from totohio.sim.clients.asking import Client
from totohio.sim.clients.calling import CallerDoer

LIMIT = 30.0  # seconds that a visit may take unless it is told otherwise
PORT = 80

Workload = Callable[..., Any]
"""What a client does: called with the client, and with its number when it needs two arguments.

It is a generator function or ``async def``, or gives a Future; anything else that it gives is the result itself, but
nothing at all is a mistake: it has waited for nothing that it asked.
"""


def visit(
    server: str | TotoServer,
    script: Workload,
    *,
    clients: int = 1,
    limit: float = LIMIT,
    environment: Environment | None = None,
    doers: Iterable[Any] = (),
) -> list[Any]:
    """Run a workload against a real server, in the calling thread, and give what each client's script returned.

    Args:
        server: The URL of a server that runs, ``http://HOST:PORT`` with the root of its methods, or ``unix:PATH``; a
            host is a numeric address or ``localhost``. Or a TotoServer that does not run yet: then it runs in the
            same Doist, and ends with the visit.
        script: What each client does.
        clients: How many, numbered from 0, each with connections of its own.
        limit: Seconds that it may take; zero are all there are.
        environment: Where clocks and sockets come from; without one, the machine's.
        doers: Doers that run along, and end with the visit.

    Raises:
        ValueError: There is no such URL.
        TimeoutError: Scripts were not done within the limit.
        BaseException: What the first script that failed has raised.
    """
    environment = environment if environment is not None else kernel_environment()
    doers = list(doers)
    if isinstance(server, str):
        parse_url(server)
    else:
        doers += server.doers
    visitor = _Visitor(server, script, clients, CallerDoer(environment), doers)
    doist = PollingDoist(doers=[visitor], limit=limit, clock=environment.clock)
    doist.do()
    if visitor.failure is not None:
        raise visitor.failure
    if visitor.left:
        if not limit or doist.tyme < limit:  # a Doist ends silently when it is interrupted
            raise KeyboardInterrupt
        raise TimeoutError(f"{visitor.left} of {clients} scripts were not done within {limit:g} seconds")
    return visitor.results


def parse_url(url: str) -> tuple[Address, str]:
    """Give the address that a URL means, and the root of the server's methods there.

    Raises:
        ValueError: It means none.
    """
    if url.startswith("unix:"):
        return url.removeprefix("unix:").removeprefix("//"), ""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.port == 0:
        raise ValueError(f"expected http://HOST:PORT or unix:PATH, not {url!r}")
    return (parts.hostname, parts.port or PORT), parts.path.rstrip("/")


def perform(script: Workload, client: Client, number: int) -> Generator[Any, Any, Any]:
    """Have one client do its part of a workload: a script for `CallerDoer.spawn`.

    Raises:
        TypeError: It gives nothing to wait for, and no result.
    """
    found = script(client, number) if _takes_number(script) else script(client)
    if found is None:
        name = getattr(script, "__qualname__", script)
        raise TypeError(f"{name} gives None: without a yield it waits for nothing that it asks")
    return (yield found) if type(found) in DEFERRED else found


def _takes_number(script: Workload) -> bool:
    try:
        inspect.signature(script).bind(None)
    except TypeError:
        return True
    return False


class _Visitor(DoDoer):
    """Runs a visit: ends when all scripts are done, or one has failed.

    Attributes:
        left: Scripts that are not done.
        results: What the others have returned, by the client's number.
        failure: What the first script that failed has raised.
    """

    def __init__(
        self, server: str | TotoServer, script: Workload, clients: int, caller: CallerDoer, doers: list[Any]
    ) -> None:
        super().__init__(doers=[*doers, caller])
        self.caller = caller
        self.left = clients
        self.results: list[Any] = [None] * clients
        self.failure: BaseException | None = None
        self._server = server
        self._script = script

    def enter(self, doers: Any = None, **kwa: Any) -> Any:
        """Enter the Doers, whereupon the server listens, and begin the scripts."""
        deeds = super().enter(doers=doers, **kwa)
        if doers is None:
            address, root = parse_url(self._server if isinstance(self._server, str) else self._server.url)
            for number in range(self.left):
                client = self.caller.client(address, name=f"client-{number}", root=root)
                self._spawn(client, number)
        return deeds

    def recur(self, tyme: float, deeds: Any = None) -> bool:
        """Run each of the Doers; True when there is nothing left to do."""
        done: bool = super().recur(tyme, deeds)
        return done or not self.left or self.failure is not None

    def _spawn(self, client: Client, number: int) -> None:
        def done(result: Any, error: BaseException | None) -> None:
            self.left -= 1
            self.results[number] = result
            if error is not None and self.failure is None:
                self.failure = error

        self.caller.spawn(perform(self._script, client, number), done)
