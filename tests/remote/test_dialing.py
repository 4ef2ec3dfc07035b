"""The client that does not wait, over real sockets: a Doer beside others, under our Doist or hio's."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hio.base import doing

from tests.processes import LONG
from tests.remote.support import PASSWORD, Site, serving
from totohio import Future, PollingDoist
from totohio.remote import DisconnectedError, Proxy, RemoteDoer
from totohio.sim.worlding import Script


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that lends."""
    with serving(tmp_path_factory.mktemp("dialing")) as site:
        yield site


def dial(site: Site, **more: Any) -> RemoteDoer:
    """Give a client that has its own poller."""
    lending = site.server.built.lending
    assert lending is not None
    return RemoteDoer(lending.server.servant.ha[:2], **{"user_id": "ada", "password": PASSWORD, **more})


def drive(doist: Any, doer: RemoteDoer, done: Callable[[], Any]) -> None:
    """Run a Doist until something is done."""
    end = time.monotonic() + LONG
    while not done():
        doist.recur()
        if isinstance(doist, PollingDoist) and not done() and doist.due() > doist.tyme:
            doer.poller.wait(LONG)
        assert time.monotonic() < end, "nobody has woken the cycle"


def run(site: Site, script: Callable[[RemoteDoer], Any], **more: Any) -> Any:
    """Run a script in a program of its own, and give what it returns."""
    doer = dial(site, **more)
    doist = PollingDoist(doers=[doer])
    doist.enter()
    try:
        future = doer.spawn(script(doer))
        drive(doist, doer, future.done)
    finally:
        doist.exit()
    site.until(lambda: not site.house.sessions, "the session is gone")
    return future.result()


def generator(doer: RemoteDoer) -> Script:
    yield doer.ready
    tom = yield doer.fetch(doer.remote.tom)
    assert type(tom) is Proxy
    results = yield [doer.remote.math.sqrt(4), tom.greet(), doer.remote.apply(lambda n: n + 1, 1)]
    try:
        yield doer.remote.fail("zero")
    except ZeroDivisionError:
        results += ["raised"]
    return results


async def coroutine(doer: RemoteDoer) -> Any:
    await doer.ready
    async with await doer.remote.Cat("felix") as cat:
        assert await cat.name == "felix"
        await doer.operate(cat, "setitem", "fish", 2)
        await doer.assign(cat, "mood", "bad")
        items = [item async for item in cat]
        squares = [item async for item in await doer.remote.squares(250)]
        lengths = [await doer.operate(cat, name) for name in ("len", "bool", "str")]
        found = [await cat["fish"], await doer.operate(cat, "contains", "fish")]
    return items, len(squares), lengths, found


def test_a_doer_borrows_in_a_program_with_a_doist_of_its_own(site: Site) -> None:
    assert run(site, generator) == [2.0, "tom greets you", 2, "raised"]


def test_coroutines_use_what_is_borrowed_with_async_for_and_with(site: Site) -> None:
    assert run(site, coroutine) == (["fish"], 250, [1, False, "cat felix"], [2, True])


def test_callbacks_may_wait(site: Site) -> None:
    async def script(doer: RemoteDoer) -> Any:
        await doer.ready

        async def ask(number: int) -> Any:
            return await doer.remote.add(number, 1)

        def fail(_: int) -> Any:
            yield
            raise LookupError("no")

        with pytest.raises(LookupError, match="no"):
            await doer.remote.apply(fail, 1)
        return await doer.remote.apply(ask, 5)

    assert run(site, script) == 6


def test_what_python_wants_at_once_is_refused_with_what_to_do_instead(site: Site) -> None:
    async def script(doer: RemoteDoer) -> Any:
        await doer.ready
        cat = await doer.remote.Cat("felix")
        for use in (
            lambda: len(cat),
            lambda: bool(cat),
            lambda: "fish" in cat,
            lambda: list(cat),
            lambda: cat.__setitem__("a", 1),
            lambda: cat.__delitem__("a"),
            lambda: cat.__enter__(),
        ):
            with pytest.raises(TypeError, match="operate"):
                use()
        with pytest.raises(TypeError, match="assign"):
            cat.mood = "bad"
        assert str(cat) == repr(cat)
        return await doer.operate(cat, "len")

    assert run(site, script) == 0


def test_a_doer_that_has_ended_can_begin_again(site: Site) -> None:
    doer = dial(site)
    for _ in range(2):
        doist = PollingDoist(doers=[doer])
        doist.enter()
        future = doer.spawn(generator(doer))
        drive(doist, doer, future.done)
        assert future.result()[0] == 2.0
        proxy = doer.remote.tom
        doist.exit()
        with pytest.raises(DisconnectedError):
            proxy.greet()
    site.until(lambda: not site.house.sessions, "the session is gone")


def test_a_doer_works_under_a_doist_of_hio(site: Site) -> None:
    doer = dial(site)
    doist = doing.Doist(tock=0.001, real=False, doers=[doer])
    doist.enter()
    found: list[Future[Any]] = [doer.spawn(generator(doer))]
    try:
        drive(doist, doer, found[0].done)
    finally:
        doist.exit()
    assert found[0].result() == [2.0, "tom greets you", 2, "raised"]
    site.until(lambda: not site.house.sessions, "the session is gone")
