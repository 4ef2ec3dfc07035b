"""The client that does not wait, over real sockets: a Doer beside others, under our Doist or hio's."""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hio.base import doing

from tests.processes import LONG
from tests.remote.support import PASSWORD, Site, serving
from tests.servers import free_port
from totohio import CancelledError, Future, PollingDoist, sleep
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


def test_a_script_goes_on_after_the_end_and_one_that_is_left_is_cancelled(site: Site) -> None:
    doer = dial(site)
    seen: list[str] = []

    async def script() -> None:
        await doer.ready
        with contextlib.suppress(DisconnectedError):
            nap = doer.remote.nap(600)
            seen.append("asked")
            await nap
        await sleep(0.0)
        seen.append("over")
        await Future()

    doist = PollingDoist(doers=[doer])
    doist.enter()
    future = doer.spawn(script())
    drive(doist, doer, lambda: seen)
    doist.recur()
    site.until(lambda: any(session.busy() for session in site.house.sessions), "it naps")
    site.within(lambda: [session.end(OSError("enough")) for session in list(site.house.sessions)])
    drive(doist, doer, lambda: len(seen) == 2)
    assert seen == ["asked", "over"]
    assert not future.done()
    doist.exit()
    with pytest.raises(CancelledError):
        future.result()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_to_cancel_a_script_ends_it_where_it_waits(site: Site, elsewhere: bool) -> None:
    seen: list[str] = []

    async def script(doer: RemoteDoer) -> None:
        await doer.ready
        try:
            seen.append("waits")
            await Future()
            seen.append("goes on")
        finally:
            seen.append("ends")

    doer = dial(site)
    doist = PollingDoist(doers=[doer])
    doist.enter()
    future = doer.spawn(script(doer))
    drive(doist, doer, lambda: seen)
    assert seen == ["waits"]
    if elsewhere:
        thread = threading.Thread(target=future.cancel)
        thread.start()
        thread.join(LONG)
        assert seen == ["waits"]  # it ends in the cycle, and in no other thread
    else:
        future.cancel()
    drive(doist, doer, lambda: len(seen) > 1)
    assert seen == ["waits", "ends"]
    assert future.cancelled()
    assert not doer._scripts
    assert not doer._lot.runs
    doist.exit()


def test_a_script_that_cancels_itself_goes_no_further_than_to_where_it_waits(site: Site) -> None:
    async def script(doer: RemoteDoer) -> None:
        futures[0].cancel()
        seen.append("goes on")
        try:
            await Future()
        finally:
            seen.append("ends")

    async def begun(doer: RemoteDoer) -> None:
        await doer.ready
        await script(doer)

    doer, seen, futures = dial(site), list[str](), list[Future[Any]]()
    doist = PollingDoist(doers=[doer])
    doist.enter()
    futures.append(doer.spawn(begun(doer)))
    drive(doist, doer, lambda: len(seen) > 1)
    assert seen == ["goes on", "ends"]
    doist.exit()


def test_where_nobody_listens_is_told_and_the_doist_goes_on() -> None:
    for address in (("127.0.0.1", free_port()), ("no..name", 1)):
        doer = RemoteDoer(address, user_id="ada", password="x")
        doist = PollingDoist(doers=[doer])
        doist.enter()
        drive(doist, doer, doer.ready.done)
        with pytest.raises(OSError):  # noqa: PT011 - which one is the system's affair
            doer.ready.result()
        with pytest.raises(DisconnectedError):
            doer.remote.add(1, 2)
        doist.exit()


def test_more_than_may_wait_to_be_sent_ends_the_session_and_not_the_doist(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(doer: RemoteDoer) -> Any:
        await doer.ready
        assert doer._visit is not None
        monkeypatch.setattr(doer._visit.line.link, "_max_pending", 1000)
        with pytest.raises(DisconnectedError, match="would wait to be sent"):
            await doer.remote.echo("x" * 2000)
        return "over"

    assert run(site, script) == "over"


def test_tls_is_spoken_with_who_has_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    contexts = []
    for each in (authority, stranger):
        contexts.append(ssl.create_default_context())
        each.configure_trust(contexts[-1])
    with serving(tmp_path, certfile=str(tmp_path / "server.pem")) as site:

        async def echo(doer: RemoteDoer) -> Any:
            await doer.ready
            return len(await doer.remote.echo("x" * 900_000))

        more: dict[str, Any] = {"context": contexts[0], "server_hostname": "localhost"}
        assert run(site, generator, **more) == [2.0, "tom greets you", 2, "raised"]
        assert run(site, echo, **more) == 900_000
        for wrong in ({**more, "context": contexts[1]}, {**more, "server_hostname": "example.org"}):
            with pytest.raises(ssl.SSLCertVerificationError):
                run(site, generator, **wrong)
        with pytest.raises(OSError):  # noqa: PT011 - the server ends a connection that is no TLS
            run(site, generator)


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
