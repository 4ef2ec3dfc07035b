"""Servers with accounts in simulated worlds, and what clients do with them."""

from collections.abc import Sequence
from typing import Any

from totohio import TotoException
from totohio.sim import Client, World
from totohio.sim.hosting import Host
from totohio.sim.worlding import Script

TROUBLE = (OSError, TotoException)
QUICK = {"password_memory": 64, "password_time": 1, "password_rules": "never"}  # hashes that cost nothing
PLACES = ("lmdb", "redis")  # one server with files of its own; two that share a Redis

COUNT = """
from totohio import anonymous_session

@anonymous_session
def invoke(handler, parameters):
    session = handler.session
    session["n"] = (session["n"] or 0) + 1
    session["tokens"] = [*(session["tokens"] or []), parameters["token"]]
    session.save()
    return session["n"]
"""
SHOW = """
from totohio import optionally_authenticated

@optionally_authenticated
def invoke(handler, parameters):
    session = handler.session
    return None if session is None else [session["n"], session["tokens"]]
"""
WHO = """
from totohio import authenticated

@authenticated
def invoke(handler, parameters):
    return handler.session.user_id
"""
USE = """
from totohio import authenticated

@authenticated
def invoke(handler, parameters):
    handler.session["n"] = (handler.session["n"] or 0) + 1
    yield parameters["seconds"]
    handler.session.save()
    return handler.session["n"]
"""
METHODS = {
    "__init__": "from totohio.app.methods import account\n__all__ = ['account']\n",
    "count": COUNT,
    "slow_count": COUNT.replace("    session = handler.session\n", "    session = handler.session\n    yield 0.05\n"),
    "show": SHOW,
    "who": WHO,
    "use": USE,
}
SENT: list[tuple[str, str]] = []


def send(user_id: str, code: str) -> None:
    """Bring a code to its user: into the test's hands."""
    SENT.append((user_id, code))


def serve(world: World, place: str, **options: Any) -> list[Host]:
    """Start one server with files of its own, or two that share a Redis."""
    options = {**QUICK, "methods": METHODS, **options}
    if place == "lmdb":
        return [world.server(database="lmdb", **options)]
    url = world.databases["redis"].url if world.databases else world.redis().url
    return world.server(count=2, database="redis", database_url=url, **options)


def outcome(result: Any) -> Any:
    """The code of an error, or the result."""
    return result.code if isinstance(result, TotoException) else result


def insist(client: Client, method: str, parameters: Any = None, *, times: int = 200) -> Script:
    """Call until there is an answer; a method that may be called twice."""
    for _ in range(times):
        try:
            return (yield client.call(method, parameters, timeout=5.0))
        except TROUBLE as error:
            last = error
            yield 0.5
    raise last


def certain(client: Client, method: str, parameters: Any = None, *, times: int = 200) -> Script:
    """Call until there is an answer or an error that says what is: give that."""
    for _ in range(times):
        try:
            return (yield client.call(method, parameters, timeout=5.0))
        except TotoException as error:
            if error.code == 1013:  # tries that the store has failed count as tries
                yield error.retry_after
            elif error.code not in (1012, 1014):
                return error
        except OSError:
            pass
        yield 0.5
    raise AssertionError(f"{method} never came to an answer")


def together(
    world: World, servers: Sequence[Host], calls: list[tuple[str, dict[str, Any]]], session_id: str | None = None
) -> list[Any]:
    """Make calls at the same time, each on a connection of its own; what errors they get is given."""

    def script(client: Client, number: int) -> Script:
        client.session_id = session_id
        try:
            return (yield client.call(*calls[number]))
        except TotoException as error:
            return error

    clients = [world.client(servers[number % len(servers)]) for number in range(len(calls))]
    futures = [world.spawn(script(client, number), on=client) for number, client in enumerate(clients)]
    world.run()
    return [future.result() for future in futures]
