"""Small scenarios that tests of the simulation run from many seeds."""

from typing import Any

from totohio import TaskQueue, TotoException
from totohio.base.errors import TotohioError
from totohio.sim.clients.asking import Client
from totohio.sim.worlding import Script, World


def add(handler: object, parameters: dict[str, int]) -> int:
    """A plain method."""
    return parameters["a"] + 1


def nap(handler: object, parameters: dict[str, float]) -> Script:
    """A method that waits."""
    yield parameters["seconds"]
    return "slept"


def work(handler: object, parameters: object) -> Script:
    """A method that has a thread do something."""
    return (yield TaskQueue.instance("work").yield_task(sum, [1, 2, 3]))


COUNT = """
from totohio import anonymous_session

@anonymous_session
def invoke(handler, parameters):
    session = handler.session
    session["n"] = (session["n"] or 0) + 1
    session.save()
    return session["n"]
"""
METHODS = {"add": add, "nap": nap, "work": work}


def calls(world: World, *, clients: int = 3, count: int = 10) -> list[list[Any]]:
    """Some clients make some calls each; what a call gave, or the name of what went wrong, is given."""
    server = world.server(methods=METHODS)

    def script(client: Client) -> Script:
        results: list[Any] = []
        for number in range(count):
            try:
                results.append((yield client.call("add", {"a": number})))
            except TotoException as error:
                results.append(f"error {error.code}")
            except OSError as error:
                results.append(type(error).__name__)
        return results

    return world.visit(server, script, clients=clients)


def mixture(world: World) -> list[Any]:
    """Three servers, and clients that call all of them: plain, waiting and threaded methods, alone and in batches."""
    servers = world.server(count=3, methods=METHODS)
    results: list[Any] = []

    def script(number: int) -> Script:
        clients = [world.client(server, timeout=20.0) for server in servers]
        for turn in range(4):
            client = clients[(number + turn) % 3]
            try:
                results.append((yield client.call("add", {"a": turn})))
                results.append((yield client.call("nap", {"seconds": 0.01 * number})))
                results.append((yield client.call("work")))
                entries = {"one": {"method": "add", "parameters": {"a": 1}}, "two": {"method": "work"}}
                results.append((yield client.batch(entries)))
            except (OSError, TotoException) as error:
                results.append(type(error).__name__)

    for number in range(3):
        world.spawn(script(number))
    world.run()
    world.settle()
    return results


def databases(world: World) -> list[Any]:
    """Clients count in sessions: of a server with files of its own, and of two that share a Redis with a replica."""
    redis = world.redis(replica=True)
    methods = {"count": COUNT}
    servers = [world.server(name="alone", methods=methods, database="lmdb")]
    servers += world.server(
        count=2, methods=methods, database="redis", database_url=redis.url, redis_replicas=1, database_timeout=1.0
    )
    results: list[Any] = []

    def script(client: Client) -> Script:
        for _ in range(4):
            try:
                results.append((yield client.call("count", timeout=5.0)))
            except OSError as error:
                results.append(type(error).__name__)
            except TotoException as error:
                results.append(error.code)

    def take_over() -> None:
        try:
            redis.failover()
        except TotohioError:
            results.append("no replica")

    for server in servers:
        client = world.client(server)
        world.spawn(script(client), on=client)
    world.at(0.5, take_over)
    world.run()
    world.settle()
    return results
